"""How changed rows are asked for: the condition that makes a row dirty, the index that finds it, the columns that are read."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

import polars as pl

from etl.load.sql import name_list, places, sql
from etl.names import backtick
from etl.reconcile.plan import REDIRECT, encode_keys
from etl.sync.model import KEY, DirtyRows
from etl.sync.plan import SyncTable
from etl.target.bulk import BulkConnection
from etl.target.columns import TargetColumn
from etl.target.drivers import Params
from etl.target.errors import ServerError

UPDATED_AT: Final = "updated_at"
SYNCED_AT: Final = "synced_at"
MOMENT: Final = pl.Datetime("us")

SYNC_INDEX: Final = "ix_sync"
"""The index (updated_at, synced_at), as migrations/schema names it."""

DIRTY: Final = "(synced_at IS NULL OR updated_at <> synced_at)"
"""Never `updated_at > synced_at`: after the clock stepped back by 5 s that missed the change."""

TORN_READ: Final = 8133
"""The index had a row that the table has not: one of both was read a moment too late. Seen a few times an hour under stress on a
standalone store, whose tables ADMIN CHECK finds sound; the same statement, asked again, succeeds."""
TRIES: Final = 5

EPOCH: Final = datetime(1970, 1, 1)


def read_types(table: SyncTable) -> dict[str, pl.DataType]:
    """Names and types of what is read of each row: the mapped columns, where the table redirects members the column that says
    so, and the two times."""
    types: dict[str, pl.DataType] = dict(table.plan.schema)
    if table.plan.redirects and REDIRECT not in types:
        types[REDIRECT] = pl.Int64()
    return {**types, UPDATED_AT: MOMENT, SYNCED_AT: MOMENT}


def select_rows(schema: str, table: SyncTable, rest: str) -> str:
    """SELECT of `read_types` by way of the index: a planner with old statistics would read the whole table. `rest`: the
    conditions."""
    statement = "SELECT {columns} FROM {schema}.{table} FORCE INDEX ({index}) WHERE {rest}"
    return sql(statement, names_of(schema, table), columns=select_list(table), rest=rest)


def select_by_key(schema: str, table: SyncTable, count: int) -> str:
    """SELECT of `read_types` by `count` keys."""
    one = f"({places(len(table.plan.key))})"
    statement = "SELECT {columns} FROM {schema}.{table} WHERE ({key}) IN ({keys})"
    fragments = {"columns": select_list(table), "key": name_list(table.plan.key), "keys": ", ".join([one] * count)}
    return sql(statement, names_of(schema, table), **fragments)


def select_list(table: SyncTable) -> str:
    """The columns of `read_types`."""
    known = {column.name: column for column in table.plan.columns}
    return ", ".join(readable(name, known.get(name)) for name in read_types(table))


def names_of(schema: str, table: SyncTable) -> dict[str, str]:
    """Names in statements."""
    return {"schema": schema, "table": table.name, "index": SYNC_INDEX}


def readable(name: str, column: TargetColumn | None) -> str:
    """A column of the select list; FLOAT as DOUBLE, since servers print six digits of it."""
    quoted = backtick(name)
    return f"CAST({quoted} AS DOUBLE)" if column is not None and column.type_name.startswith("float") else quoted


def key_types(table: SyncTable) -> dict[str, pl.DataType]:
    """The key's columns with their types, in the order of the key."""
    return {name: table.plan.schema[name] for name in table.plan.key}


def with_keys(table: SyncTable, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with KEY."""
    return rows.with_columns(encode_keys(rows.select(table.plan.key)).alias(KEY))


def read_pages(
    connection: BulkConnection, statement: str, table: SyncTable, params: Params, page_rows: int
) -> Iterator[DirtyRows]:
    """Stream the result of `select_rows`. Pages may come twice: see TORN_READ. Raises ServerError."""
    for attempt in range(TRIES):
        try:
            for frame in connection.read_frame(statement, read_types(table), params, batch_rows=page_rows):
                yield DirtyRows(table, with_keys(table, frame), datetime.now(UTC))
            return
        except ServerError as error:
            if error.number != TORN_READ or attempt == TRIES - 1:
                raise


def moment(microseconds: int) -> str:
    """A time for SQL, from microseconds since 1970 (UTC).

    >>> moment(1_700_000_000_000_001)
    '2023-11-14 22:13:20.000001'
    """
    return (EPOCH + timedelta(microseconds=microseconds)).strftime("%Y-%m-%d %H:%M:%S.%f")


def microseconds(at: datetime) -> int:
    """The reverse, exactly; a time without zone is UTC.

    >>> microseconds(datetime(2023, 11, 14, 22, 13, 20, 1))
    1700000000000001
    """
    return (at.replace(tzinfo=None) - EPOCH) // timedelta(microseconds=1)
