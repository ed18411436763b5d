"""Which type of TiDB holds a column of SQL Server without loss (docs/assess.md has the table)."""

from __future__ import annotations

from typing import Final

from etl.source.catalog import Column

MAX_VARCHAR: Final = 16_383
"""Characters: 65,535 bytes of a row at four bytes of utf8mb4 each."""
MAX_SCALE: Final = 30

FIXED: Final = {
    "bit": "TINYINT(1)",
    "tinyint": "TINYINT UNSIGNED",
    "smallint": "SMALLINT",
    "int": "INT",
    "bigint": "BIGINT",
    "money": "DECIMAL(19,4)",
    "smallmoney": "DECIMAL(10,4)",
    "real": "FLOAT",
    "float": "DOUBLE",
    "date": "DATE",
    "datetime": "DATETIME(3)",
    "smalldatetime": "DATETIME",
    "datetime2": "DATETIME(6)",
    "datetimeoffset": "DATETIME(6)",
    "time": "TIME(6)",
    "uniqueidentifier": "CHAR(36)",
    "timestamp": "BINARY(8)",
    "rowversion": "BINARY(8)",
    "text": "LONGTEXT",
    "ntext": "LONGTEXT",
    "xml": "LONGTEXT",
    "geography": "LONGTEXT",
    "geometry": "LONGTEXT",
    "image": "LONGBLOB",
    "hierarchyid": "VARCHAR(892)",
}


def target_type(column: Column) -> str | None:
    """The type to declare, None where there is none. An IDENTITY becomes BIGINT: ids go on being made, by both sides.

    >>> target_type(Column("Name", "nvarchar", 80, 0, 0, True)), target_type(Column("V", "sql_variant", 8016, 0, 0, True))
    ('VARCHAR(40)', None)
    >>> target_type(Column("Id", "int", 4, 10, 0, False, is_identity=True)), target_type(Column("P", "decimal", 9, 12, 3, True))
    ('BIGINT', 'DECIMAL(12,3)')
    """
    if column.is_identity:
        return "BIGINT"
    match column.type_name:
        case "decimal" | "numeric":
            return f"DECIMAL({column.precision},{min(column.scale, MAX_SCALE)})"
        case "char" | "varchar":
            return text_type(column.max_length)
        case "nchar" | "nvarchar":
            return text_type(column.max_length // 2 if column.max_length > 0 else column.max_length)
        case "binary" | "varbinary":
            return "LONGBLOB" if column.max_length < 0 else f"VARBINARY({column.max_length})"
        case other:
            return FIXED.get(other)


def text_type(characters: int) -> str:
    """VARCHAR as long as it may be, LONGTEXT beyond; never fewer characters than the source's bytes or code units."""
    return f"VARCHAR({characters})" if 0 < characters <= MAX_VARCHAR else "LONGTEXT"
