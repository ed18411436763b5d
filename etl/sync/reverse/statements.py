"""T-SQL that writes many rows in one statement, for SQL Server 2012 and later: values as literals, never rounded by the server.

Many rows in one statement is what makes reverse fast: a statement a row costs the server a plan each. Our change-tracking context
stands before each one on a tracked table, so that forward knows the change for ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final

from etl.names import bracket
from etl.reconcile.by_key import key_literal
from etl.source.catalog import Column, Table
from etl.sync.model import CONTEXT
from etl.sync.reverse.fits import declared
from etl.sync.reverse.inverse_base import Slot

TEXT: Final = frozenset({"char", "varchar", "text", "nchar", "nvarchar", "ntext", "xml"})
Row = Mapping[str, Any]
"""Values of a legacy row by staged name."""

SAID: Final = frozenset({"datetimeoffset", "time", "uniqueidentifier"})
"""Types that a literal names: what a text stands for is read once, where it is written."""

LAST_OF_BMP: Final = "\uffff"


def with_context(table: Table, statement: str) -> str:
    """The statement as ours."""
    return f"WITH CHANGE_TRACKING_CONTEXT (0x{CONTEXT.hex().upper()}) {statement}" if table.change_tracking else statement


def insert_rows(table: Table, columns: Sequence[Column], rows: Sequence[Row]) -> str:
    """INSERT of rows that bring their own key."""
    values = ", ".join(f"({', '.join(literals(columns, row))})" for row in rows)
    return with_context(table, " ".join(("INSERT INTO", table.name.quoted, f"({names(columns)}) VALUES", values)))


def insert_numbered(table: Table, identity: str, columns: Sequence[Column], rows: Sequence[Row]) -> str:
    """INSERT of rows that the server numbers; it answers with the numbers, in any order.

    An INSERT .. SELECT .. ORDER BY numbers rows in that order ("INSERT (Transact-SQL)", ordering guarantees), so the numbers in
    ascending order are those of `rows` in theirs. What all rows have in common is said once: a server reads every literal.
    """
    said = [literals(columns, row) for row in rows]
    common = [len(set(texts)) == 1 for texts in zip(*said, strict=True)]
    said[0] = literals(columns, rows[0], typed=True)
    places = ["n", *(f"c{at}" for at, same in enumerate(common) if not same)]
    listed = [
        f"({', '.join([str(at), *(text for text, same in zip(row, common, strict=True) if not same)])})"
        for at, row in enumerate(said)
    ]
    values = [said[0][at] if same else f"v.c{at}" for at, same in enumerate(common)]
    return with_context(
        table,
        " ".join(
            (
                f"INSERT INTO {table.name.quoted} ({names(columns)}) OUTPUT inserted.{bracket(identity)}",
                f"SELECT {', '.join(values)}",
                f"FROM (VALUES {', '.join(listed)}) AS v ({', '.join(places)}) ORDER BY v.n",
            )
        ),
    )


def insert_one(table: Table, columns: Sequence[Column], row: Row) -> str:
    """INSERT of one row that the server numbers, and the question which number it got: for a table with triggers, where OUTPUT
    is refused (error 334). SCOPE_IDENTITY leaves out what a trigger inserts elsewhere."""
    return f"{insert_rows(table, columns, [row])}; SELECT CONVERT(nvarchar(200), SCOPE_IDENTITY())"


def update_rows(table: Table, key: Sequence[Column], columns: Sequence[Column], rows: Sequence[Row]) -> str:
    """UPDATE of the same columns of several rows by key."""
    listed = [f"({', '.join([*key_literals(key, row), *literals(columns, row, typed=at == 0)])})" for at, row in enumerate(rows)]
    keys, places = [f"k{at}" for at in range(len(key))], [f"c{at}" for at in range(len(columns))]
    sets = ", ".join(f"{bracket(column.name)} = v.{place}" for column, place in zip(columns, places, strict=True))
    on = " AND ".join(f"t.{bracket(column.name)} = v.{place}" for column, place in zip(key, keys, strict=True))
    return with_context(
        table,
        f"UPDATE t SET {sets} FROM {table.name.quoted} AS t "  # noqa: S608 - quoted names, values as literals
        f"JOIN (VALUES {', '.join(listed)}) AS v ({', '.join([*keys, *places])}) ON {on}",
    )


def delete_rows(table: Table, condition: str) -> str:
    """DELETE of the rows that a condition selects."""
    return with_context(table, " ".join(("DELETE FROM", table.name.quoted, "WHERE", condition)))


def names(columns: Sequence[Column]) -> str:
    """Quoted names."""
    return ", ".join(bracket(column.name) for column in columns)


def key_literals(key: Sequence[Column], row: Row) -> list[str]:
    """A row's key in literals of its columns' own types, so that their index is used."""
    return [key_literal(column, row[column.name]) for column in key]


def literals(columns: Sequence[Column], row: Row, *, typed: bool = False) -> list[str]:
    """Values of a row. `typed`: a NULL says its type, which no other row of a VALUES list may do for it."""
    return [literal(column, row, typed=typed) for column in columns]


def literal(column: Column, row: Row, *, typed: bool = False) -> str:
    """One value, to be assigned to `column`: the server converts it to exactly that type.

    >>> literal(Column("Name", "varchar", 40, 0, 0, True), {"Name": "O'Neill"})
    "'O''Neill'"
    >>> moment = {"At": datetime(2024, 1, 31, 16), "At__offset": 480}
    >>> literal(Column("At", "datetimeoffset", 10, 34, 7, True), moment)
    "CAST('2024-02-01T00:00:00.000000+08:00' AS datetimeoffset(7))"
    """
    value = row[column.name]
    if value is not None and column.type_name in SAID:
        plain = moment_literal(column, value, row.get(f"{column.name}__offset")) if isinstance(value, datetime) else f"'{value}'"
        return f"CAST({plain} AS {declared(column)})"
    if value is None:
        return f"CAST(NULL AS {null_type(column)})" if typed else "NULL"
    match value:
        case bool():
            return str(int(value))
        case int() if column.type_name not in TEXT:
            return str(value)
        case Decimal():
            return f"{value:f}" if column.type_name not in TEXT else f"'{value:f}'"
        case float():
            return f"{value!r}" if "e" in repr(value) else f"{value!r}E0"
        case datetime():
            return moment_literal(column, value, row.get(f"{column.name}__offset"))
        case date() | time():
            return f"'{value.isoformat()}'"
        case bytes():
            return f"0x{value.hex()}"
        case _:
            return text_literal(str(value))


def moment_literal(column: Column, value: datetime, offset: int | None) -> str:
    """ISO 8601 with T, which no setting of the session reads otherwise. datetime takes three digits of a second."""
    match column.type_name:
        case "datetime" | "smalldatetime":
            return f"'{value.isoformat(timespec='milliseconds')}'"
        case "datetimeoffset":
            minutes = offset or 0
            local = (value + timedelta(minutes=minutes)).isoformat(timespec="microseconds")
            return f"'{local}{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}'"
        case _:
            return f"'{value.isoformat(timespec='microseconds')}'"


def text_literal(text: str) -> str:
    """Text that any driver brings through: what stands beyond the basic plane, or cannot be seen, as its bytes."""
    if text.isascii() and (not text or text.isprintable()):
        return "'" + text.replace("'", "''") + "'"
    if text.isprintable() and max(text) <= LAST_OF_BMP:
        return "N'" + text.replace("'", "''") + "'"
    utf16 = text.encode("utf-16-le")
    size = len(utf16) // 2
    return f"CONVERT(nvarchar({size if size <= 4000 else 'max'}), 0x{utf16.hex()})"


def null_type(column: Column) -> str:
    """A type for NULL that its column takes without a clash."""
    match column.type_name:
        case "char" | "varchar" | "text" | "nchar" | "nvarchar" | "ntext":
            return "nvarchar(4000)"
        case "binary" | "varbinary" | "image":
            return "varbinary(8000)"
        case "decimal" | "numeric":
            return f"decimal({column.precision},{column.scale})"
        case plain:
            return plain


def columns_of(slots: Mapping[str, Slot], written: Sequence[str]) -> list[Column]:
    """The columns that these slots stand for, each once: an instant and its offset are one."""
    return list({slots[name].column.name: slots[name].column for name in written}.values())
