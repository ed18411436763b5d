"""The estimate's default rates: the command and the function promise the same."""

from __future__ import annotations

import inspect

import pytest

from cli.commands.assess import assess
from etl.assess.model import Rates


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
