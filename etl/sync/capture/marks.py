"""Note that rows are in step, unless they changed since they were read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import polars as pl

from etl.load.sql import name_list, places, sql
from etl.reconcile.plan import decode_keys, encode_keys
from etl.sync.capture.rows import DIRTY, UPDATED_AT, key_types, names_of
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

    A row that somebody has locked is left dirty, so that it comes again; nobody waits for it longer than a second. Sets the
    session's lock wait to 1 s. Raises ServerError: after a conflict (`transient`) the whole transaction is undone.
    """
    wanted = decode_keys(rows[KEY], key_types(table)).with_columns(rows[UPDATED_AT]).sort(table.plan.key)
    connection.execute(LOCK_WAIT)
    marked: list[str] = []
    for some in wanted.iter_slices(MARK_ROWS):
        marked += (
            mark_slice(connection, schema, table, some) if connection.is_tidb else mark_unlocked(connection, schema, table, some)
        )
    return marked


def mark_slice(connection: BulkConnection, schema: str, table: SyncTable, rows: pl.DataFrame) -> list[str]:
    """TiDB: all at once; when one of them stays locked for a second, those that are not locked."""
    try:
        changed = connection.execute(update(schema, table, rows.height), flat(rows))
    except ServerError as error:
        if error.number not in LOCKED:
            raise
        return mark_halves(connection, schema, table, rows)
    return encoded_keys(table, rows) if changed == rows.height else marked_among(connection, schema, table, rows)


def mark_halves(connection: BulkConnection, schema: str, table: SyncTable, rows: pl.DataFrame) -> list[str]:
    """Mark what can be locked at once, by halves: a few locked rows among 500 cost a few statements each."""
    statement = "SELECT {key} FROM {schema}.{table} WHERE {where} FOR UPDATE NOWAIT"
    try:
        connection.query(filled(statement, schema, table, rows.height), flat(rows))
    except ServerError as error:
        if error.number not in LOCKED:
            raise
        if rows.height == 1:
            return []
        middle = rows.height // 2
        return [key for half in (rows[:middle], rows[middle:]) for key in mark_halves(connection, schema, table, half)]
    connection.execute(update(schema, table, rows.height), flat(rows))
    return marked_among(connection, schema, table, rows)


def mark_unlocked(connection: BulkConnection, schema: str, table: SyncTable, rows: pl.DataFrame) -> list[str]:
    """MariaDB: lock those that nobody has locked, and mark them. Without this, marks met applications in deadlocks."""
    statement = "SELECT {key}, updated_at FROM {schema}.{table} WHERE {where} ORDER BY {key} FOR UPDATE SKIP LOCKED"
    types = {**key_types(table), UPDATED_AT: pl.Datetime("us")}
    frames = list(connection.read_frame(filled(statement, schema, table, rows.height), types, flat(rows)))
    if not frames:
        return []
    free = pl.concat(frames)
    connection.execute(update(schema, table, free.height), flat(free))
    return encoded_keys(table, free)


def marked_among(connection: BulkConnection, schema: str, table: SyncTable, rows: pl.DataFrame) -> list[str]:
    """Which of these rows are in step now, at the time they were read. What an UPDATE of the same transaction changed is seen;
    a row it passed over shows as it was at the transaction's start, dirty or of another time."""
    statement = filled("SELECT {key} FROM {schema}.{table} WHERE {where} AND NOT {dirty}", schema, table, rows.height)
    return [key for frame in connection.read_frame(statement, key_types(table), flat(rows)) for key in encoded_keys(table, frame)]


def update(schema: str, table: SyncTable, count: int) -> str:
    """The compare-and-set. `updated_at` is set to itself, or ON UPDATE would make it later than what was sent."""
    return filled(
        "UPDATE {schema}.{table} SET synced_at = updated_at, updated_at = updated_at WHERE {where}", schema, table, count
    )


def filled(statement: str, schema: str, table: SyncTable, count: int) -> str:
    """A statement about `count` rows by key and time."""
    key, where = name_list(table.plan.key), matching(table, count)
    return sql(statement, names_of(schema, table), key=key, where=where, dirty=DIRTY)


def matching(table: SyncTable, count: int) -> str:
    """The condition of `count` rows by key and time."""
    one = f"({places(len(table.plan.key) + 1)})"
    return f"({name_list(table.plan.key)}, {UPDATED_AT}) IN ({', '.join([one] * count)})"


def flat(rows: pl.DataFrame) -> Sequence[Any]:
    """Keys and times as parameters, row by row."""
    return tuple(value for row in rows.iter_rows() for value in row)


def encoded_keys(table: SyncTable, rows: pl.DataFrame) -> list[str]:
    """KEY of each row."""
    return encode_keys(rows.select(table.plan.key)).to_list()
