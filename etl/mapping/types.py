"""Which TiDB type holds every value of a SQL Server column, for tables moved as they are and for drafted mappings.

Nothing here loses a value: the staged form of each column (etl/source/extract.py) fits the type given for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from etl.source.catalog import Column
from etl.source.extract import OFFSET_SUFFIX, why_left_out

MOST_CHARACTERS: Final = 16_383  # of a VARCHAR in utf8mb4: a row of 65,535 bytes at 4 bytes each
MOST_SCALE: Final = 30

PLAIN: Final[dict[str, tuple[str, str]]] = {
    "bit": ("TINYINT(1)", "boolean"),
    "tinyint": ("TINYINT UNSIGNED", "integer"),
    "smallint": ("SMALLINT", "integer"),
    "int": ("INT", "integer"),
    "bigint": ("BIGINT", "integer"),
    "money": ("DECIMAL(19,4)", "money"),
    "smallmoney": ("DECIMAL(10,4)", "money"),
    # A FLOAT of MySQL is written with six digits when it is read, which is not the number that was stored.
    "real": ("DOUBLE", "float"),
    "float": ("DOUBLE", "float"),
    "date": ("DATE", "date"),
    "datetime": ("DATETIME(3)", "local_time"),
    "smalldatetime": ("DATETIME", "local_time"),
    "uniqueidentifier": ("CHAR(36)", "guid"),
    "text": ("LONGTEXT", "text"),
    "ntext": ("LONGTEXT", "text"),
    "xml": ("LONGTEXT", "text"),
    "image": ("LONGBLOB", "copy"),
    "hierarchyid": ("VARCHAR(4000)", "text"),
    "geography": ("LONGTEXT", "text"),
    "geometry": ("LONGTEXT", "text"),
}
"""DDL type and transform of types without a length."""


@dataclass(frozen=True)
class TargetType:
    """The type a column gets: `ddl` (None when it is refused or left out, with the `refusal`), the `transform` a drafted mapping
    starts with, and columns staged beside it as (name, DDL type), such as the offset of a datetimeoffset.
    `multiline`: text of unlimited length, in which line ends mean something.
    """

    ddl: str | None
    transform: str = "copy"
    beside: tuple[tuple[str, str], ...] = ()
    refusal: str = ""
    multiline: bool = False


def target_type_for(column: Column) -> TargetType:
    """The type of TiDB that holds every value of `column`.

    An IDENTITY becomes BIGINT, since ids of several sources may meet there.

    >>> target_type_for(Column("Name", "nvarchar", 80, 0, 0, True)).ddl
    'VARCHAR(40)'
    >>> target_type_for(Column("Anything", "sql_variant", 8016, 0, 0, True)).refusal
    'sql_variant: holds values of several types, which no result set can carry'
    >>> target_type_for(Column("At", "datetimeoffset", 10, 34, 7, False))
    TargetType(ddl='DATETIME(6)', transform='utc_time', beside=(('At__offset', 'SMALLINT'),), refusal='', multiline=False)
    """
    if (left := why_left_out(column)) is not None:
        return TargetType(None, refusal=left.reason)
    if column.is_identity and column.type_name in ("tinyint", "smallint", "int", "bigint", "decimal", "numeric"):
        wide = column.type_name in ("decimal", "numeric") and column.precision > 18
        return TargetType(f"DECIMAL({column.precision},0)", "decimal") if wide else TargetType("BIGINT", "integer")
    match column.type_name:
        case "decimal" | "numeric":
            return decimal_type(column)
        case "datetime2":
            return TargetType(fraction("DATETIME", column.scale), "local_time")
        case "datetimeoffset":
            return TargetType(fraction("DATETIME", column.scale), "utc_time", beside=((column.name + OFFSET_SUFFIX, "SMALLINT"),))
        case "time":
            return TargetType(fraction("TIME", column.scale))
        case "char" | "varchar":
            return text_type(column.max_length)
        case "nchar" | "nvarchar":
            return text_type(column.max_length // 2 if column.max_length > 0 else column.max_length)
        case "binary" | "varbinary":
            return TargetType("LONGBLOB" if column.max_length < 0 else f"VARBINARY({column.max_length})")
    ddl, transform = PLAIN[column.type_name]
    return TargetType(ddl, transform, multiline=ddl == "LONGTEXT")


def decimal_type(column: Column) -> TargetType:
    """DECIMAL of the same digits; TiDB keeps at most 30 of them behind the point."""
    if column.scale > MOST_SCALE:
        return TargetType(None, refusal=f"decimal({column.precision},{column.scale}): TiDB keeps {MOST_SCALE} fractional digits")
    return TargetType(f"DECIMAL({column.precision},{column.scale})", "decimal")


def fraction(ddl: str, scale: int) -> str:
    """A type of time with as many fractional digits as the source has, six at most: the seventh is cut off when staging.

    >>> fraction("DATETIME", 7), fraction("TIME", 0)
    ('DATETIME(6)', 'TIME')
    """
    digits = min(scale, 6)
    return f"{ddl}({digits})" if digits else ddl


def text_type(length: int) -> TargetType:
    """Text by its greatest length; char too is VARCHAR, since CHAR drops the blanks that pad it."""
    if 0 < length <= MOST_CHARACTERS:
        return TargetType(f"VARCHAR({length})", "text")
    return TargetType("LONGTEXT", "text", multiline=True)
