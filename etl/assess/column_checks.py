"""What is looked for in the values of one column: each check is one expression over staged rows, true where the pitfall is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

import polars as pl

from etl.assess.code_page import outside_code_page
from etl.assess.model import Severity
from etl.source.catalog import Column
from etl.source.extract import DAMAGED_SUFFIX, OFFSET_SUFFIX

WIDE_TEXT: Final = frozenset({"nvarchar", "nchar", "ntext"})
FIXED_TEXT: Final = frozenset({"char", "nchar"})
TEXT: Final = WIDE_TEXT | {"varchar", "char", "text"}
DATES: Final = frozenset({"date", "datetime", "smalldatetime", "datetime2", "datetimeoffset"})
SENTINELS: Final = (date(1900, 1, 1), date(9999, 12, 31))
SMALL_END: Final = date(2079, 6, 6)
"""Dates that old programs wrote for "none" and "for ever" (docs/assess.md); the last is the end of smalldatetime."""

TEXT_SENTINELS: Final = ("0000-00-00", *(day.isoformat() for day in SENTINELS))
"""The same where dates are kept as text; the first is how MySQL writes no date."""
DATE_TEXT: Final = range(10, 41)
"""Bytes of a text column that may hold dates: there are no others in a longer one."""

FIRST_YEAR: Final = 1000
"""MySQL and TiDB promise DATETIME and DATE from the year 1000 on; earlier ones may be stored, without a promise."""

MONEY_EDGES: Final = {"money": Decimal("922337203685477.5807"), "smallmoney": Decimal("214748.3647")}
EDGE_SHARE: Final = Decimal("0.99")

CONTROL: Final = r"[\x00-\x1F\x7F-\x9F]"
CONTROL_IN_LONG_TEXT: Final = r"[\x00-\x08\x0B\x0C\x0E-\x1F\x7F-\x9F]"
"""Tabs and line ends are no accident in text of unlimited length."""

FIXED_PAGE: Final = frozenset({"varchar", "char", "text"})
LOST: Final = "\ufffd|[\u3400-\u9fff][?]|[?][\u3400-\u9fff]"
"""A question mark beside a Chinese character, where the code page had no place for the character that was typed."""

FULL_LENGTH_FROM: Final = 20
"""Text that fills a column of this many characters was probably cut; codes and numbers of fixed length are shorter."""


@dataclass(frozen=True)
class ColumnCheck:
    """`rows`: a Boolean expression over a staged frame, true (never NULL) where `column` has the pitfall `code`."""

    code: str
    severity: Severity
    column: str
    rows: pl.Expr
    values: tuple[tuple[str, str], ...] = ()


def checks_for_column(column: Column, code_page: int, staged: frozenset[str]) -> list[ColumnCheck]:
    """The checks that make sense for a column. `code_page` is what a varchar column of its database holds; `staged` are the names
    of the columns that are read, among them `<name>__damaged` where lone surrogates are looked for on the server."""
    checks: list[ColumnCheck] = []
    if column.name not in staged:
        return checks
    if column.type_name in TEXT:
        checks += text_checks(column, code_page, staged)
    if column.type_name in DATES:
        checks += date_checks(column, staged)
    if column.type_name in MONEY_EDGES:
        checks += money_checks(column)
    return checks


def text_checks(column: Column, code_page: int, staged: frozenset[str]) -> list[ColumnCheck]:
    """Lone surrogates, control characters, trailing spaces, sentinels kept as text, characters that the code page cannot hold."""
    value = pl.col(column.name)
    damaged = f"{column.name}{DAMAGED_SUFFIX}"
    checks: list[ColumnCheck] = []
    whole = pl.lit(True)
    if damaged in staged:
        broken = pl.col(damaged).fill_null(value=False)
        checks.append(ColumnCheck("lone_surrogate", "bad", column.name, broken))
        whole = ~broken  # what a driver made of a broken text says nothing about its other characters
    unlimited = column.max_length == -1 or column.type_name in ("text", "ntext")
    control = CONTROL_IN_LONG_TEXT if unlimited else CONTROL
    checks.append(ColumnCheck("control_character", "warn", column.name, value.str.contains(control).fill_null(value=False)))
    if column.type_name not in FIXED_TEXT:  # char(n) is padded by definition
        checks.append(ColumnCheck("trailing_space", "info", column.name, value.str.ends_with(" ").fill_null(value=False)))
    if column.type_name in FIXED_PAGE:
        checks.append(ColumnCheck("lost_character", "warn", column.name, value.str.contains(LOST).fill_null(value=False)))
    elif column.max_length // 2 >= FULL_LENGTH_FROM and column.type_name != "nchar":
        full = (value.str.len_chars() >= column.max_length // 2).fill_null(value=False)
        checks.append(ColumnCheck("fills_column", "info", column.name, full, (("length", str(column.max_length // 2)),)))
    if column.max_length in DATE_TEXT:
        for none in TEXT_SENTINELS:
            given = value.str.starts_with(none).fill_null(value=False)
            checks.append(ColumnCheck("sentinel_date", "warn", column.name, given, (("date", none),)))
    if column.type_name in WIDE_TEXT:
        lost = value.str.contains(outside_code_page(code_page)).fill_null(value=False)
        page = (("code_page", str(code_page)),)
        checks.append(ColumnCheck("code_page_loss", "warn", column.name, lost & whole, page))
    return checks


def date_checks(column: Column, staged: frozenset[str]) -> list[ColumnCheck]:
    """Sentinel dates, and dates that the target does not promise to hold."""
    moment = pl.col(column.name)
    offset = f"{column.name}{OFFSET_SUFFIX}"
    if offset in staged:  # staged in UTC: the date that was written is the one at its own offset
        moment = moment + pl.duration(minutes=pl.col(offset))
    day = moment.cast(pl.Date)
    sentinels = (*SENTINELS, SMALL_END) if column.type_name == "smalldatetime" else SENTINELS
    checks = [
        ColumnCheck(
            "sentinel_date", "warn", column.name, (day == sentinel).fill_null(value=False), (("date", sentinel.isoformat()),)
        )
        for sentinel in sentinels
    ]
    early = (day.dt.year() < FIRST_YEAR).fill_null(value=False)
    return [*checks, ColumnCheck("date_out_of_range", "bad", column.name, early)]


def money_checks(column: Column) -> list[ColumnCheck]:
    """Amounts within a hundredth of the greatest that the type holds, which sums overflow with, and negative ones."""
    limit = MONEY_EDGES[column.type_name]
    extreme = (pl.col(column.name).abs() >= pl.lit(limit * EDGE_SHARE).cast(pl.Decimal(38, 4))).fill_null(value=False)
    negative = (pl.col(column.name) < 0).fill_null(value=False)
    return [
        ColumnCheck("money_extreme", "warn", column.name, extreme, (("limit", str(limit)),)),
        ColumnCheck("negative_money", "info", column.name, negative),
    ]


@dataclass
class Tally:
    """Counts of one check over the batches of a table, and the key of the first row that has it."""

    check: ColumnCheck
    count: int = 0
    sample_key: str | None = None


def tally_batch(tallies: list[Tally], frame: pl.DataFrame, row_keys: pl.Series) -> None:
    """Add one batch: every check in one pass over the frame, and a key only where one is still missing."""
    if not tallies:
        return
    names = [str(number) for number in range(len(tallies))]
    hits = frame.select(tally.check.rows.alias(name) for tally, name in zip(tallies, names, strict=True))
    for tally, name, count in zip(tallies, names, hits.sum().row(0), strict=True):
        tally.count += int(count or 0)
        if count and tally.sample_key is None:
            tally.sample_key = row_keys[int(hits[name].arg_max() or 0)]
