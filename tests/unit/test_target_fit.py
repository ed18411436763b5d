"""Damage of which the server says nothing: found by us."""

from __future__ import annotations

from datetime import datetime, time

import polars as pl
import pytest

from etl.target.columns import TargetColumn, describe_column
from etl.target.fit import find_silent_damage
from etl.target.outcome import LoadWarning


def test_a_frame_that_fits() -> None:
    columns = (TargetColumn("n", "integer", precision=64, nullable=False), TargetColumn("at", "datetime", scale=6))

    assert find_silent_damage(pl.DataFrame({"n": [1], "at": [datetime(2026, 1, 1, 0, 0, 0, 123_456)]}), columns) == ()


def test_digits_beyond_the_columns_are_found() -> None:
    values = [datetime(9999, 12, 31), None, datetime(2026, 1, 1, 0, 0, 0, 123_400), datetime(2026, 1, 1, 0, 0, 0, 123_000)]
    damage = find_silent_damage(pl.DataFrame({"at": values}), (TargetColumn("at", "datetime", scale=3),))

    assert damage == (LoadWarning(1265, 3),)


def test_a_time_with_a_fraction_does_not_fit_whole_seconds() -> None:
    damage = find_silent_damage(pl.DataFrame({"at": [time(1), time(1, 0, 0, 1)]}), (TargetColumn("at", "time", scale=0),))

    assert damage == (LoadWarning(1265, 2),)


def test_null_where_the_server_would_make_an_id() -> None:
    key = TargetColumn("id", "integer", precision=64, nullable=False, has_default=True)

    assert find_silent_damage(pl.DataFrame({"id": [1, None]}), (key,)) == (LoadWarning(1263, 2),)


def test_spaces_at_the_end_of_a_char() -> None:
    column = describe_column(("c", "char", "char(5)", 5, None, None, None, "YES", None, ""))

    assert find_silent_damage(pl.DataFrame({"c": ["a", "a ", None]}), (column,)) == (LoadWarning(1265, 2),)


def test_short_bytes_in_a_fixed_binary() -> None:
    column = describe_column(("b", "binary", "binary(2)", 2, None, None, None, "YES", None, ""))

    assert find_silent_damage(pl.DataFrame({"b": [b"ab", b"a"]}), (column,)) == (LoadWarning(1265, 2),)


@pytest.mark.parametrize(
    ("values", "column"),
    [
        (pl.Series("c", [1.5]), TargetColumn("c", "integer", precision=64)),
        (pl.Series("c", ["1.5"]), TargetColumn("c", "integer", precision=64)),
        (pl.Series("c", [datetime(2026, 1, 1, 1)]), TargetColumn("c", "date")),
        (pl.Series("c", [0.1]), TargetColumn("c", "float", precision=32)),
        (pl.Series("c", [0.1]), TargetColumn("c", "decimal", precision=9, scale=2)),
        (pl.Series("c", ["x"]), TargetColumn("c", "binary", length=4)),
        (pl.Series("other", [1]), TargetColumn("c", "integer", precision=64)),
    ],
)
def test_a_type_that_the_server_would_round_is_refused(values: pl.Series, column: TargetColumn) -> None:
    with pytest.raises(TypeError):
        find_silent_damage(values.to_frame(), (column,))
