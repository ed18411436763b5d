"""The estimate's default rates: one truth, written in three places."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from cli.commands.assess import assess
from etl.assess.model import Rates

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "performance.md").read_text("utf-8")


def measured(step: str) -> int:
    """Rows/s of a step of the member table, as the page of measurements gives it."""
    found = re.search(rf"^\| `{step}`[^|]*\| ([0-9,]+) rows/s", PAGE, re.MULTILINE)
    assert found is not None, f"docs/performance.md measures no `{step}`"
    return int(found[1].replace(",", ""))


def test_defaults_promise_no_more_than_was_measured() -> None:
    rates = Rates()
    assert measured("stage") / 3 <= rates.extract_rows_per_s <= measured("stage") * 1.1
    assert measured("load") / 3 <= rates.load_rows_per_s <= measured("load") * 1.1


@pytest.mark.parametrize(
    ("option", "rate"),
    [
        ("extract_rate", Rates().extract_rows_per_s),
        ("load_rate", Rates().load_rows_per_s),
        ("index_rate", Rates().index_rows_per_s),
    ],
)
def test_the_command_has_the_same_defaults(option: str, rate: float) -> None:
    assert inspect.signature(assess).parameters[option].default == rate
