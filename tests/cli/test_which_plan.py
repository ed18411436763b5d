"""Which release.toml a command takes: the one beside the configuration in use, whatever folder it is called from."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import pytest

from cli.app import run
from cli.commands import drill, release
from migrations.release.event_log import open_event_log
from migrations.release.events import Planned, Started
from migrations.release.model import Route
from migrations.release.plan_file import read_plan

CONFIG = '[source]\nurl = "mssql://a:b@127.0.0.1:1"\n[target]\nurl = "mysql://a:b@127.0.0.1:1"\nretries = 0\n'
PLAN = 'name = "{name}"\n[[wave]]\nname = "pilot"\nstores = ["S1"]\n[publish]\nacknowledge = "none"\n'
WITHOUT = {"history", "report", "list"}
"""They read the log alone."""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Planned and started here; called from a folder with a plan of somebody else."""
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    for folder, name in ((home, "ours"), (elsewhere, "theirs")):
        folder.mkdir()
        (folder / "release.toml").write_text(PLAN.format(name=name))
    (home / "membershift.toml").write_text(CONFIG)
    with open_event_log(home / ".membershift") as log:
        log.append(Planned("ours", (("S1",),), {"S1": Route.LEGACY}, read_plan(home / "release.toml").digest))
        log.append(Started())
    monkeypatch.chdir(elsewhere)
    return home / "membershift.toml"


@pytest.mark.parametrize("named", ["--config", "MEMBERSHIFT_CONFIG"])
def test_status_and_watch_take_the_plan_beside_the_configuration(
    config: Path, named: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a bug would cost: a screen that judges this release by the plan of another."""
    given = ["--config", str(config)] if named == "--config" else []
    if not given:
        monkeypatch.setenv(named, str(config))
    run(["release", "status", "--json", *given])
    status = json.loads(capsys.readouterr().out)
    assert (status["trouble"], status["changed_plan"]) == ("", False)
    assert run(["release", "watch", "--once", "--json", *given]) == 0
    seen = json.loads(capsys.readouterr().out)
    assert (list(seen["trouble"]), seen["changed_plan"]) == ([], False)


def test_a_drill_in_production_takes_it_too(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a bug would cost: real stores closed in hours that another plan allows."""
    words = ["drill", "run", "rollback", "--no-sandbox", "--i-mean-production", "--store", "S1", "--json"]
    assert run([*words, "--config", str(config)]) == 7
    assert "S1 is not on TiDB" in json.loads(capsys.readouterr().err)["error"], "the release of the other plan is not this one"


def test_every_command_that_needs_a_plan_lets_it_be_named_in_one_way() -> None:
    """A command that is added later would take the working folder's again."""
    for group in (release.release, drill.drill):
        for command in group.registered_commands:
            assert command.callback is not None
            name = command.name or command.callback.__name__
            found = inspect.signature(command.callback).parameters.get("plan_file")
            assert (found is None) == (name in WITHOUT), name
            assert found is None or found.default is None, name
