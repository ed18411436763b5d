"""Bytes to typed columns: exact, or an error that shows no value."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal

import polars as pl
import pytest

from etl.errors import TargetError
from etl.target.drivers import RawRows
from etl.target.read import frames_of, typed_column


def column(dtype: pl.DataType, *values: bytes | None) -> list[object]:
    return typed_column("c", pl.Series(values, dtype=pl.Binary), dtype).to_list()


@pytest.mark.parametrize(
    ("dtype", "raw", "value"),
    [
        (pl.Int64(), b"-9223372036854775808", -(2**63)),
        (pl.UInt64(), b"18446744073709551615", 2**64 - 1),
        (pl.Decimal(38, 0), b"99999999999999999999999999999999999999", Decimal("9" * 38)),
        (pl.Decimal(38, 10), b"-1234567890123456789012345678.0123456789", Decimal("-1234567890123456789012345678.0123456789")),
        (pl.Decimal(19, 4), b"1.50", Decimal("1.5")),
        (pl.Float64(), b"1.7976931348623157e308", 1.7976931348623157e308),
        (pl.Float64(), b"5e-324", 5e-324),
        (pl.Boolean(), b"1", True),
        (pl.String(), "\U0001f600 \x00\t\\N".encode(), "\U0001f600 \x00\t\\N"),
        (pl.String(), b"", ""),
        (pl.Binary(), b"\x00\xff", b"\x00\xff"),
        (pl.Date(), b"9999-12-31", date(9999, 12, 31)),
        (pl.Date(), b"0001-01-01", date(1, 1, 1)),
        (pl.Datetime("us"), b"0001-01-01 00:00:00.000001", datetime(1, 1, 1, 0, 0, 0, 1)),
        (pl.Datetime("us"), b"9999-12-31 23:59:59.999999", datetime(9999, 12, 31, 23, 59, 59, 999_999)),
        (pl.Datetime("us"), b"2026-01-02 03:04:05", datetime(2026, 1, 2, 3, 4, 5)),
        (pl.Datetime("us", "UTC"), b"2026-01-02 03:04:05.1", datetime(2026, 1, 2, 3, 4, 5, 100_000, tzinfo=UTC)),
        (pl.Time(), b"23:59:59.999999", time(23, 59, 59, 999_999)),
    ],
)
def test_values_arrive_exactly(dtype: pl.DataType, raw: bytes, value: object) -> None:
    assert column(dtype, raw, None) == [value, None]


@pytest.mark.parametrize(
    ("dtype", "raw"),
    [
        (pl.Date(), b"0000-00-00"),
        (pl.Date(), b"2026-02-30"),
        (pl.Date(), b"2026-01-02 03:04:05"),
        (pl.Datetime("us"), b"0000-00-00 00:00:00.000000"),
        (pl.Datetime("us"), b"2026-00-10 00:00:00"),
        (pl.Time(), b"-01:00:00"),
        (pl.Time(), b"838:59:59"),
        (pl.Int64(), b"1.5"),
        (pl.Int8(), b"128"),
        (pl.Int64(), b""),
        (pl.Decimal(19, 4), b"1.00005"),
        (pl.Decimal(38, 2), b"1.005"),
        (pl.Decimal(38, 0), b"0.5"),
        (pl.Decimal(38, 12), b"12345678901234567890123456789012345678"),
        (pl.Boolean(), b"2"),
        (pl.Float64(), b"abc"),
        (pl.String(), b"\xff139"),
    ],
)
def test_what_is_not_of_the_type_is_an_error_without_the_value(dtype: pl.DataType, raw: bytes) -> None:
    with pytest.raises(TargetError) as caught:
        column(dtype, None, raw)
    assert "Column c" in caught.value.message
    assert raw.decode("latin-1") not in caught.value.message or not raw
    assert caught.value.__suppress_context__


def test_decimals_of_another_scale_are_read_when_no_digit_is_lost() -> None:
    assert column(pl.Decimal(19, 4), b"1.5", b"-2", b"3.14150000") == [Decimal("1.5"), Decimal("-2"), Decimal("3.1415")]


def test_frames_hold_whole_slices_and_keep_the_order() -> None:
    slices: list[RawRows] = [[(b"1", b"a"), (b"2", None)], [(b"3", b"c")], [(b"4", b"")]]

    frames = list(frames_of(slices, {"n": pl.Int64(), "t": pl.String()}, batch_rows=3))

    assert [frame.rows() for frame in frames] == [[(1, "a"), (2, None), (3, "c")], [(4, "")]]


def test_a_column_count_that_differs_is_a_bug_told_at_once() -> None:
    with pytest.raises(ValueError, match="2 columns, 1 types"):
        list(frames_of([[(b"1", b"2")]], {"n": pl.Int64()}, batch_rows=3))
