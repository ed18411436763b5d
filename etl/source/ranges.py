"""Cutting a table into ranges of its key, of about the same number of rows each whatever gaps the keys have.

The server steps through the key's index: the key of row n, then of the n-th row after it, and so on. These row numbers are pinned
as key values at once, because a row number means another row as soon as one is added or deleted, under SNAPSHOT too on the next
connection. Ranges are open below and closed above, the first has no lower limit and the last no upper one: whatever the edges,
and whatever is written meanwhile, a key lies in exactly one range. Only the server compares keys, in its own order: text by its
collation, GUIDs in the order of uniqueidentifier. So edges work for any type of key that has an order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from etl.names import bracket
from etl.source.catalog import Column, Table

Ask = Callable[[str], Sequence[Sequence[Any]]]

_INTEGERS: Final = frozenset({"tinyint", "smallint", "int", "bigint"})
_NARROW_TEXT: Final = frozenset({"char", "varchar"})
_TEXT: Final = frozenset({"char", "varchar", "nchar", "nvarchar"})
_OTHERS: Final = frozenset(
    {
        *("decimal", "numeric", "money", "smallmoney", "date", "time", "datetime", "smalldatetime", "datetime2"),
        *("datetimeoffset", "uniqueidentifier", "binary", "varbinary"),
    }
)
_DENSE: Final = 2
"""Integer keys that fill at least half of their span are cut by arithmetic, without reading them; no range is twice as large."""


def range_column(table: Table) -> Column | None:
    """The column whose ranges cut the table: the first of its key. None for a table without key, or with a float as key."""
    if not table.key:
        return None
    column = table.by_name[table.key[0]]
    usable = column.type_name in _INTEGERS | _TEXT | _OTHERS and column.max_length != -1
    return column if usable else None


def find_edges(ask: Ask, table: Table, chunk_rows: int) -> list[str]:
    """T-SQL literals that cut `table` into ranges of about `chunk_rows` rows, in the server's order; none for a small table."""
    column = range_column(table)
    if column is None or table.rows <= chunk_rows:
        return []
    if column.type_name in _INTEGERS and len(table.key) == 1:
        (low, high), *_ = ask(_select(f"MIN({bracket(column.name)}), MAX({bracket(column.name)})", table))
        if low is None:
            return []
        if high - low + 1 <= table.rows * _DENSE:
            step = max(1, chunk_rows * (high - low + 1) // table.rows)
            return [str(edge) for edge in range(low + step - 1, high, step)]
    return _step_through(ask, table, column, chunk_rows)


def _step_through(ask: Ask, table: Table, column: Column, chunk_rows: int) -> list[str]:
    """Every chunk_rows-th key, found one after the other by the index of the key."""
    edges: list[str] = []
    while True:
        above = f"WHERE {bracket(column.name)} > {edges[-1]} " if edges else ""
        place = f"ORDER BY {bracket(column.name)} OFFSET {chunk_rows - 1} ROWS FETCH NEXT 1 ROWS ONLY"
        found = ask(_select(_edge_expression(column), table, above + place))
        if not found:
            return edges
        edge = literal(column, found[0][0])
        if edges and edge == edges[-1]:  # keys that differ by less than this program can hold, such as 100 ns
            return edges
        edges.append(edge)


def _edge_expression(column: Column) -> str:
    """The key as both drivers bring it back exactly: text as its UTF-16 bytes, whatever its code page."""
    name = bracket(column.name)
    if column.type_name not in _TEXT:
        return name
    # A key has 1,700 bytes at most, whatever its column declares; nvarchar ends at 4,000 characters.
    characters = min(column.max_length if column.type_name in _NARROW_TEXT else column.max_length // 2, 4000)
    return f"CONVERT(varbinary({characters * 2}), CONVERT(nvarchar({characters}), {name}))"


def _select(what: str, table: Table, rest: str = "") -> str:
    return " ".join(part for part in ("SELECT", what, "FROM", table.name.quoted, rest) if part)


def range_condition(column: str | None, low: str | None, high: str | None) -> str:
    """The T-SQL condition of a range, empty when it has no limit.

    >>> range_condition("Id", "10", "20"), range_condition("Id", None, "10"), range_condition(None, None, None)
    ('[Id] > 10 AND [Id] <= 20', '[Id] <= 10', '')
    """
    if column is None:
        return ""
    limits = [f"{bracket(column)} > {low}" if low is not None else "", f"{bracket(column)} <= {high}" if high is not None else ""]
    return " AND ".join(limit for limit in limits if limit)


def literal(column: Column, value: object) -> str:
    """`value`, read from `column`, as a T-SQL literal of the column's own type, so that the key's index is used.

    >>> literal(Column("K", "varchar", 8, 0, 0, False, "Chinese_PRC_CI_AS", 936), "S'1".encode("utf-16-le"))
    "'S''1'"
    >>> literal(Column("K", "datetime", 8, 23, 3, False), datetime(2024, 1, 31, 8, 0, 0, 3000))
    "CONVERT(datetime, '2024-01-31T08:00:00.003', 126)"
    """
    match value:
        case bool():
            return str(int(value))
        case int():
            return str(value)
        case Decimal():
            shape = f"({column.precision},{column.scale})" if column.type_name in ("decimal", "numeric") else ""
            return f"CONVERT({column.type_name}{shape}, '{value:f}')"
        case datetime():
            return _moment_literal(column, value)
        case date():
            return f"CONVERT(date, '{value.isoformat()}', 23)"
        case time():
            return f"CONVERT(time(7), '{value.isoformat(timespec='microseconds')}')"
        case UUID():
            return f"CONVERT(uniqueidentifier, '{value}')"
        case bytes() if column.type_name in _TEXT:
            return _text_literal(column, value)
        case bytes():
            return f"0x{value.hex()}"
        case _:
            raise TypeError(f"no literal for a {type(value).__name__} of {column.type_name}")


def _moment_literal(column: Column, value: datetime) -> str:
    """datetime takes three digits of a second, the newer types more; a time zone only datetimeoffset."""
    if column.type_name in ("datetime", "smalldatetime"):
        return f"CONVERT({column.type_name}, '{value.isoformat(timespec='milliseconds')}', 126)"
    if column.type_name == "datetimeoffset":
        return f"CONVERT(datetimeoffset(7), '{value.isoformat(timespec='microseconds')}')"
    return f"CONVERT(datetime2(7), '{value.isoformat(timespec='microseconds')}', 126)"


def _text_literal(column: Column, utf16: bytes) -> str:
    """Plain ASCII as it is; anything else by its bytes, which no driver can damage.

    For char and varchar the collation is named before the cast, so that the server casts to the column's own code page.
    """
    text = utf16.decode("utf-16-le", "surrogatepass")
    narrow = column.type_name in _NARROW_TEXT
    if text.isascii() and text.isprintable():
        return ("'" if narrow else "N'") + text.replace("'", "''") + "'"
    wide = f"CONVERT(nvarchar({max(1, len(utf16) // 2)}), 0x{utf16.hex()})"
    return f"CAST({wide} COLLATE {column.collation} AS varchar({column.max_length}))" if narrow else wide
