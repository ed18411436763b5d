"""The T-SQL that is sent, word for word, and what is refused before it is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from etl.names import SourceTable
from etl.source.catalog import Column, Table
from etl.sync.reverse import statements
from etl.sync.reverse.fits import find_misfits
from etl.sync.reverse.inverse_base import Slot
from etl.sync.reverse.legacy_tables import add_returned, entries_by_legacy, insert_entries

ID = Column("Id", "int", 4, 10, 0, nullable=False, is_identity=True)
NAME = Column("Name", "varchar", 8, 0, 0, nullable=True, collation="Chinese_PRC_CI_AS", code_page=936)
AT = Column("At", "datetime", 8, 23, 3, nullable=True)
TABLE = Table(SourceTable("crm", "dbo", "M]x"), (ID, NAME, AT), ("Id",), change_tracking=True)
OURS = "WITH CHANGE_TRACKING_CONTEXT (0x6D656D626572736869667400) "
MOMENT = datetime(2026, 11, 11, 20, 0, 0, 3_000)


def test_rows_are_numbered_in_their_order() -> None:
    rows: list[dict[str, Any]] = [{"Name": "O'Neill", "At": None}, {"Name": "王", "At": MOMENT}]
    assert statements.insert_numbered(TABLE, "Id", [NAME, AT], rows) == (
        OURS + "INSERT INTO [crm].[dbo].[M]]x] ([Name], [At]) OUTPUT inserted.[Id] SELECT v.c0, v.c1 "
        "FROM (VALUES (0, 'O''Neill', CAST(NULL AS datetime)), (1, N'王', '2026-11-11T20:00:00.003')) AS v (n, c0, c1) "
        "ORDER BY v.n"
    )


def test_what_all_rows_have_in_common_is_said_once() -> None:
    rows: list[dict[str, Any]] = [{"Name": "a", "At": None}, {"Name": "b", "At": None}]
    assert statements.insert_numbered(TABLE, "Id", [NAME, AT], rows) == (
        OURS + "INSERT INTO [crm].[dbo].[M]]x] ([Name], [At]) OUTPUT inserted.[Id] SELECT v.c0, CAST(NULL AS datetime) "
        "FROM (VALUES (0, 'a'), (1, 'b')) AS v (n, c0) ORDER BY v.n"
    )


def test_a_table_with_triggers_is_asked_for_each_number() -> None:
    assert statements.insert_one(TABLE, [NAME], {"Name": None}) == (
        OURS + "INSERT INTO [crm].[dbo].[M]]x] ([Name]) VALUES (NULL); SELECT CONVERT(nvarchar(200), SCOPE_IDENTITY())"
    )


def test_rows_are_updated_by_key() -> None:
    assert statements.update_rows(TABLE, [ID], [NAME], [{"Id": 1, "Name": None}, {"Id": 2, "Name": "b"}]) == (
        OURS + "UPDATE t SET [Name] = v.c0 FROM [crm].[dbo].[M]]x] AS t "
        "JOIN (VALUES (1, CAST(NULL AS nvarchar(4000))), (2, 'b')) AS v (k0, c0) ON t.[Id] = v.k0"
    )


def test_an_untracked_table_takes_no_context() -> None:
    plain = Table(TABLE.name, TABLE.columns, TABLE.key)
    assert statements.delete_rows(plain, "[Id] IN (1)") == "DELETE FROM [crm].[dbo].[M]]x] WHERE [Id] IN (1)"


def test_our_own_notes() -> None:
    assert insert_entries("crm", "member/crm", {"5": "17"}) == (
        "INSERT INTO [crm].[dbo].[membershift_row] (part, target_key, legacy_key) VALUES ('member/crm', N'5', N'17')"
    )
    update, insert = add_returned("crm", "member/crm", "points", [("17", Decimal("-2.5"))])
    assert update == (
        "UPDATE c SET total = c.total + v.gain FROM [crm].[dbo].[membershift_counter] AS c "
        "JOIN (VALUES (N'17', CONVERT(decimal(38,6), '-2.5'))) AS v (k, gain) ON c.legacy_key = v.k "
        "WHERE part = 'member/crm' AND column_name = 'points'"
    )
    assert insert.endswith("WHERE part = 'member/crm' AND column_name = 'points' AND o.legacy_key = v.k)")


@pytest.mark.parametrize(
    ("column", "value", "written"),
    [
        (Column("c", "bit", 1, 1, 0, nullable=True), True, "1"),
        (Column("c", "money", 8, 19, 4, nullable=True), Decimal("-1.5000"), "-1.5000"),
        (Column("c", "float", 8, 53, 0, nullable=True), 31.25, "31.25E0"),
        (Column("c", "float", 8, 53, 0, nullable=True), 1e-30, "1e-30"),
        (Column("c", "date", 3, 10, 0, nullable=True), date(2026, 1, 2), "'2026-01-02'"),
        (Column("c", "time", 3, 8, 0, nullable=True), time(9, 5), "CAST('09:05:00' AS time(0))"),
        (Column("c", "datetime2", 8, 27, 7, nullable=True), MOMENT, "'2026-11-11T20:00:00.003000'"),
        (Column("c", "varbinary", 8, 0, 0, nullable=True), b"\x01\xff", "0x01ff"),
        (Column("c", "nvarchar", 8, 0, 0, nullable=True), "a\nb", "CONVERT(nvarchar(3), 0x61000a006200)"),
        (Column("c", "nvarchar", 8, 0, 0, nullable=True), "\U0001f600", "CONVERT(nvarchar(2), 0x3dd800de)"),
        (Column("c", "varchar", 8, 0, 0, nullable=True), 17, "'17'"),
    ],
)
def test_literals(column: Column, value: Any, written: str) -> None:
    assert statements.literal(column, {"c": value}) == written


@pytest.mark.parametrize(
    ("column", "good", "bad", "reason"),
    [
        (NAME, "四字一共", "四字一共x", "too_long"),
        (NAME, "八bytes", "\U0001f600", "not_in_code_page"),
        (NAME, "€", "\U00020bb7", "not_in_code_page"),
        (Column("c", "varchar", 8, 0, 0, True, "SQL_Latin1_General_CP1_CI_AS", 1252), "Ä€", "王", "not_in_code_page"),
        (Column("c", "varchar", 3, 0, 0, True, "Latin1_General_100_CI_AS_SC_UTF8", 65001), "王", "王a", "too_long"),
        (Column("c", "nvarchar", 4, 0, 0, True), "王x", "王\U0001f600", "too_long"),
        (Column("c", "varchar", 9, 0, 0, nullable=False), "", None, "null_not_allowed"),
        (Column("c", "datetime", 8, 0, 3, True), datetime(1753, 1, 1), datetime(1752, 12, 31), "out_of_range"),
        (Column("c", "smalldatetime", 4, 0, 0, True), datetime(2079, 6, 6, 23, 59), datetime(2079, 6, 7), "out_of_range"),
        (Column("c", "smallmoney", 4, 10, 4, True), Decimal("214748.3647"), Decimal("214748.3648"), "out_of_range"),
        (Column("c", "xml", -1, 0, 0, True), "<a/>text", "<a>", "not_xml"),
    ],
)  # fmt: skip
def test_what_fits_to_the_last_place(column: Column, good: object, bad: object, reason: str) -> None:
    kind = pl.Decimal(10, 4) if isinstance(good, Decimal) else pl.Datetime("us") if isinstance(good, datetime) else pl.String()
    rows = pl.DataFrame({column.name: pl.Series([good, bad, bad], dtype=kind)})
    written = pl.DataFrame({column.name: [True, True, False]})
    found = list(find_misfits(rows, {column.name: Slot(column.name, column, kind)}, written))
    assert [(one.row, one.reason) for one in found] == [(1, reason)]
    assert str(bad) not in found[0].detail


class Answers:
    """A source that notes what it is asked, and answers a range with `between`, a list of keys with `listed`."""

    def __init__(self, between: list[tuple[str, str]], listed: list[tuple[str, str]]) -> None:
        self.between, self.listed = between, listed
        self.asked: list[str] = []

    def query(self, sql: str, params: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        self.asked.append(sql)
        return list(self.between if "BETWEEN" in sql else self.listed)


def test_entries_of_many_keys_are_asked_for_by_their_range() -> None:
    keys = [str(key) for key in range(100, 150)]
    source = Answers([("9", "120"), ("8", "120a")], [])
    assert entries_by_legacy(source, "crm", "points_ledger/crm", keys) == {"120": "9"}
    (asked,) = source.asked
    assert asked.endswith("AND legacy_key BETWEEN N'100' AND N'149'")


@pytest.mark.parametrize(
    ("keys", "between"),
    [
        pytest.param([str(key) for key in range(100, 103)], 0, id="few"),
        pytest.param([f"{key} " for key in range(100, 150)], 0, id="blanks, which servers pass over"),
        pytest.param([f"{key}\x1f1" for key in range(100, 150)], 0, id="several columns"),
        pytest.param([str(key) for key in range(100, 150)], 501, id="too much lies between"),
    ],
)
def test_else_by_lists(keys: list[str], between: int) -> None:
    source = Answers([(str(at), f"x{at}") for at in range(between)], [("9", keys[1])])
    assert entries_by_legacy(source, "crm", "points_ledger/crm", keys) == {keys[1]: "9"}
    assert " IN (" in source.asked[-1]
