"""The whole story, small: every step ends as it should, and nothing it printed or wrote names a person."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl
import pytest

from fixtures.data.generate import generate
from fixtures.demo import DemoRequest, DemoResult, run_demo

MEMBERS, SEED = 1_000, 7
PERSONAL = {
    "crm.dbo.Member": ("Name", "Phone", "Email", "IdCard", "UnionId", "Address"),
    "pos.dbo.PosMember": ("Name", "Phone", "IdCard", "Address"),
    "ecom.dbo.Account": ("RealName", "Phone", "Email", "UnionId", "Address"),
}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[DemoResult, str]:
    """The result of a small demo, and all it said and wrote, as one text."""
    folder = tmp_path_factory.mktemp("demo")
    told: list[str] = []
    request = DemoRequest(MEMBERS, SEED, False, 20, folder / "sandbox", folder / "reports", parts=("move",))
    result = run_demo(request, told.append)
    texts = [path.read_text("utf-8") for path in sorted((folder / "reports").iterdir())]
    assert not (folder / "sandbox" / "membershift.toml").exists()
    return result, "\n".join([*told, *texts])


@pytest.mark.timeout(900)
def test_every_step_ends_as_it_should(demo: tuple[DemoResult, str]) -> None:
    result, _ = demo
    assert [step.title for step in result.steps if not step.passed] == []
    assert result.found == result.planted == 20
    assert {path.name for path in result.reports} == {
        "assess.html",
        "dedupe.html",
        "dedupe-report.html",
        "load.html",
        "reconcile.html",
        "invariants.html",
        "damage.html",
    }


def test_nothing_names_a_person(demo: tuple[DemoResult, str], tmp_path: Path) -> None:
    data = generate(MEMBERS, SEED, tmp_path)
    values: set[str] = set()
    for table, columns in PERSONAL.items():
        frame = data.frame(table)
        for column in columns:
            series = frame[column]
            if series.dtype == pl.Binary:
                series = pl.Series([value.decode("utf-16-le", "ignore") if value else None for value in series], dtype=pl.String)
            values.update(value for value in series.drop_nulls().str.strip_chars() if is_telling(value))
    assert len(values) > 3 * MEMBERS
    words = set(re.findall(r"[\w@.+-]+", demo[1]))
    assert not {value for value in values if value in words or (len(value) > 8 and value in demo[1])}


def is_telling(value: str) -> bool:
    """Long enough that finding it is no accident: three Chinese characters, or seven of anything but one repeated digit."""
    return len(set(value)) > 1 and (len(value) >= 7 or is_chinese_name(value))


def is_chinese_name(value: str) -> bool:
    """Three Chinese characters or more."""
    return len(value) >= 3 and all("一" <= character <= "鿿" for character in value)
