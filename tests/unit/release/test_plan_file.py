"""release.toml: every key can be set, every mistake is named with its line; a plan that is misread moves the wrong stores."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from etl.config_file import OURS, model_in
from etl.errors import ConfigurationError
from migrations.release.plan import Plan
from migrations.release.plan_file import parse_plan, read_plan

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = re.compile(r"```toml\n(# release\.toml.*?)```", re.DOTALL)
HERE = Path("/somewhere/release.toml")


def example() -> str:
    """The example of docs/release.md."""
    found = EXAMPLE.search((ROOT / "docs" / "release.md").read_text("utf-8"))
    assert found is not None
    return found[1]


def keys_of(model: type[BaseModel], prefix: str = "") -> set[str]:
    """Every key of a table, and of the tables in it."""
    found = set()
    for name, field in model.model_fields.items():
        inner = model_in(field.annotation)
        path = f"{prefix}{field.alias or name}"
        if inner is not None and path != "wave.gates":
            found |= keys_of(inner, f"{path}.")
        elif name not in OURS:
            found.add(path)
    return found


def set_keys(value: BaseModel, prefix: str = "") -> set[str]:
    """Every key that a file set."""
    found = set()
    for name in value.model_fields_set:
        field = type(value).model_fields[name]
        path, inner = f"{prefix}{field.alias or name}", getattr(value, name)
        inners = inner if isinstance(inner, tuple) and inner and isinstance(inner[0], BaseModel) else (inner,)
        for one in inners:
            if isinstance(one, BaseModel) and path != "wave.gates":
                found |= set_keys(one, f"{path}.")
            elif name not in OURS:
                found.add(path)
    return found


def test_the_example_sets_every_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """What would be lost: a setting that nobody finds, or an example that is refused."""
    for name in ("PROMETHEUS_PASSWORD", "CHAT_TOKEN", "PROMETHEUS_TOKEN"):
        monkeypatch.setenv(name, "hush/hush")
    plan = parse_plan(example(), HERE)
    assert keys_of(Plan) - set_keys(plan) == set()
    assert [wave.name for wave in plan.waves] == ["pilot", "north", "small", "tenth", "all"]
    assert "hush" not in repr(plan)


def test_a_name_is_all_that_a_plan_needs() -> None:
    plan = parse_plan('name = "autumn"', HERE)
    assert [(wave.count, wave.share) for wave in plan.waves] == [(3, None), (10, None), (None, 1.0)]
    assert plan.path(plan.publish.routes) == Path("/somewhere/routes.json")
    assert plan.digest != parse_plan('name = "autumn" ', HERE).digest


@pytest.mark.parametrize(
    ("text", "line", "message", "remedy"),
    [
        ("[[wave]]\nname = 'a'\ncount = 3", 0, "name is missing", "docs/release.md"),
        ("name = 'x'\n[triggers]\nerror_rat = 0.1", 3, "unknown key 'triggers.error_rat'", "'error_rate'"),
        ("name = 'x'\n[[wave]]\nname = 'a'\ncount = 1\n[[wave]]\nname = 'b'\nstore = ['S1']", 7, "'wave.store'", "'stores'"),
        ("name = 'x'\n[[wave]]\nname = 'a'\ncount = 1\n[wave.gates.lag]\nlimit = 3", 6, "'wave.gates.lag.limit'", "'limit_s'"),
        ("name = 'x'\n[[wave]]\nname = 'a'\ncount = 1\n\n[[wave]]\ncount = 1", 6, "wave.name is missing", ""),
        ("name = 'x'\n[[wave]]\nname = 'a'\ncount = 1\nshare = 0.5", 2, "has count and share", ""),
        ("name = 'x'\n[[wave]]\nname = 'a'", 2, "has none", ""),
        ("name = 'x'\nwave = []", 2, "wave:", ""),
        ("name = 'x'\nwave = [{ name = 'a', count = 1 }, { name = 'a', count = 1 }]", 2, "two waves are called 'a'", ""),
        ("name = 'x'\nroles.approver = ['li', 'li']\nwave = [{ name = 'a', count = 1, approvals = 2 }]", 0, "names 1 people", ""),
        ("name = 'x'\n[windows]\nallow = ['Mon-Fri 22-06']", 3, "'Mon-Fri 22-06' are no hours", ""),
        ("name = 'x'\n[windows]\n\nnever = ['11/11']", 4, "'11/11' are no dates", ""),
        ("name = 'x'\n[windows]\ntime_zone = 'Asia/Shanghigh'", 3, "no time zone 'Asia/Shanghigh'", ""),
        ("name = 'x'\n[gates.lag]\nlimit_s = nan", 3, "gates.lag.limit_s", ""),
        ("name = 'x'\n[triggers]\nfast_burn = inf", 3, "triggers.fast_burn", ""),
        ("name = 'x'\n[metrics]\nsource = 'sql'", 2, "no [metrics.sql]", ""),
        ("name = 'x'\n[metrics.prometheus]\nurl = 'file:///etc/passwd'", 3, "http://", ""),
        ("name = 'x'\n[switch]\nsnapshot = 'perhaps'", 3, "switch.snapshot", ""),
        ("name = 'x'\nname = 'y'\nwave = 1", 2, "not valid TOML", "line"),
        ("name = 'x'\norigin = 'elsewhere'", 0, "unknown key 'origin'", ""),
    ],
)
def test_a_mistake_is_named_with_its_line(text: str, line: int, message: str, remedy: str) -> None:
    """What a bug would cost: a release held up at night by a message about the wrong line."""
    with pytest.raises(ConfigurationError) as caught:
        parse_plan(text, HERE)
    assert message in caught.value.message
    assert f"line {line}" in caught.value.message or not line
    assert remedy in caught.value.remedy
    assert "Value error" not in caught.value.message


def test_a_secret_is_not_shown_by_a_mistake_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "geheim")
    with pytest.raises(ConfigurationError) as caught:
        parse_plan("name = 'x'\n[alerts]\nred = '${env:TOKEN}'", HERE)
    assert "geheim" not in caught.value.message + caught.value.remedy


def test_a_wave_says_only_what_is_different_for_it() -> None:
    """What a bug would cost: a wave that loosens one gate loses the limits of all the others."""
    plan = parse_plan(
        "name = 'x'\n[gates.training]\nminimum = 0.8\nfile = 'a.csv'\n[gates.lag]\nlimit_s = 9\n"
        "[[wave]]\nname = 'a'\ncount = 1\n[[wave]]\nname = 'b'\ncount = 1\ngates.training.minimum = 0.95\n"
        "[wave.gates.alerts]\nenabled = false",
        HERE,
    )
    first, second = plan.gates_of(0), plan.gates_of(1)
    assert first == plan.gates
    assert (second.training.minimum, second.training.file, second.lag.limit_s) == (0.95, Path("a.csv"), 9)
    assert (first.alerts.enabled, second.alerts.enabled) == (True, False)


def test_a_file_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No plan"):
        read_plan(tmp_path / "release.toml")
    (tmp_path / "release.toml").write_bytes("name = 'é'".encode("latin-1"))
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_plan(tmp_path / "release.toml")


def test_roles_of_a_user() -> None:
    plan = parse_plan("name = 'x'\n[roles]\napprover = ['li', 'wu']\noperator = ['li']", HERE)
    assert plan.roles.of("li") == ("approver", "operator")
    assert plan.roles.allows("approver", "zhao") is False
    assert plan.roles.allows("overruler", "zhao") is True
