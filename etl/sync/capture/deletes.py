"""Which rows are gone: keys as they were at one time, less the keys of a later time. TiDB only, which keeps old versions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

import polars as pl

from etl.errors import RefusedError
from etl.load.sql import name_list, places, sql
from etl.reconcile.actual import KEYS_PER_QUERY
from etl.reconcile.plan import decode_keys, encode_keys
from etl.sync.capture.rows import key_types, names_of
from etl.sync.capture.scan import greater_key
from etl.sync.plan import SyncTable
from etl.target.bulk import BulkConnection
from etl.target.errors import ServerError

PAGE_KEYS: Final = 100_000
OwnDeletes = Callable[[Sequence[str]], Collection[str]]
"""Of these keys, those that forward itself deleted between the two times."""

TOO_OLD: Final = 9006
NO_TABLE: Final = 1146
NO_COLUMN: Final = 1054
MARGIN_S: Final = 30
"""Kept from the end of the window: versions may be collected while they are read."""

KEYS: Final = "SELECT {key} FROM {schema}.{table} {as_of} USE INDEX () WHERE {where} ORDER BY {key}"
"""USE INDEX (): the planner may take the dirty index, at ten times the time."""


def deleted_keys(
    connection: BulkConnection,
    schema: str,
    table: SyncTable,
    before: datetime,
    after: datetime,
    own: OwnDeletes | None = None,
    sent: Sequence[str] = (),
    page_keys: int = PAGE_KEYS,
) -> Iterator[pl.Series]:
    """KEYs of rows that were there at `before` and are not at `after` (the target's clock, UTC), in pages; less forward's `own`.

    `sent`: KEYs that reverse has sent since `before`. A row inserted, sent and deleted between the two times is at neither of
    them, and would stay on the other side for ever. Before a delete is carried over, ask `still_gone`, in the same thread that
    sends changes: the key may have come back meanwhile, and have been sent.

    Pages of keys in order, each held against the same stretch of the later time: memory is bounded by the page. Two times cannot
    be read in one statement (8135). A key deleted and inserted again is a changed row, which `scan_dirty` finds.
    Raises RefusedError when the deletes of that span cannot be known: MariaDB; a time that garbage collection has passed; a table
    that was renamed or changed its key since. Raises ServerError.
    """
    require_versions(connection, table, before)
    try:
        for first in key_pages(connection, schema, table, before, page_keys):
            gone = first
            for later in keys_between(connection, schema, table, after, first):
                gone = without(gone, later)
            yield from reported(encode_keys(gone), own)
        for first in decode_keys(pl.Series(sent, dtype=pl.String), key_types(table)).iter_slices(KEYS_PER_QUERY):
            yield from reported(encode_keys(without(first, keys_among(connection, schema, table, first, after))), own)
    except ServerError as error:
        raise cannot_know(error, table) from None


def still_gone(connection: BulkConnection, schema: str, table: SyncTable, keys: Sequence[str]) -> list[str]:
    """Those of `keys` that are not there now either. Raises ServerError."""
    wanted = decode_keys(pl.Series(keys, dtype=pl.String), key_types(table))
    slices = wanted.iter_slices(KEYS_PER_QUERY)
    return [key for some in slices for key in encode_keys(without(some, keys_among(connection, schema, table, some)))]


def without(keys: pl.DataFrame, others: pl.DataFrame) -> pl.DataFrame:
    """Keys that are not among others."""
    return keys.join(others, on=keys.columns, how="anti", maintain_order="left")


def reported(keys: pl.Series, own: OwnDeletes | None) -> Iterator[pl.Series]:
    """What is left of keys without our own deletes; nothing when nothing is."""
    if own is not None and len(keys):
        keys = keys.filter(~keys.is_in(list(own(keys.to_list()))))
    if len(keys):
        yield keys


def require_versions(connection: BulkConnection, table: SyncTable, before: datetime) -> None:
    """The target can still show the rows of that time. Raises RefusedError."""
    if not connection.is_tidb:
        raise RefusedError(
            f"MariaDB keeps no old versions: deletes in {table.name} cannot be found by comparing two times.",
            "`membershift reconcile rows` finds rows that only the legacy side has.",
        )
    life = seconds(str(connection.scalar("SELECT @@GLOBAL.tidb_gc_life_time")))
    now: datetime = connection.scalar("SELECT NOW(6)")
    if now - before.replace(tzinfo=None) > timedelta(seconds=max(0.0, life - MARGIN_S)):
        raise too_old(table)


def too_old(table: SyncTable) -> RefusedError:
    """What to do when versions are gone."""
    return RefusedError(
        f"Deletes in {table.name} cannot be known since then: it is longer ago than the target keeps old versions.",
        "Compare all keys with `membershift reconcile rows`, and raise tidb_gc_life_time above the longest stop of sync.",
    )


def cannot_know(error: ServerError, table: SyncTable) -> Exception:
    """A server's error as the refusal that it means."""
    if error.number == TOO_OLD:
        return too_old(table)
    if error.number in (NO_TABLE, NO_COLUMN):
        return RefusedError(
            f"{table.name} had another name or key at that time: its deletes since cannot be known.",
            "Compare all keys with `membershift reconcile rows`.",
        )
    return error


def key_pages(connection: BulkConnection, schema: str, table: SyncTable, at: datetime, page_keys: int) -> Iterator[pl.DataFrame]:
    """All keys of one time, in the server's order."""
    where, values = "TRUE", ()
    while True:
        statement = keys_at(schema, table, at, where) + f" LIMIT {page_keys:d}"
        frames = list(connection.read_frame(statement, key_types(table), values))
        if not frames:
            return
        page = pl.concat(frames)
        yield page
        if page.height < page_keys:
            return
        where, values = greater_key(table.plan.key, page.row(-1))


def keys_between(
    connection: BulkConnection, schema: str, table: SyncTable, at: datetime, page: pl.DataFrame
) -> Iterator[pl.DataFrame]:
    """The keys of another time from the page's first to its last, compared by the server: its order of texts is its own."""
    before, values = greater_key(table.plan.key, page.row(0), "<")
    behind, others = greater_key(table.plan.key, page.row(-1))
    yield from connection.read_frame(
        keys_at(schema, table, at, f"NOT {before} AND NOT {behind}"), key_types(table), (*values, *others)
    )


def keys_at(schema: str, table: SyncTable, at: datetime, where: str) -> str:
    """Keys of one time."""
    return sql(KEYS, names_of(schema, table), key=name_list(table.plan.key), as_of=as_of(at), where=where)


def keys_among(
    connection: BulkConnection, schema: str, table: SyncTable, keys: pl.DataFrame, at: datetime | None = None
) -> pl.DataFrame:
    """Those of `keys` that were there at a time, or are now."""
    one = f"({places(len(table.plan.key))})"
    where, values = ", ".join([one] * keys.height), tuple(value for row in keys.iter_rows() for value in row)
    fragments = {"key": name_list(table.plan.key), "as_of": "" if at is None else as_of(at), "keys": where}
    statement = sql("SELECT {key} FROM {schema}.{table} {as_of} WHERE ({key}) IN ({keys})", names_of(schema, table), **fragments)
    return pl.concat([pl.DataFrame(schema=key_types(table)), *connection.read_frame(statement, key_types(table), values)])


def as_of(at: datetime) -> str:
    """A time in the past, of the target's clock (UTC)."""
    return f"AS OF TIMESTAMP '{at.replace(tzinfo=None).isoformat(' ', 'microseconds')}'"


def seconds(duration: str) -> float:
    """A duration as TiDB writes it, in seconds.

    >>> seconds("10m0s"), seconds("1h30m0s"), seconds("24h0m0s")
    (600.0, 5400.0, 86400.0)
    """
    total, number = 0.0, ""
    for letter in duration:
        if letter.isdigit() or letter == ".":
            number += letter
        elif letter in "hms" and number:
            total += float(number) * {"h": 3600, "m": 60, "s": 1}[letter]
            number = ""
    return total
