"""Every check of a column's values, on rows that have the pitfall and rows that only look like it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import polars as pl
import pytest

from etl.assess.column_checks import Tally, checks_for_column, tally_batch
from etl.source.catalog import Column
from tests.unit.assess.tables import column


def count(source: Column, frame: pl.DataFrame, code: str, **values: str) -> int:
    """How many rows one check finds."""
    checks = [
        check
        for check in checks_for_column(source, 936, frozenset(frame.columns))
        if check.code == code and values.items() <= dict(check.values).items()
    ]
    assert len(checks) == 1, f"{code} is not looked for in {source.type_name}"
    tally = Tally(checks[0])
    tally_batch([tally], frame, pl.Series("key", [str(row) for row in range(frame.height)]))
    return tally.count


TEXT = column("T", "nvarchar", 80, nullable=True)


@pytest.mark.parametrize(
    ("code", "value", "expected"),
    [
        ("control_character", "a\x07b", 1),
        ("control_character", "a\tb", 1),
        ("control_character", "a\x00", 1),
        ("control_character", "a\x85b", 1),
        ("control_character", "北京 ok", 0),
        ("trailing_space", "a ", 1),
        ("trailing_space", " a", 0),
        ("trailing_space", "a\u3000", 0),
        ("code_page_loss", "𠮷野家", 1),
        ("code_page_loss", "😀", 1),
        ("code_page_loss", "Peña", 1),
        ("code_page_loss", "王小明 €5 ——《》", 0),
        ("fills_column", "x" * 40, 1),
        ("fills_column", "x" * 39, 0),
    ],
)
def test_text(code: str, value: str, expected: int) -> None:
    assert count(TEXT, pl.DataFrame({"T": [value, None, "正常"]}), code) == expected


def test_unlimited_text_may_have_lines() -> None:
    notes = column("T", "nvarchar", -1)
    assert count(notes, pl.DataFrame({"T": ["a\r\nb\tc", "a\x01"]}), "control_character") == 1


def test_a_lone_surrogate_is_what_the_server_flags_and_is_not_counted_as_code_page_loss() -> None:
    frame = pl.DataFrame({"T": ["a\ufffd\U0001f600", "😀"], "T__damaged": [True, False]})
    assert count(TEXT, frame, "lone_surrogate") == 1
    assert count(TEXT, frame, "code_page_loss") == 1


def test_fixed_length_text_is_padded_by_definition() -> None:
    codes = [check.code for check in checks_for_column(column("T", "char", 4), 936, frozenset({"T"}))]
    assert "trailing_space" not in codes


@pytest.mark.parametrize(("value", "expected"), [("王?", 1), ("?明", 1), ("ok?", 0), ("王明", 0), ("王\ufffd", 1)])
def test_a_question_mark_beside_a_chinese_character_is_a_lost_one(value: str, expected: int) -> None:
    assert count(column("T", "varchar", 40), pl.DataFrame({"T": [value]}), "lost_character") == expected


def test_sentinels_are_days_whatever_the_time() -> None:
    frame = pl.DataFrame({"D": [datetime(1900, 1, 1, 0, 0), datetime(1900, 1, 1, 12, 0), datetime(1900, 1, 2), None]})
    assert count(column("D", "datetime", 8), frame, "sentinel_date", date="1900-01-01") == 2


def test_the_end_of_smalldatetime_is_a_sentinel_of_smalldatetime_alone() -> None:
    frame = pl.DataFrame({"D": [datetime(2079, 6, 6)]})
    assert count(column("D", "smalldatetime", 4), frame, "sentinel_date", date="2079-06-06") == 1
    dates = {value for check in checks_for_column(column("D", "date", 3), 936, frozenset({"D"})) for _, value in check.values}
    assert "2079-06-06" not in dates


def test_a_sentinel_with_an_offset_is_the_day_that_was_written() -> None:
    utc = datetime(9999, 12, 30, 16, 0, tzinfo=UTC).replace(tzinfo=None)
    frame = pl.DataFrame({"D": [utc], "D__offset": pl.Series([480], dtype=pl.Int16)})
    assert count(column("D", "datetimeoffset", 10, scale=7), frame, "sentinel_date", date="9999-12-31") == 1


def test_years_before_1000_are_out_of_range() -> None:
    assert (
        count(
            column("D", "date", 3), pl.DataFrame({"D": [date(1, 1, 1), date(999, 12, 31), date(1000, 1, 1)]}), "date_out_of_range"
        )
        == 2
    )


def test_money_at_either_end() -> None:
    ends = [Decimal("922337203685477.5807"), Decimal("-922337203685477.5808"), Decimal("0.0001"), Decimal("1000000.00")]
    frame = pl.DataFrame({"M": pl.Series(ends, dtype=pl.Decimal(19, 4))})
    assert count(column("M", "money", 8), frame, "money_extreme") == 2
    assert count(column("M", "money", 8), frame, "negative_money") == 1


def test_the_sample_key_is_that_of_the_first_row_that_has_it() -> None:
    check = next(check for check in checks_for_column(TEXT, 936, frozenset({"T"})) if check.code == "trailing_space")
    tally = Tally(check)
    tally_batch([tally], pl.DataFrame({"T": ["a", "b"]}), pl.Series(["1", "2"]))
    tally_batch([tally], pl.DataFrame({"T": ["c", "d "]}), pl.Series(["3", "4"]))
    tally_batch([tally], pl.DataFrame({"T": ["e "]}), pl.Series(["5"]))
    assert (tally.count, tally.sample_key) == (2, "4")


@pytest.mark.parametrize(("value", "date", "expected"), [
    ("0000-00-00", "0000-00-00", 1), ("0000-00-00 00:00:00", "0000-00-00", 1), ("9999-12-31", "9999-12-31", 1),
    ("1900-01-02", "1900-01-01", 0), ("不详", "0000-00-00", 0),
])  # fmt: skip
def test_sentinels_kept_as_text(value: str, date: str, expected: int) -> None:
    assert count(column("T", "varchar", 20), pl.DataFrame({"T": [value]}), "sentinel_date", date=date) == expected
