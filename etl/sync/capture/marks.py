"""Note that rows are in step, unless they changed since they were read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import polars as pl

from etl.load.sql import name_list, places, sql
from etl.reconcile.plan import decode_keys, encode_keys
from etl.sync.capture.rows import UPDATED_AT, key_types, names_of
from etl.sync.model import KEY
from etl.sync.plan import SyncTable
from etl.target.bulk import BulkConnection
from etl.target.errors import ServerError

MARK_ROWS: Final = 500
"""Rows a statement: they are locked together, so more would stop applications for longer."""

LOCK_WAIT: Final = "SET SESSION innodb_lock_wait_timeout = 1"
LOCKED: Final = frozenset({1205, 3572, 1105})
"""Somebody holds a lock on the row: after a wait, or at once with NOWAIT. The statement is undone, the transaction goes on. TiDB
8.5 under load says 1105 (unknown error, "lock wait timeout") for it at times, even with NOWAIT; were it something else, the row
would stay dirty, and the backlog show it."""

NOWAIT: Final = "NOWAIT"
SKIP: Final = "SKIP LOCKED"


@contextmanager
def marking(connection: BulkConnection) -> Iterator[None]:
    """A transaction in which `mark_in_step` may be called, with whatever belongs to the marks; committed at the end.

    Pessimistic on TiDB, whatever its default is. READ COMMITTED on MariaDB, where the gaps between rows are locked otherwise.
    """
    if connection.is_tidb:
        connection.begin("BEGIN PESSIMISTIC")
    else:
        connection.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
        connection.begin()
    try:
        yield
        connection.commit()
    except BaseException:
        connection.rollback()
        raise


def mark_rows(connection: BulkConnection, schema: str, table: SyncTable, rows: pl.DataFrame) -> list[str]:
    """`mark_in_step` in transactions of its own, MARK_ROWS at a time. A deadlock leaves the rows of its transaction dirty."""
    marked: list[str] = []
    for some in rows.select(KEY, UPDATED_AT).iter_slices(MARK_ROWS):
        try:
            with marking(connection):
                done = mark_in_step(connection, schema, table, some)
        except ServerError as error:
            if error.lost or not error.transient:
                raise
            continue
        marked += done
    return marked


def mark_in_step(connection: BulkConnection, schema: str, table: SyncTable, rows: pl.DataFrame) -> list[str]:
    """Set synced_at = updated_at of those `rows` (KEY and updated_at, as they were read and sent) that have not changed since;
    return their keys. Runs in the transaction of the caller: see `marking`.

    A row that somebody has locked is left dirty, so that it comes again. Nobody waits: waiting for one row of 500 would keep
    the others from applications meanwhile. Sets the session's lock wait to 1 s, for what servers wait for all the same.
    Raises ServerError: after a conflict (`transient`) the whole transaction is undone.
    """
    wanted = decode_keys(rows[KEY], key_types(table)).with_columns(rows[UPDATED_AT]).sort(table.plan.key)
    connection.execute(LOCK_WAIT)
    marked: list[str] = []
    for some in wanted.iter_slices(MARK_ROWS):
        free = (
            lock_halves(connection, schema, table, some)
            if connection.is_tidb
            else lock_rows(connection, schema, table, some, SKIP)
        )
        if not free.is_empty():
            connection.execute(update(schema, table, free.height), flat(free.select(table.plan.key)))
            marked += encode_keys(free.select(table.plan.key)).to_list()
    return marked


def lock_halves(connection: BulkConnection, schema: str, table: SyncTable, rows: pl.DataFrame) -> pl.DataFrame:
    """TiDB, which cannot skip locked rows: lock what can be locked at once, by halves. A few locked rows among 500 cost a few
    statements each; waiting for them would keep the others locked meanwhile."""
    try:
        return lock_rows(connection, schema, table, rows, NOWAIT)
    except ServerError as error:
        if error.number not in LOCKED:
            raise
    if rows.height == 1:
        return rows.clear()
    middle = rows.height // 2
    return pl.concat([lock_halves(connection, schema, table, half) for half in (rows[:middle], rows[middle:])])


def lock_rows(connection: BulkConnection, schema: str, table: SyncTable, rows: pl.DataFrame, how: str) -> pl.DataFrame:
    """Those of the rows that still are as they were read, locked: on MariaDB, marks without this met applications in deadlocks.

    Times are compared here: 500 pairs of key and time in a statement take TiDB's planner as long as all the rest.
    """
    keys = rows.select(table.plan.key)
    found = connection.query(lock(schema, table, rows.height, how), flat(keys))
    return rows.join(pl.DataFrame(found, schema=rows.schema, orient="row"), on=rows.columns, how="semi", maintain_order="left")


def lock(schema: str, table: SyncTable, count: int, how: str) -> str:
    """Lock rows by key, and read their times as they are now."""
    statement = "SELECT {key}, updated_at FROM {schema}.{table} WHERE ({key}) IN ({keys}) ORDER BY {key} FOR UPDATE {how}"
    return sql(statement, names_of(schema, table), **key_fragments(table, count), how=how)


def update(schema: str, table: SyncTable, count: int) -> str:
    """Mark rows that are locked. `updated_at` is set to itself, or ON UPDATE would make it later than what was sent."""
    statement = "UPDATE {schema}.{table} SET synced_at = updated_at, updated_at = updated_at WHERE ({key}) IN ({keys})"
    return sql(statement, names_of(schema, table), **key_fragments(table, count))


def key_fragments(table: SyncTable, count: int) -> dict[str, str]:
    """The key's columns, and places for `count` keys."""
    return {"key": name_list(table.plan.key), "keys": ", ".join([f"({places(len(table.plan.key))})"] * count)}


def flat(rows: pl.DataFrame) -> Sequence[Any]:
    """Keys as parameters, row by row."""
    return tuple(value for row in rows.iter_rows() for value in row)
