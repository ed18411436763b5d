"""Cells of files: read exactly, or refused with the reason."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.load.import_parse import READERS
from etl.load.import_profile import known_profiles, load_profile, match_header, plain_header


def read(kind: str, text: str | None) -> tuple[object, str | None]:
    """(value, reason) of one cell."""
    reading = READERS[kind](pl.col("text"))
    row = pl.DataFrame({"text": [text]}, schema={"text": pl.String}).select(
        reading.value.alias("value"), reading.reason.alias("why")
    )
    return row["value"][0], row["why"][0]


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("money", "1,234.50", Decimal("1234.5000")),
        ("money", "￥１２.5", Decimal("12.5000")),
        ("money", "-0.0100", Decimal("-0.0100")),
        ("quantity", "3.000000", Decimal("3.000")),
        ("integer", "12.0", 12),
        ("integer", "-1,000", -1000),
        ("boolean", "是", True),
        ("boolean", "N", False),
        ("code", "00123", "00123"),
        ("time", "2024年12月31日 23:59", datetime(2024, 12, 31, 23, 59)),
        ("time", "2024-01-02T03:04:05.678", datetime(2024, 1, 2, 3, 4, 5, 678000)),
        ("time", "45123.5", datetime(2023, 7, 16, 12)),
        ("time", "61", datetime(1900, 3, 1)),
        ("time", "59", datetime(1900, 2, 28)),
        ("date", "2024/3/4", date(2024, 3, 4)),
        ("date", "20240304", date(2024, 3, 4)),
        ("date_text", "1990.1.2", "1990-01-02"),
        ("date_text", "about 1990", "about 1990"),
    ],
)
def test_what_people_write_is_read(kind: str, text: str, value: object) -> None:
    assert read(kind, text) == (value, None)


@pytest.mark.parametrize(
    ("kind", "text", "reason"),
    [
        ("code", "4.20106E+17", "excel_lost_digits"),
        ("integer", "1.3E+10", "excel_lost_digits"),
        ("money", "1E+3", "excel_lost_digits"),
        ("money", "1.23456", "too_precise"),
        ("money", "1,5", "not_a_number"),
        ("money", "12元5角", "not_a_number"),
        ("money", "9999999999999999", "out_of_range"),
        ("quantity", "1e", "not_a_number"),
        ("integer", "1.5", "not_a_number"),
        ("number", "inf", "not_a_number"),
        ("boolean", "maybe", "not_yes_or_no"),
        ("time", "2023-02-29", "bad_date"),
        ("time", "03/04/2024", "bad_date"),
        ("time", "60", "bad_date"),
        ("time", "99999999", "bad_date"),
        ("date", "2024-01-02 12:00", "bad_date"),
    ],
)
def test_what_cannot_be_read_says_why(kind: str, text: str, reason: str) -> None:
    assert read(kind, text)[1] == reason


@pytest.mark.parametrize("kind", READERS)
def test_an_empty_cell_is_null_without_reason(kind: str) -> None:
    assert read(kind, None) == (None, None)


@given(st.decimals(min_value=-(10**15) + 1, max_value=10**15 - 1, places=4))
def test_money_is_exact(amount: Decimal) -> None:
    assert read("money", str(amount)) == (amount, None)


@given(st.datetimes(min_value=datetime(1900, 3, 1), max_value=datetime(9999, 12, 31)))
def test_serial_numbers_are_the_time_they_stand_for(moment: datetime) -> None:
    moment = moment.replace(microsecond=0)
    serial = (moment - datetime(1899, 12, 30)) / timedelta(days=1)
    assert read("time", f"{serial:.9f}") == (moment, None)


@pytest.mark.parametrize("name", known_profiles())
def test_profiles_are_sound(name: str) -> None:
    profile = load_profile(name)
    headers = [plain_header(header) for column in profile.columns for header in {column.name, *column.names}]
    assert len(profile.by_header()) == len(set(headers))
    assert len(headers) == len(set(headers)), sorted(header for header in headers if headers.count(header) > 1)


def test_headers_are_known_by_any_of_their_names() -> None:
    match = match_header(load_profile("pos-members"), ["会员卡号(必填)", "Member Name", "备注", "手机号码", "卡号"])
    assert [(place, column.name) for place, column in match.columns] == [(0, "CardNo"), (1, "Name"), (3, "Phone")]
    assert match.ignored == ("备注", "卡号")
