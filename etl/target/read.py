"""Rows as the server wrote them, turned into typed polars columns without losing anything.

The server sends text; polars and Arrow parse it a column at a time. A value that is not exactly of the asked type (a zero date,
a decimal with more digits, text that is not UTF-8) is an error, never a rounded or missing value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

import polars as pl
import pyarrow as pa

from etl.errors import TargetError

if TYPE_CHECKING:
    from etl.target.drivers import RawRows

Types = Mapping[str, pl.DataType]

SLICE_ROWS: Final = 1_000
"""Rows taken from the driver at a time: few enough to stay in the processor's cache, twice as fast as 50,000."""


def frames_of(slices: Iterable[RawRows], types: Types, batch_rows: int) -> Iterator[pl.DataFrame]:
    """Frames of at most about `batch_rows` rows (whole slices) with the columns and types of `types`, in its order.

    Raises TargetError when a value is not of the type asked for.
    """
    chunks: list[list[pl.Series]] = []
    rows = 0
    for raw in slices:
        chunks.append([pl.Series(values, dtype=pl.Binary) for values in zip(*raw, strict=True)])
        rows += len(raw)
        if rows >= batch_rows:
            yield typed_frame(chunks, types)
            chunks, rows = [], 0
    if chunks:
        yield typed_frame(chunks, types)


def typed_frame(chunks: list[list[pl.Series]], types: Types) -> pl.DataFrame:
    """Join the slices of each column and parse them."""
    if len(chunks[0]) != len(types):
        raise ValueError(f"the query returns {len(chunks[0])} columns, {len(types)} types were given")
    columns = (
        typed_column(name, pl.concat([chunk[index] for chunk in chunks]), dtype)
        for index, (name, dtype) in enumerate(types.items())
    )
    return pl.DataFrame(list(columns))


def typed_column(name: str, raw: pl.Series, dtype: pl.DataType) -> pl.Series:
    """One column of bytes as `dtype`. Raises TargetError, without any value in it."""
    try:
        return parse_column(raw, dtype).alias(name)
    except (pl.exceptions.PolarsError, pa.ArrowInvalid, pa.ArrowNotImplementedError):
        # The libraries quote the value that they stumble over: it must not go on.
        raise TargetError(
            f"Column {name} of the target holds a value that is not {dtype}{hint(dtype)}.",
            "Look at the column on the target; a zero date or a value written past strict mode must be corrected there first.",
        ) from None


def hint(dtype: pl.DataType) -> str:
    """What such a value usually is."""
    return " (a zero or impossible date?)" if dtype.is_temporal() else ""


def parse_column(raw: pl.Series, dtype: pl.DataType) -> pl.Series:
    """Bytes to values, strictly."""
    if dtype == pl.Binary:
        return raw
    text = raw.cast(pl.String)
    if dtype == pl.String:
        return text
    if dtype.is_decimal():
        refuse_lost_digits(text, dtype)
        return text.cast(dtype)
    if dtype == pl.Boolean:
        number = text.cast(pl.UInt8)
        if (number > 1).any():
            raise pl.exceptions.InvalidOperationError("not a truth value")
        return number.cast(pl.Boolean)
    if dtype.is_temporal():
        return parse_times(text, dtype)
    return text.cast(dtype)


def parse_times(text: pl.Series, dtype: pl.DataType) -> pl.Series:
    """Arrow parses ISO times a dozen times faster than strptime, and refuses what is no time. Zones are taken as UTC."""
    if dtype == pl.Time:  # of some day: a TIME can also be negative or longer than a day, which is refused
        return arrow_cast("1970-01-01 " + text, pa.timestamp("us")).dt.time()
    moments = arrow_cast(text, pa.timestamp("us"))
    if isinstance(dtype, pl.Datetime) and dtype.time_zone:
        return moments.dt.replace_time_zone("UTC").cast(dtype)
    if dtype == pl.Date and (moments.dt.truncate("1d") != moments).any():
        raise pl.exceptions.InvalidOperationError("not a date")
    return moments.cast(dtype)


def arrow_cast(text: pl.Series, arrow_type: pa.DataType) -> pl.Series:
    """Parse text by Arrow's own rules, which are strict."""
    parsed = pl.from_arrow(text.to_arrow().cast(arrow_type))
    assert isinstance(parsed, pl.Series)
    return parsed


def refuse_lost_digits(text: pl.Series, dtype: pl.DataType) -> None:
    """A cast to a decimal rounds digits beyond its scale away in silence. The server writes exactly as many as its column has,
    so the point stands at one place; only where it does not are the digits counted."""
    scale = getattr(dtype, "scale", 0) or 0
    if scale and (text.str.slice(-(scale + 1), 1) == ".").all():
        return
    fraction = text.str.extract(r"\.(\d*?)0*$", 1).str.len_bytes()
    if (fraction > scale).any():
        raise pl.exceptions.InvalidOperationError("more digits than the type holds")
