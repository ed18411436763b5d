"""The columns of the live target tables, as its own catalog describes them: what a value must be to fit without a change."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal, Protocol

if TYPE_CHECKING:
    from polars import DataType

Kind = Literal["integer", "decimal", "float", "text", "binary", "date", "time", "datetime", "other"]

INTEGER_BITS: Final = {"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64}
TEXT_TYPES: Final = frozenset({"char", "varchar", "tinytext", "text", "mediumtext", "longtext", "json"})
BINARY_TYPES: Final = frozenset({"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"})
BYTE_LIMITED: Final = {"tinytext": 255, "text": 65_535, "mediumtext": 16_777_215, "longtext": 4_294_967_295}

COLUMNS_QUERY: Final = """\
SELECT table_name, column_name, data_type, column_type, character_maximum_length, numeric_precision, numeric_scale,
       datetime_precision, is_nullable, column_default, extra
FROM information_schema.columns
WHERE table_schema = %s
ORDER BY table_name, ordinal_position"""


class Queries(Protocol):
    """What reading the catalog needs of a connection; BulkConnection has it."""

    def query(self, sql: str, params: Sequence[object] | None = None) -> list[tuple[object, ...]]: ...


@dataclass(frozen=True)
class TargetColumn:
    """One column of the target.

    `kind` is what its values are. `length`: characters of text, bytes of binary. `bytes_limit`: greatest size of a TEXT in UTF-8
    bytes, None where characters decide. `precision`: bits of an integer (8 to 64) or of a float (32, 64), digits of a decimal.
    `scale`: fraction digits of a decimal, a time or a datetime. `has_default`: an INSERT may leave the column out although it
    is not nullable (a default, AUTO_INCREMENT; the catalog of TiDB does not tell AUTO_RANDOM).
    `generated`: computed by the server, never written. `type_name`: the type without display width, such as "varchar(40)".
    """

    name: str
    kind: Kind
    length: int | None = None
    precision: int | None = None
    scale: int | None = None
    nullable: bool = True
    unsigned: bool = False
    bytes_limit: int | None = None
    has_default: bool = False
    generated: bool = False
    type_name: str = ""

    @property
    def bounds(self) -> tuple[int, int]:
        """Least and greatest integer that fits.

        >>> TargetColumn("a", "integer", precision=8).bounds, TargetColumn("a", "integer", precision=8, unsigned=True).bounds
        ((-128, 127), (0, 255))
        """
        bits = self.precision or 64
        return (0, 2**bits - 1) if self.unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)

    def polars_type(self) -> DataType:
        """The type that holds every value of this column exactly; what `read_frame` is given to read it."""
        import polars as pl

        match self.kind:
            case "integer":
                bits = 32 if self.precision == 24 else self.precision or 64
                signed = {8: pl.Int8(), 16: pl.Int16(), 32: pl.Int32(), 64: pl.Int64()}
                unsigned = {8: pl.UInt8(), 16: pl.UInt16(), 32: pl.UInt32(), 64: pl.UInt64()}
                return (unsigned if self.unsigned else signed)[bits]
            case "decimal":
                return pl.Decimal(min(self.precision or 38, 38), self.scale or 0)
            case "float":
                return pl.Float32() if self.precision == 32 else pl.Float64()
            case "binary":
                return pl.Binary()
            case "date":
                return pl.Date()
            case "time":
                return pl.Time()
            case "datetime":
                return pl.Datetime("us")
            case _:
                return pl.String()


def read_target_columns(connection: Queries, schema: str) -> dict[str, tuple[TargetColumn, ...]]:
    """The columns of every table of `schema`, in their order, by table name. Empty when the schema does not exist."""
    tables: dict[str, list[TargetColumn]] = {}
    for row in connection.query(COLUMNS_QUERY, (schema,)):
        tables.setdefault(str(row[0]), []).append(describe_column(row[1:]))
    return {table: tuple(columns) for table, columns in tables.items()}


def describe_column(row: Sequence[object]) -> TargetColumn:
    """A row of COLUMNS_QUERY without its table, as a TargetColumn.

    >>> describe_column(("id", "bigint", "bigint(20)", None, 19, 0, None, "NO", None, "auto_increment")).bounds[1] == 2**63 - 1
    True
    >>> describe_column(("n", "varchar", "varchar(40)", 40, None, None, None, "YES", "NULL", "")).length
    40
    """
    name, data_type, column_type, length, precision, scale, fraction, nullable, default, extra = row
    extra_text, type_name = text_of(extra).lower(), text_of(column_type).lower()
    column = TargetColumn(
        name=text_of(name),
        kind="other",
        nullable=text_of(nullable) == "YES",
        has_default=text_of(default) not in ("", "NULL") or "auto_increment" in extra_text,
        generated="generated" in extra_text.replace("default_generated", ""),
        type_name=type_name,
    )
    return with_type(column, text_of(data_type).lower(), as_int(length), as_int(precision), as_int(scale), as_int(fraction))


def with_type(
    column: TargetColumn, data_type: str, length: int | None, precision: int | None, scale: int | None, fraction: int | None
) -> TargetColumn:
    """`column` with the kind and the limits of its catalog type."""
    if data_type in INTEGER_BITS:
        unsigned = "unsigned" in column.type_name
        plain = re.sub(r"\(\d+\)", "", column.type_name)
        return replace(column, kind="integer", precision=INTEGER_BITS[data_type], unsigned=unsigned, type_name=plain)
    if data_type in TEXT_TYPES:
        limit = BYTE_LIMITED.get(data_type)
        return replace(column, kind="text", length=length, bytes_limit=limit)
    if data_type in BINARY_TYPES:
        return replace(column, kind="binary", length=length)
    match data_type:
        case "decimal":
            return replace(column, kind="decimal", precision=precision, scale=scale)
        case "float" | "double":
            return replace(column, kind="float", precision=32 if data_type == "float" else 64)
        case "date":
            return replace(column, kind="date")
        case "time":
            return replace(column, kind="time", scale=fraction or 0)
        case "datetime" | "timestamp":
            return replace(column, kind="datetime", scale=fraction or 0)
        case _:
            return column


def text_of(value: object) -> str:
    """A catalog value as text; some servers send names and types as bytes."""
    return value.decode() if isinstance(value, bytes) else "" if value is None else str(value)


def as_int(value: object) -> int | None:
    """A catalog number, None where it has none."""
    return None if value is None else int(text_of(value))
