"""Scenarios of one's own: read from a file, and refused where they cannot be what was meant."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from etl.errors import UsageError
from loadtest.scenario import Scenario, Zipf, read_scenario

TEXT = """
from loadtest.scenario import Call, Refused, Scenario

mine = Scenario("mine")

@mine.operation(weight=9)
def look_up(call: Call) -> None:
    call.query("SELECT 1")

@mine.operation(weight=1, writes=True, name="spend points")
def spend(call: Call) -> None:
    raise Refused
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.py"
    path.write_text(text)
    return path


def test_a_file_with_a_decorator(tmp_path: Path) -> None:
    found = read_scenario(written(tmp_path, TEXT))
    assert [(one.name, one.weight, one.writes) for one in found.operations] == [("look_up", 9, False), ("spend points", 1, True)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1", "0 scenarios"),
        (TEXT + 'other = Scenario("other")', "2 scenarios"),
        (TEXT + "1 / 0", "ZeroDivisionError"),
        (TEXT.replace("weight=9", "weight=0"), "weight of look_up"),
        (TEXT.replace("spend points", "look_up"), "two operations"),
        ('from loadtest.scenario import Scenario\nx = Scenario("x")', "no operation"),
    ],
)
def test_what_cannot_be_run_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_scenario(written(tmp_path, text))


def test_one_of_several_can_be_named(tmp_path: Path) -> None:
    assert read_scenario(written(tmp_path, TEXT + 'other = Scenario("other")'), "mine").name == "mine"


def test_no_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no Python file"):
        read_scenario(tmp_path / "none.py")


def test_the_first_member_comes_twice_as_often_as_the_second() -> None:
    zipf, shares = Zipf(1_000), np.random.default_rng(1).random(200_000)
    seen = Counter(zipf.at(share) for share in shares.tolist())
    assert set(seen) <= set(range(1_000))
    assert seen[0] / seen[1] == pytest.approx(2, rel=0.05)
    assert seen[0] / seen[9] == pytest.approx(10, rel=0.1)


def test_a_scenario_is_what_its_decorator_was_given() -> None:
    empty = Scenario("empty")
    with pytest.raises(UsageError):
        empty.operation(weight=-1)(lambda call: None)
    assert empty.operations == []
