"""Which expressions read a table without loss, and the Arrow types its rows have once staged.

Each choice is forced by what the drivers do (every type is compared between both drivers in tests/integration/source):
varchar in any code page is cast to nvarchar by the server, which alone knows the code page; xml, ntext, text and image have no
place in a result set that streams; datetimeoffset arrives as an instant only, so its offset travels beside it; half a surrogate
pair cannot travel at all, so a flag does. rowversion and computed columns are left out: the target makes its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from etl.names import bracket
from etl.source.canonical import SOURCE_TYPE
from etl.source.catalog import Column, Table
from etl.source.surrogates import damaged_value

OFFSET_SUFFIX: Final = "__offset"
"""Name ending of the column with a datetimeoffset's minutes east of UTC."""

DAMAGED_SUFFIX: Final = "__damaged"
"""Name ending of the flag of text with half a surrogate pair: the text beside it is not what the source holds; never load it."""


@dataclass(frozen=True)
class SelectItem:
    """One column of the extract: its name, the T-SQL that reads it, and the Arrow type it is staged as.

    `column` is the source column it comes from (two items come from one where an offset or a flag stands beside it).
    """

    name: str
    expression: str
    arrow_type: pa.DataType
    column: str


@dataclass(frozen=True)
class LeftOut:
    """A column that is not staged. `refused` when that loses data which nothing else holds."""

    column: str
    reason: str
    refused: bool = False


_PLAIN: Final[dict[str, pa.DataType]] = {
    "bit": pa.bool_(),
    "tinyint": pa.uint8(),
    "smallint": pa.int16(),
    "int": pa.int32(),
    "bigint": pa.int64(),
    "money": pa.decimal128(19, 4),
    "smallmoney": pa.decimal128(10, 4),
    "real": pa.float32(),
    "float": pa.float64(),
    "date": pa.date32(),
    "time": pa.time64("us"),
    "datetime": pa.timestamp("us"),
    "smalldatetime": pa.timestamp("us"),
    "datetime2": pa.timestamp("us"),
    "binary": pa.large_binary(),
    "varbinary": pa.large_binary(),
    "uniqueidentifier": pa.large_string(),
}
"""Types that both drivers carry as they are."""

TEXT_TYPES: Final = frozenset({"char", "varchar", "text", "nchar", "nvarchar", "ntext"})
_REFUSED: Final = {
    "sql_variant": "holds values of several types, which no result set can carry",
}


def select_list(table: Table) -> list[SelectItem]:
    """What to select, in the order of the table's columns; what is not here is in `left_out`.

    >>> from etl.names import SourceTable
    >>> columns = (Column("Id", "int", 4, 10, 0, False), Column("V", "timestamp", 8, 0, 0, False, is_rowversion=True))
    >>> [item.expression for item in select_list(Table(SourceTable("crm", "dbo", "T"), columns, ("Id",)))]
    ['[Id]']
    """
    return [item for column in table.columns if why_left_out(column) is None for item in _items(column)]


def left_out(table: Table) -> tuple[LeftOut, ...]:
    """The columns that `select_list` does not read, each with its reason."""
    return tuple(why for column in table.columns if (why := why_left_out(column)) is not None)


def why_left_out(column: Column) -> LeftOut | None:
    """None when the column is staged."""
    if column.is_computed:
        return LeftOut(column.name, "computed from other columns")
    if column.is_rowversion:
        return LeftOut(column.name, "rowversion: counts the source's own writes")
    if column.type_name in _REFUSED:
        return LeftOut(column.name, f"{column.type_name}: {_REFUSED[column.type_name]}", refused=True)
    known = column.type_name in _PLAIN or column.type_name in TEXT_TYPES or column.type_name in _SPECIAL
    return None if known else LeftOut(column.name, f"{column.type_name}: a type of its own, unknown here", refused=True)


def canonical_schema(table: Table) -> pa.Schema:
    """The schema of the staged rows of `table`; each field's metadata names its SQL Server type.

    Every field may be NULL: constraints are checked when loading, not here.
    """
    return pa.schema(
        [
            pa.field(item.name, item.arrow_type, metadata={SOURCE_TYPE: table.by_name[item.column].type_name})
            for item in select_list(table)
        ]
    )


def select_statement(table: Table, where: str = "", *, ordered: bool = True) -> str:
    """SELECT of all items, restricted by `where` (T-SQL condition), in key order where there is a key.

    A name alone in ORDER BY is the item of that name: a key cast to nvarchar would be sorted as such, without its index and, in
    a SQL collation, in another order. With the table's alias before it, it is the column.
    """
    items = ", ".join(
        item.expression if item.expression == bracket(item.name) else f"{item.expression} AS {bracket(item.name)}"
        for item in select_list(table)
    )
    sort = ordered and bool(table.key)
    parts = ["SELECT", items, "FROM", f"{table.name.quoted} AS t" if sort else table.name.quoted]
    if where:
        parts += ["WHERE", where]
    if sort:
        parts += ["ORDER BY", ", ".join(f"t.{bracket(name)}" for name in table.key)]
    return " ".join(parts)


_SPECIAL: Final = frozenset({"decimal", "numeric", "datetimeoffset", "xml", "image", "hierarchyid", "geography", "geometry"})


def _items(column: Column) -> list[SelectItem]:
    name, source = column.name, bracket(column.name)
    match column.type_name:
        case "decimal" | "numeric":
            return [SelectItem(name, source, pa.decimal128(column.precision, column.scale), name)]
        case "char" | "varchar" | "text":
            return [SelectItem(name, f"CAST({source} AS {_unicode_type(column)})", pa.large_string(), name)]
        case "nchar" | "nvarchar" | "ntext":
            text = f"CAST({source} AS nvarchar(max))" if column.type_name == "ntext" else source
            flag = SelectItem(f"{name}{DAMAGED_SUFFIX}", damaged_value(text), pa.bool_(), name)
            return [SelectItem(name, text, pa.large_string(), name), flag]
        case "xml":
            return [SelectItem(name, f"CAST({source} AS nvarchar(max))", pa.large_string(), name)]
        case "image":
            return [SelectItem(name, f"CAST({source} AS varbinary(max))", pa.large_binary(), name)]
        case "datetimeoffset":
            instant = SelectItem(name, f"CAST(SWITCHOFFSET({source}, 0) AS datetime2(7))", pa.timestamp("us"), name)
            offset = f"CAST(DATEPART(TZOFFSET, {source}) AS smallint)"
            return [instant, SelectItem(f"{name}{OFFSET_SUFFIX}", offset, pa.int16(), name)]
        case "hierarchyid":
            return [SelectItem(name, f"{source}.ToString()", pa.large_string(), name)]
        case "geography" | "geometry":
            return [SelectItem(name, f"{source}.AsTextZM()", pa.large_string(), name)]
        case plain:
            return [SelectItem(name, source, _PLAIN[plain], name)]


def _unicode_type(column: Column) -> str:
    """The nvarchar that holds any value of a char, varchar or text column: never more characters than bytes."""
    fits = column.type_name != "text" and 0 < column.max_length <= 4000
    return f"nvarchar({column.max_length})" if fits else "nvarchar(max)"
