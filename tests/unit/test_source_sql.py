"""The T-SQL sent to the source, as text, and the Arrow types of what comes back."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from etl.names import SourceTable
from etl.source.catalog import Column, Index, Table, find_key
from etl.source.connect import Source
from etl.source.extract import canonical_schema, left_out, select_list, select_statement
from etl.source.surrogates import ANY_HALF, LONE_HALVES, damaged_expression
from etl.source.versions import Versions, was_changed

NAME = SourceTable("crm", "dbo", "Odd]Name")


def column(name: str, type_name: str, **more: object) -> Column:
    values: dict[str, object] = {"max_length": 8, "precision": 0, "scale": 0, "nullable": True} | more
    return Column(name, type_name, **values)  # type: ignore[arg-type]  # the keywords of Column


def table(*columns: Column, key: tuple[str, ...] = ()) -> Table:
    return Table(NAME, columns, key)


@pytest.mark.parametrize(
    ("described", "expressions", "types"),
    [
        (column("A", "int"), ["[A]"], [pa.int32()]),
        (column("A", "tinyint"), ["[A]"], [pa.uint8()]),
        (column("A", "bit"), ["[A]"], [pa.bool_()]),
        (column("A", "money"), ["[A]"], [pa.decimal128(19, 4)]),
        (column("A", "smallmoney"), ["[A]"], [pa.decimal128(10, 4)]),
        (column("A", "decimal", precision=38, scale=9), ["[A]"], [pa.decimal128(38, 9)]),
        (column("A", "float"), ["[A]"], [pa.float64()]),
        (column("A", "date"), ["[A]"], [pa.date32()]),
        (column("A", "time"), ["[A]"], [pa.time64("us")]),
        (column("A", "datetime2", scale=7), ["[A]"], [pa.timestamp("us")]),
        (column("A", "varbinary", max_length=-1), ["[A]"], [pa.large_binary()]),
        (column("A", "uniqueidentifier"), ["[A]"], [pa.large_string()]),
        (column("A", "varchar", max_length=40), ["CAST([A] AS nvarchar(40))"], [pa.large_string()]),
        (column("A", "char", max_length=8000), ["CAST([A] AS nvarchar(max))"], [pa.large_string()]),
        (column("A", "varchar", max_length=-1), ["CAST([A] AS nvarchar(max))"], [pa.large_string()]),
        (column("A", "text", max_length=16), ["CAST([A] AS nvarchar(max))"], [pa.large_string()]),
        (column("A", "xml"), ["CAST([A] AS nvarchar(max))"], [pa.large_string()]),
        (column("A", "image"), ["CAST([A] AS varbinary(max))"], [pa.large_binary()]),
        (column("A", "hierarchyid"), ["[A].ToString()"], [pa.large_string()]),
        (column("A", "geography"), ["[A].AsTextZM()"], [pa.large_string()]),
        (column("A", "nvarchar"), ["[A]", damaged_expression("A")], [pa.large_string(), pa.bool_()]),
        (
            column("A", "datetimeoffset"),
            ["CAST(SWITCHOFFSET([A], 0) AS datetime2(7))", "CAST(DATEPART(TZOFFSET, [A]) AS smallint)"],
            [pa.timestamp("us"), pa.int16()],
        ),
    ],
)
def test_each_type_is_read_without_loss(described: Column, expressions: list[str], types: list[pa.DataType]) -> None:
    items = select_list(table(described))
    assert [item.expression for item in items] == expressions
    assert [item.arrow_type for item in items] == types
    assert canonical_schema(table(described)).field(0).metadata == {b"source_type": described.type_name.encode()}


def test_statement_quotes_names_and_reads_in_key_order() -> None:
    described = table(column("Id", "int"), column("Name", "varchar", max_length=10), key=("Id",))
    assert select_statement(described, "[Id] > 5") == (
        "SELECT [Id], CAST([Name] AS nvarchar(10)) AS [Name] FROM [crm].[dbo].[Odd]]Name] AS t WHERE [Id] > 5 ORDER BY t.[Id]"
    )
    assert select_statement(table(column("Id", "int"))) == "SELECT [Id] FROM [crm].[dbo].[Odd]]Name]"


def test_a_text_key_is_sorted_as_the_column_is_not_as_the_cast_of_the_same_name() -> None:
    """Half an hour of sorting for every million rows, and ranges in another order than the key's index."""
    described = table(column("CardNo", "varchar", max_length=20), key=("CardNo",))
    assert select_statement(described).endswith("AS [CardNo] FROM [crm].[dbo].[Odd]]Name] AS t ORDER BY t.[CardNo]")


def test_what_the_target_makes_itself_is_left_out_and_what_cannot_travel_is_refused() -> None:
    described = table(
        column("Paid", "money", is_computed=True),
        column("V", "timestamp", is_rowversion=True),
        column("Any", "sql_variant"),
        column("Own", "SomeClrType"),
        column("Id", "int"),
    )
    assert [item.name for item in select_list(described)] == ["Id"]
    assert [(why.column, why.refused) for why in left_out(described)] == [
        ("Paid", False),
        ("V", False),
        ("Any", True),
        ("Own", True),
    ]


def test_key_is_the_primary_key_else_a_unique_index_that_allows_no_null() -> None:
    columns = [column("a", "int", nullable=False), column("b", "int"), column("c", "int", nullable=False)]

    def index(name: str, *names: str, primary: bool = False, unique: bool = True, filtered: bool = False) -> Index:
        return Index(name, names, (), unique=unique, primary=primary, filtered=filtered, kind="nonclustered")

    assert find_key(columns, [index("u", "a"), index("p", "c", "a", primary=True)]) == ("c", "a")
    assert find_key(columns, [index("u", "b"), index("v", "c")]) == ("c",)
    assert find_key(columns, [index("u", "a", filtered=True), index("n", "a", unique=False)]) == ()


def test_schema_hash_follows_what_decides_the_staged_rows() -> None:
    before = table(column("Id", "int"), column("Name", "varchar", max_length=40), key=("Id",))
    assert before.schema_hash == table(column("Id", "int"), column("Name", "varchar", max_length=40), key=("Id",)).schema_hash
    for after in (
        table(column("Id", "bigint"), column("Name", "varchar", max_length=40), key=("Id",)),
        table(column("Id", "int"), column("Name", "varchar", max_length=41), key=("Id",)),
        table(column("Id", "int"), column("Name", "varchar", max_length=40, collation="Latin1_General_CI_AS"), key=("Id",)),
        table(column("Id", "int"), key=("Id",)),
        table(column("Id", "int"), column("Name", "varchar", max_length=40)),
    ):
        assert after.schema_hash != before.schema_hash


UNITS = st.lists(st.sampled_from("ab %_[]^-'\U0001f600\ud83d\ude00\ud800\udbff\udc00\udfff\ue000\ud7ff"), max_size=8).map("".join)


def like(text: str, pattern_literal: str) -> bool:
    """LIKE under a _BIN2 collation, for the patterns here: wildcards at the ends, sets of code units between."""
    pattern = bytes.fromhex(re.fullmatch(r"CONVERT\(nvarchar\(\d+\), 0x([0-9A-F]+)\)", pattern_literal)[1])  # type: ignore[index]
    regex = "".join(".*" if unit == "%" else unit for unit in units(pattern))
    return re.fullmatch(regex, "".join(units(text.encode("utf-16-le", "surrogatepass"))), re.DOTALL) is not None


def units(utf16: bytes) -> list[str]:
    """The code units of UTF-16 text, each a character by itself."""
    return [chr(utf16[at] | utf16[at + 1] << 8) for at in range(0, len(utf16), 2)]


@given(UNITS)
@example("\U0001f600\U0001f600")
@example("\ude00\ud83d")
@example("\ud83d\U0001f600")
@example("\U0001f600\ude00")
def test_patterns_find_every_lone_half_and_no_valid_pair(text: str) -> None:
    utf16 = text.encode("utf-16-le", "surrogatepass")
    try:
        utf16.decode("utf-16-le")
        damaged = False
    except UnicodeDecodeError:
        damaged = True
    found = like(text, ANY_HALF) and any(like(text, pattern) for pattern in LONE_HALVES)
    assert found == damaged


def test_damaged_expression_tries_the_costly_patterns_only_on_text_with_surrogates() -> None:
    sql = damaged_expression("Note")
    assert sql.index(ANY_HALF) < min(sql.index(pattern) for pattern in LONE_HALVES)
    assert sql.count("LIKE") == 5
    assert sql.isascii()


@pytest.mark.parametrize("tracked", [True, False])
def test_a_name_that_looks_like_a_place_for_a_value_is_sent_as_it_is(tracked: bool) -> None:
    """pymssql fills %d wherever it stands, once there is a value to fill in."""
    asked: list[tuple[str, tuple[object, ...]]] = []

    class Asked(Source):
        def __init__(self) -> None: ...

        def query(self, sql: str, params: Sequence[object] = (), *, database: str | None = None) -> list[tuple[object, ...]]:
            asked.append((sql, tuple(params)))
            return []

    name = SourceTable("crm", "dbo", "100%do")
    version = Column("%d", "timestamp", 8, 0, 0, nullable=False, is_rowversion=True)
    was_changed(Asked(), Table(name, (version,), (), change_tracking=tracked), Versions(7, 9))
    ((sql, params),) = asked
    assert params == ()
    assert (
        "CHANGETABLE(CHANGES [crm].[dbo].[100%do], 7)" if tracked else "[%d] >= CONVERT(binary(8), CONVERT(bigint, 9))"
    ) in sql
