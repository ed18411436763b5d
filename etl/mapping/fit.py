"""Will a value fit its target column? Checked here, since the server would cut, round or clamp it with a mere warning."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

import polars as pl

from etl.target.columns import TargetColumn

# What the MySQL manual supports; TiDB and MariaDB take earlier years without promising anything about them.
FIRST_DATE: Final = date(1000, 1, 1)
FIRST_TIME: Final = datetime(1000, 1, 1)
FIRST_STAMP: Final = datetime(1970, 1, 1, 0, 0, 1)
LAST_STAMP: Final = datetime(2038, 1, 19, 3, 14, 7)
EXACT_IN_DOUBLE: Final = 2**53
MOST_DIGITS: Final = 38


class DoesNotFit(Exception):
    """A source type can never be put into a target column; the text says why."""


@dataclass(frozen=True)
class Check:
    """One way in which values can fail to fit. `screen` is one boolean for a whole column and cheap: is it worth asking
    `fails` of each value? `detail` says why as text, without the value."""

    reason: str
    screen: pl.Expr
    fails: pl.Expr
    detail: pl.Expr


@dataclass(frozen=True)
class Fit:
    """How to bring a value into a target column: `cast`, where no check fails."""

    cast: pl.Expr
    checks: tuple[Check, ...] = ()


def fit(value: pl.Expr, given: pl.DataType, column: TargetColumn) -> Fit:
    """How a value of polars type `given` gets into `column`. Raises DoesNotFit when the types can never agree."""
    if column.kind == "other" or column.generated:
        raise DoesNotFit(f"a column of type {column.type_name or column.kind} cannot be written")
    if isinstance(given, pl.Null):
        return Fit(value.cast(column.polars_type()))
    match column.kind:
        case "text":
            return fit_text(value, given, column)
        case "binary":
            return fit_binary(value, given, column)
        case "decimal":
            return fit_decimal(value, given, column)
        case "float":
            return fit_float(value, given, column)
        case "date":
            must_be(given, pl.Date, "a date", 'use as = "date"')
            return Fit(value, (outside(value < FIRST_DATE, "before the year 1000"),))
        case "datetime":
            return fit_time(value, given, column)
        case "time":
            must_be(given, pl.Time, "a time of day", "map a time column to it")
            digits = too_many_digits(value.to_physical() // 1000, column.scale)
            return Fit(value, (digits,) if digits else ())
        case _:
            return fit_integer(value, given, column)


def must_be(given: pl.DataType, wanted: type[pl.DataType], what: str, remedy: str) -> None:
    """Refuse another type than `wanted`."""
    if not isinstance(given, wanted):
        raise DoesNotFit(f"it takes {what}, and the transform gives {given}: {remedy}")


def outside(fails: pl.Expr, detail: str) -> Check:
    """An `out_of_range` check."""
    return Check("out_of_range", fails.any(), fails, pl.lit(detail))


def fit_text(value: pl.Expr, given: pl.DataType, column: TargetColumn) -> Fit:
    """Text by its length: in characters for char and varchar, in bytes for text columns. Whole numbers are written out."""
    if given.is_integer():
        value = value.cast(pl.String)
    else:
        must_be(given, pl.String, "text", 'use as = "text"')
    in_bytes = column.bytes_limit is not None
    limit = column.bytes_limit if in_bytes else column.length
    if limit is None:
        return Fit(value)
    size = value.str.len_bytes() if in_bytes else value.str.len_chars()
    detail = pl.format("{} " + ("bytes" if in_bytes else "characters") + f", {limit} fit", size)
    # Never fewer bytes than characters, and counting bytes costs next to nothing.
    return Fit(value, (Check("too_long", value.str.len_bytes().max() > limit, size > limit, detail),))


def fit_binary(value: pl.Expr, given: pl.DataType, column: TargetColumn) -> Fit:
    """Bytes by their number."""
    must_be(given, pl.Binary, "bytes", "map a binary column to it")
    if column.length is None:
        return Fit(value)
    fails = value.bin.size() > column.length
    return Fit(value, (Check("too_long", fails.any(), fails, pl.lit(f"{column.length} bytes fit")),))


def fit_integer(value: pl.Expr, given: pl.DataType, column: TargetColumn) -> Fit:
    """Whole numbers by their range; a wider source type needs a look at the values, a narrower one does not."""
    wanted = column.polars_type()
    if isinstance(given, pl.Boolean):
        return Fit(value.cast(wanted))
    if not given.is_integer():
        raise DoesNotFit(f'it takes whole numbers, and the transform gives {given}: use as = "integer"')
    least, most = column.bounds
    low, high = integer_range(given)
    conditions = ([value < least] if low < least else []) + ([value > most] if high > most else [])
    cast = value if given == wanted else value.cast(wanted, strict=False)
    return Fit(cast, (outside(pl.any_horizontal(conditions), f"{least} to {most} fit"),) if conditions else ())


def integer_range(dtype: pl.DataType) -> tuple[int, int]:
    """Least and greatest value of a polars integer type.

    >>> integer_range(pl.UInt8())
    (0, 255)
    """
    low, high = pl.select(low=pl.lit(0, dtype).lower_bound(), high=pl.lit(0, dtype).upper_bound()).row(0)
    return int(low), int(high)


def fit_decimal(value: pl.Expr, given: pl.DataType, column: TargetColumn) -> Fit:
    """Decimals by their digits on both sides of the point: never rounded."""
    precision, scale = column.precision or 10, column.scale or 0
    whole_digits = precision - scale
    if given.is_integer():
        source_whole, source_scale = len(str(integer_range(given)[1])), 0
    elif isinstance(given, pl.Decimal):
        source_whole, source_scale = (given.precision or MOST_DIGITS) - given.scale, given.scale
    else:
        raise DoesNotFit(f'it takes decimals, and the transform gives {given}: use as = "money" or "decimal"')
    checks: list[Check] = []
    if source_scale > scale:
        rounded = value.cast(pl.Decimal(MOST_DIGITS, scale), strict=False).cast(
            pl.Decimal(MOST_DIGITS, source_scale), strict=False
        )
        fails = rounded.ne_missing(value) & value.is_not_null()
        checks.append(Check("not_exact", fails.any(), fails, pl.lit(f"more than {scale} fractional digits")))
    cast = value if given == column.polars_type() else value.cast(column.polars_type(), strict=False)
    if source_whole > whole_digits:
        # A value with too many digits does not survive the cast; one with too many fractional digits does, rounded.
        fails = value.is_not_null() & cast.is_null()
        checks.append(outside(fails, f"more than {whole_digits} digits before the point"))
    return Fit(cast, tuple(checks))


def fit_float(value: pl.Expr, given: pl.DataType, column: TargetColumn) -> Fit:
    """Floating point: only what is floating point already, or whole numbers that a double holds exactly."""
    wanted = column.polars_type()
    if given.is_float():
        if isinstance(wanted, pl.Float32) and isinstance(given, pl.Float64):
            raise DoesNotFit("a float would not hold a double exactly: change the target column to double")
        return Fit(value.cast(wanted), (outside(~value.is_finite(), "not a finite number"),))
    if not given.is_integer() or isinstance(wanted, pl.Float32):
        raise DoesNotFit(f"it would not hold {given} exactly: change the target column to decimal")
    fails = (value > EXACT_IN_DOUBLE) | (value.cast(pl.Int128) < -EXACT_IN_DOUBLE)
    return Fit(value.cast(wanted), (outside(fails, "a double holds whole numbers to 2^53 exactly"),))


def fit_time(value: pl.Expr, given: pl.DataType, column: TargetColumn) -> Fit:
    """Times by their range and their fractional digits."""
    must_be(given, pl.Datetime, "a date and time", 'use as = "local_time" or "utc_time"')
    value = value.cast(pl.Datetime("us"))
    if column.type_name.startswith("timestamp"):
        check = outside((value < FIRST_STAMP) | (value > LAST_STAMP), "a TIMESTAMP holds 1970 to January 2038")
    else:
        check = outside(value < FIRST_TIME, "before the year 1000")
    digits = too_many_digits(value.to_physical(), column.scale)
    return Fit(value, (check, digits) if digits else (check,))


def too_many_digits(microseconds: pl.Expr, scale: int | None) -> Check | None:
    """A `not_exact` check of the fractional digits of a second; None when six fit."""
    digits = 6 if scale is None else scale
    if digits >= 6:
        return None
    fails = microseconds % 10 ** (6 - digits) != 0
    return Check("not_exact", fails.any(), fails, pl.lit(f"more than {digits} digits of a second"))
