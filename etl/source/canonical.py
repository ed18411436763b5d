"""What both drivers give, as the same Arrow columns: exact, and with one type for one thing."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc

SOURCE_TYPE: Final = b"source_type"
"""Metadata of a field: the SQL Server type it was read from."""


def batch_from_arrow(batch: pa.RecordBatch, schema: pa.Schema | None) -> pa.RecordBatch:
    """Columns of mssql-python by position, cast to `schema`; without one, to the nearest canonical types.

    Its time has nanoseconds and its datetimeoffset a time zone: SQL Server's seventh digit is cut off, never rounded.
    """
    if schema is None:
        schema = pa.schema([pa.field(field.name, _canonical(field.type)) for field in batch.schema])
    elif len(schema) != batch.num_columns:
        raise ValueError(f"the query gives {batch.num_columns} columns, the schema has {len(schema)}")
    columns = [_cast(column, field) for column, field in zip(batch.columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def batch_from_rows(rows: Sequence[Sequence[Any]], names: Sequence[str], schema: pa.Schema | None) -> pa.RecordBatch:
    """Rows of pymssql as Arrow; without a schema the types are inferred from these rows."""
    if schema is not None and len(schema) != len(names):
        raise ValueError(f"the query gives {len(names)} columns, the schema has {len(schema)}")
    arrays = [
        _from_values(values, None if schema is None else schema.field(position).type)
        for position, values in enumerate(zip(*rows, strict=True))
    ]
    if schema is None:
        schema = pa.schema([pa.field(name, array.type) for name, array in zip(names, arrays, strict=True)])
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _canonical(found: pa.DataType) -> pa.DataType:
    if pa.types.is_time(found):
        return pa.time64("us")
    return pa.timestamp("us") if pa.types.is_timestamp(found) else found


def _cast(column: pa.Array, field: pa.Field) -> pa.Array:
    if source_type(field) == "uniqueidentifier":
        column = pc.ascii_lower(column)  # pymssql gives UUID objects, whose text is lower case
    if column.type == field.type:
        return column
    return pc.cast(column, field.type, safe=not pa.types.is_time(column.type))


def source_type(field: pa.Field) -> str | None:
    """The SQL Server type a field of a canonical schema was read from."""
    return field.metadata[SOURCE_TYPE].decode() if field.metadata and SOURCE_TYPE in field.metadata else None


def _from_values(values: Sequence[Any], wanted: pa.DataType | None) -> pa.Array:
    first = next((value for value in values if value is not None), None)
    match first:
        case UUID():
            values = [None if value is None else str(value) for value in values]
        case Decimal() if wanted is not None and pa.types.is_integer(wanted):
            values = [None if value is None else int(value) for value in values]
        case _:
            pass
    if wanted is None:
        inferred = pa.array(values)
        return pc.cast(inferred, pa.large_string()) if pa.types.is_string(inferred.type) else inferred
    return pa.array(values, type=wanted)
