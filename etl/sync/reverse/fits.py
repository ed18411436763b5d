"""Will a value fit its legacy column? Checked here, since the server would put '?' for a character, or refuse a whole batch.

Lengths of char and varchar are bytes of the collation's code page, those of nchar and nvarchar UTF-16 code units (SQL Server,
"char and varchar", "nchar and nvarchar"); datetime begins in 1753, smalldatetime ends on 2079-06-06 ("Date and time types").
"""

from __future__ import annotations

import xml.parsers.expat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import polars as pl

from etl.source.catalog import Column
from etl.sync.reverse.inverse_base import Slot

NARROW: Final = frozenset({"char", "varchar", "text"})
WIDE: Final = frozenset({"nchar", "nvarchar", "ntext"})
CODECS: Final = {
    437: "cp437", 850: "cp850", 874: "cp874", 932: "cp932", 936: "gbk", 949: "cp949", 950: "cp950",
    1250: "cp1250", 1251: "cp1251", 1252: "cp1252", 1253: "cp1253", 1254: "cp1254", 1255: "cp1255", 1256: "cp1256",
    1257: "cp1257", 1258: "cp1258", 54936: "gb18030", 65001: "utf-8",
}  # fmt: skip
EURO_936: Final = "\N{EURO SIGN}"
"""The one character that Windows' code page 936 has (as 0x80) and Python's codec has not."""

FIRST: Final = {"datetime": datetime(1753, 1, 1), "smalldatetime": datetime(1900, 1, 1)}
LAST: Final = {"smalldatetime": datetime(2079, 6, 6, 23, 59)}
GREATEST_MONEY: Final = {"money": "922337203685477.5807", "smallmoney": "214748.3647"}


@dataclass(frozen=True)
class Misfit:
    """A value that its legacy column cannot hold. `row` counts from 0; `detail` names column and type, never the value."""

    row: int
    reason: str
    detail: str


def find_misfits(rows: pl.DataFrame, slots: dict[str, Slot], written: pl.DataFrame) -> Iterator[Misfit]:
    """Values among those `written` (a Boolean column for each slot) that do not fit. One finding a value, the first reason."""
    for name in written.columns:
        slot = slots[name]
        asked = written[name]
        if not asked.any():
            continue
        values = rows[name]
        if not slot.column.nullable and not slot.column.is_identity:
            yield from told(asked & values.is_null(), "null_not_allowed", slot.column, "takes no NULL")
        if slot.kind == "text":
            yield from check_text(values, asked, slot.column)
        elif slot.kind == "datetime":
            yield from check_time(values, asked, slot.column)
        elif slot.column.type_name in GREATEST_MONEY:
            bound = pl.Series([GREATEST_MONEY[slot.column.type_name]]).cast(values.dtype).item()
            yield from told(asked & (values.abs() > bound).fill_null(False), "out_of_range", slot.column, f"ends at {bound}")


def told(bad: pl.Series, reason: str, column: Column, why: str) -> Iterator[Misfit]:
    """A finding for each row that is marked."""
    for row in bad.fill_null(False).arg_true():
        yield Misfit(int(row), reason, f"{column.name} ({declared(column)}) {why}")


def check_time(values: pl.Series, asked: pl.Series, column: Column) -> Iterator[Misfit]:
    """Dates before the first or after the last one of the type."""
    early, late = FIRST.get(column.type_name), LAST.get(column.type_name)
    if early is not None:
        yield from told(asked & (values < early), "out_of_range", column, f"begins in {early.year}")
    if late is not None:
        yield from told(asked & (values > late), "out_of_range", column, f"ends in {late.year}")


def check_text(values: pl.Series, asked: pl.Series, column: Column) -> Iterator[Misfit]:
    """Characters outside the code page, then the length."""
    if column.type_name == "xml":
        odd = [row for row in asked.arg_true() if values[row] is not None and not well_formed(values[row])]
        yield from (Misfit(int(row), "not_xml", f"{column.name} (xml) takes well-formed XML alone") for row in odd)
        return
    limit = text_limit(column)
    ascii_only = ~values.str.contains(r"[^\x00-\x7f]")
    if column.type_name in NARROW:
        if limit is not None:
            yield from told(asked & ascii_only & (values.str.len_bytes() > limit), "too_long", column, f"holds {limit} bytes")
        for row in (asked & ~ascii_only).fill_null(False).arg_true():
            size = encoded_size(values[row], column.code_page)
            if size is None:
                yield Misfit(int(row), "not_in_code_page", f"{column.name} ({declared(column)}) has not all of its characters")
            elif limit is not None and size > limit:
                yield Misfit(int(row), "too_long", f"{column.name} ({declared(column)}) holds {limit} bytes, {size} needed")
    elif column.type_name in WIDE and limit is not None:
        long = asked & (values.str.len_bytes() > limit)  # never fewer bytes of UTF-8 than UTF-16 units
        for row in long.fill_null(False).arg_true():
            size = len(values[row].encode("utf-16-le")) // 2
            if size > limit:
                yield Misfit(int(row), "too_long", f"{column.name} ({declared(column)}) holds {limit} characters, {size} needed")


def text_limit(column: Column) -> int | None:
    """Greatest length, in bytes of narrow text and UTF-16 units of wide text; None without a limit."""
    if column.max_length < 0 or column.type_name in ("text", "ntext", "xml"):
        return None
    return column.max_length if column.type_name in NARROW else column.max_length // 2


def encoded_size(text: str, code_page: int | None) -> int | None:
    """Bytes of a text in a code page; None when it has not all of its characters, or is not known here.

    >>> encoded_size("李a", 936), encoded_size("\\U0001f600", 936), encoded_size("\\u20ac", 936), encoded_size("李", 1252)
    (3, None, 1, None)
    """
    codec = CODECS.get(code_page or 0)
    if codec is None:
        return None
    euros = text.count(EURO_936) if code_page == 936 else 0
    try:
        return len((text.replace(EURO_936, "") if euros else text).encode(codec)) + euros
    except UnicodeEncodeError:
        return None


def well_formed(text: str) -> bool:
    """Whether a text is a piece of XML, as a column of type xml takes it: elements and text, several at the top too.

    >>> well_formed("<a/><b>1</b>"), well_formed("<a>")
    (True, False)
    """
    parser = xml.parsers.expat.ParserCreate()
    try:
        parser.Parse("<r>" + text + "</r>", True)
    except xml.parsers.expat.ExpatError:
        return False
    return True


def declared(column: Column) -> str:
    """A column's type as it was declared.

    >>> declared(Column("Name", "varchar", 40, 0, 0, True)), declared(Column("Note", "nvarchar", -1, 0, 0, True))
    ('varchar(40)', 'nvarchar(max)')
    """
    match column.type_name:
        case "char" | "varchar" | "binary" | "varbinary":
            size = column.max_length
        case "nchar" | "nvarchar":
            size = column.max_length // 2 if column.max_length >= 0 else -1
        case "decimal" | "numeric":
            return f"{column.type_name}({column.precision},{column.scale})"
        case "datetime2" | "datetimeoffset" | "time":
            return f"{column.type_name}({column.scale})"
        case _:
            return column.type_name
    return f"{column.type_name}({'max' if size < 0 else size})"
