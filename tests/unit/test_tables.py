"""Tables on screens of every width: nothing that is read as one is broken in two."""

from __future__ import annotations

import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from cli.tables import render_table
from reports.document import Bar, Table

ROWS = Table(
    "Tables",
    ("", "Table", "Source rows", "Target rows", "Missing", "Extra", "Duplicated", "Not compared"),
    (
        ("ok", "points_ledger", 1_234_567, 1_234_566, 1, 0, 0, "updated_at, synced_at"),
        ("bad", "member_source", 89_012, 89_013, 0, 0, 0, "valid_from, valid_to, linked_by, updated_at, synced_at"),
    ),
    "Columns that the target keeps itself are not compared.",
    status_column=0,
)
CHINESE = Table("不变量", ("", "不变量", "结论"), (("warn", "各渠道、门店、月份的销售与金额", "由隔离区解释"),), status_column=0)


def drawn(table: Table, width: int, lang: str = "en") -> str:
    """What a screen of `width` cells shows."""
    console = Console(file=io.StringIO(), width=width, no_color=True)
    for part in render_table(table, lang, width):
        console.print(part, highlight=False)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [40, 60, 80, 100, 132, 200])
def test_no_number_and_no_name_is_broken(width: int) -> None:
    text = drawn(ROWS, width)
    for whole in ("points_ledger", "member_source", "1,234,567", "1,234,566", "89,012", "89,013", "linked_by", "Duplicated"):
        assert whole in text, f"{whole} is broken at {width} cells:\n{text}"
    assert all(cell_len(line) <= width for line in text.splitlines())


def test_what_is_the_same_in_every_row_is_told_once_where_room_is_short() -> None:
    assert "The same in every row: Extra 0; Duplicated 0" in drawn(ROWS, 80)
    assert "The same in every row" not in drawn(ROWS, 200)


def test_one_row_keeps_all_its_columns() -> None:
    one = Table(ROWS.title, ROWS.columns, ROWS.rows[:1], status_column=0)
    assert "Duplicated" in drawn(one, 60)


@pytest.mark.parametrize("width", [24, 40, 80])
def test_chinese_fits_its_cells(width: int) -> None:
    text = drawn(CHINESE, width, "zh")
    assert all(cell_len(line) <= width for line in text.splitlines())
    assert "由隔离区" in text


def test_many_rows_say_how_many_are_not_shown() -> None:
    many = Table("Keys", ("Key",), tuple((number,) for number in range(100)))
    assert "and 60 more rows" in drawn(many, 80)


def test_brackets_are_text() -> None:
    assert "[bold]x[/]" in drawn(Table("[red]t", ("[c]",), (("[bold]x[/]",),)), 80)


@pytest.mark.parametrize(("width", "bars"), [(120, 14), (44, 6), (20, 0)])
def test_bars_grow_shorter_before_words_are_broken_and_leave_before_they_mislead(width: int, bars: int) -> None:
    weights = Table("Weights", ("Outcome", "Weight", ""), (("equal", 16.28, Bar(0.0, 16.28, -17.0, 17.0)),))
    assert drawn(weights, width).count("█") == bars
