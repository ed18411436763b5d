"""Cutting keys into ranges: every key in exactly one, of about the size asked for, and literals that mean the same key."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.names import SourceTable
from etl.source.catalog import Column, Table
from etl.source.ranges import find_edges, literal, range_column, range_condition
from etl.stage.plan import to_ranges

NAME = SourceTable("crm", "dbo", "T")


def keyed(type_name: str, rows: int, **more: Any) -> Table:
    shape = {"max_length": 8, "precision": 10, "scale": 0, "nullable": False} | more
    key = Column("K", type_name, **shape)
    return Table(NAME, (key,), ("K",), rows=rows)


class Keys:
    """Answers the two questions that find edges, over integer keys."""

    def __init__(self, keys: list[int]) -> None:
        self.keys = sorted(keys)
        self.asked: list[str] = []

    def __call__(self, sql: str) -> Sequence[Sequence[Any]]:
        self.asked.append(sql)
        if "MIN([K]), MAX([K])" in sql:
            return [(self.keys[0], self.keys[-1]) if self.keys else (None, None)]
        above = re.search(r"\[K\] > (-?\d+) ", sql)
        offset = re.search(r"ORDER BY \[K\] OFFSET (\d+) ROWS FETCH NEXT 1 ROWS ONLY$", sql)
        assert offset is not None
        left = [key for key in self.keys if above is None or key > int(above[1])]
        return [(left[int(offset[1])],)] if len(left) > int(offset[1]) else []


@given(st.sets(st.integers(-(2**31), 2**31 - 1), max_size=60), st.integers(1, 20))
def test_every_key_is_in_one_range_of_at_most_twice_the_size_asked_for(keys: set[int], chunk_rows: int) -> None:
    edges = find_edges(Keys(list(keys)), keyed("int", len(keys)), chunk_rows)
    sizes = []
    for part in to_ranges(edges):
        low = int(part.low) if part.low is not None else -(10**12)
        high = int(part.high) if part.high is not None else 10**12
        sizes.append(sum(low < key <= high for key in keys))
    assert sum(sizes) == len(keys)
    assert max(sizes) <= chunk_rows * 2


def test_dense_integers_are_cut_by_arithmetic_without_reading_keys() -> None:
    keys = Keys(list(range(1, 1001)))
    assert find_edges(keys, keyed("bigint", 1000), 250) == ["250", "500", "750"]
    assert keys.asked == ["SELECT MIN([K]), MAX([K]) FROM [crm].[dbo].[T]"]


def test_keys_with_gaps_are_stepped_through() -> None:
    keys = Keys([*range(10), *range(10**6, 10**6 + 10)])
    assert find_edges(keys, keyed("int", 20), 6) == ["5", "1000001", "1000007"]
    assert keys.asked[1] == "SELECT [K] FROM [crm].[dbo].[T] ORDER BY [K] OFFSET 5 ROWS FETCH NEXT 1 ROWS ONLY"


def test_text_keys_travel_as_their_bytes() -> None:
    asked = []

    def ask(sql: str) -> Sequence[Sequence[Any]]:
        asked.append(sql)
        return [("李".encode("utf-16-le"),)] if len(asked) == 1 else []

    table = keyed("varchar", 100, max_length=24, collation="Chinese_PRC_CI_AS", code_page=936)
    (edge,) = find_edges(ask, table, 60)
    assert edge == "CAST(CONVERT(nvarchar(1), 0x4e67) COLLATE Chinese_PRC_CI_AS AS varchar(24))"
    assert asked[0].startswith("SELECT CONVERT(varbinary(48), CONVERT(nvarchar(24), [K])) FROM")
    assert f"WHERE [K] > {edge} ORDER BY" in asked[1]


def test_a_small_table_a_table_without_key_and_a_float_key_stay_whole() -> None:
    def never(sql: str) -> Sequence[Sequence[Any]]:
        raise AssertionError(sql)

    assert find_edges(never, keyed("int", 100), 100) == []
    assert find_edges(never, Table(NAME, (), (), rows=10**6), 100) == []
    assert find_edges(never, keyed("float", 10**6), 100) == []
    assert range_column(keyed("nvarchar", 10, max_length=-1)) is None


def test_edges_that_cannot_be_told_apart_end_the_search() -> None:
    def ask(sql: str) -> Sequence[Sequence[Any]]:
        return [(datetime(2024, 1, 1, microsecond=1),)]

    assert len(find_edges(ask, keyed("datetime2", 100, scale=7), 10)) == 1


@pytest.mark.parametrize(
    ("type_name", "value", "expected"),
    [
        ("int", -5, "-5"),
        ("decimal", Decimal("1E+3"), "CONVERT(decimal(10,0), '1000')"),
        ("money", Decimal("-0.0001"), "CONVERT(money, '-0.0001')"),
        ("date", date(2024, 2, 29), "CONVERT(date, '2024-02-29', 23)"),
        ("time", time(23, 59, 59, 999999), "CONVERT(time(7), '23:59:59.999999')"),
        ("datetime", datetime(2024, 1, 1, 0, 0, 0, 997000), "CONVERT(datetime, '2024-01-01T00:00:00.997', 126)"),
        ("datetime2", datetime(1, 1, 1), "CONVERT(datetime2(7), '0001-01-01T00:00:00.000000', 126)"),
        (
            "datetimeoffset",
            datetime(2024, 1, 1, tzinfo=UTC),
            "CONVERT(datetimeoffset(7), '2024-01-01T00:00:00.000000+00:00')",
        ),
        ("uniqueidentifier", UUID(int=1), "CONVERT(uniqueidentifier, '00000000-0000-0000-0000-000000000001')"),
        ("binary", b"\x00\xff", "0x00ff"),
        ("nvarchar", "it's".encode("utf-16-le"), "N'it''s'"),
        ("nvarchar", b"\x3d\xd8", "CONVERT(nvarchar(1), 0x3dd8)"),
        ("nvarchar", "a\nb".encode("utf-16-le"), "CONVERT(nvarchar(3), 0x61000a006200)"),
        ("varchar", b"", "''"),
    ],
)
def test_literals_mean_the_very_key(type_name: str, value: object, expected: str) -> None:
    assert literal(keyed(type_name, 1).columns[0], value) == expected


def test_conditions_are_open_below_and_closed_above() -> None:
    assert [range_condition("K", part.low, part.high) for part in to_ranges(["'a'", "'b'"])] == [
        "[K] <= 'a'",
        "[K] > 'a' AND [K] <= 'b'",
        "[K] > 'b'",
    ]
    assert range_condition("K", None, None) == ""


def test_a_key_declared_longer_than_nvarchar_allows_is_still_read() -> None:
    asked: list[str] = []

    def ask(sql: str) -> Sequence[Sequence[Any]]:
        asked.append(sql)
        return []

    find_edges(ask, keyed("varchar", 10, max_length=8000), 5)
    assert "CONVERT(varbinary(8000), CONVERT(nvarchar(4000), [K]))" in asked[0]
