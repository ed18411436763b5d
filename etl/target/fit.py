"""What the server would change without a word in a LOAD DATA, found before it is sent.

Most damage makes a warning. These do not, on TiDB 8.5 or MariaDB 10.11: 12.5 into an integer (13), more fraction digits than
a DATETIME has (TiDB rounds, MariaDB cuts), a time of day into a DATE (TiDB), trailing spaces into a CHAR, NULL into a key that
makes its own ids, a double into a FLOAT, short bytes into a BINARY(n). So a frame's types must be those of the table, and the
rest is looked for by column.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import polars as pl

from etl.target.columns import TargetColumn
from etl.target.outcome import LoadWarning

NULL_REFUSED: Final = 1263
CUT_SHORT: Final = 1265
"""The codes that the server gives where it does complain of such values."""
FRACTION_DIGITS: Final = {"ms": 3, "us": 6, "ns": 9}
"""Digits after the second in the integers of each time unit of polars."""


def find_silent_damage(frame: pl.DataFrame, columns: Sequence[TargetColumn]) -> tuple[LoadWarning, ...]:
    """Values of `frame` that would arrive changed, as warnings of the server's kind; `columns` are the table's.

    Raises TypeError when a column of the frame is not of a type that its column in the table holds, or is not in the table.
    """
    known = {column.name: column for column in columns}
    found: list[LoadWarning] = []
    for values in frame:
        column = known.get(values.name)
        if column is None:
            raise TypeError(f"the table has no column {values.name}")
        if not fits(values.dtype, column):
            raise TypeError(f"column {column.name}: {values.dtype} cannot be loaded into {column.type_name} without a change")
        if not column.nullable and values.null_count():
            found += warnings_at(values.is_null(), NULL_REFUSED)
        lost = cut_short(values, column)
        if lost is not None and lost.any():
            found += warnings_at(lost, CUT_SHORT)
    return tuple(found)


def fits(dtype: pl.DataType, column: TargetColumn) -> bool:
    """Whether the server either keeps every value of `dtype` in `column` or warns of those that it changes.

    >>> fits(pl.Int64(), TargetColumn("a", "integer")), fits(pl.Float64(), TargetColumn("a", "integer"))
    (True, False)
    """
    if dtype == pl.Null or column.kind == "other":
        return True
    match column.kind:
        case "integer":
            return dtype.is_integer() or dtype == pl.Boolean
        case "decimal":
            return dtype.is_decimal() or dtype.is_integer()
        case "float":
            return dtype == pl.Float32 or (dtype == pl.Float64 and column.precision != 32)
        case "text":
            return dtype in (pl.String, pl.Categorical, pl.Enum) or dtype.is_integer() or dtype.is_decimal()
        case "binary":
            return dtype == pl.Binary
        case "date":
            return dtype == pl.Date
        case "time":
            return dtype == pl.Time
        case "datetime":
            return isinstance(dtype, pl.Datetime) or dtype == pl.Date


def cut_short(values: pl.Series, column: TargetColumn) -> pl.Series | None:
    """Which values end in something the column drops, or None where none can."""
    dtype = values.dtype
    if isinstance(dtype, pl.Datetime) and column.kind == "datetime":
        return beyond(values, FRACTION_DIGITS[dtype.time_unit] - (column.scale or 0))
    if dtype == pl.Time and column.kind == "time":
        return beyond(values, FRACTION_DIGITS["ns"] - (column.scale or 0))
    if column.type_name.startswith("char(") and dtype == pl.String:
        return values.str.ends_with(" ")
    fixed = re.match(r"binary\((\d+)\)", column.type_name)
    if fixed and dtype == pl.Binary:
        size: pl.Series = values.bin.size()
        return size < int(fixed[1])
    return None


def beyond(values: pl.Series, digits: int) -> pl.Series | None:
    """Which times are not zero in their last `digits` digits."""
    if digits <= 0:
        return None
    rest: pl.Series = values.to_physical() % 10**digits
    return rest != 0


def warnings_at(mask: pl.Series, code: int) -> list[LoadWarning]:
    """A warning for each row where `mask` is true."""
    return [LoadWarning(code, row + 1) for row in mask.fill_null(False).arg_true().to_list()]
