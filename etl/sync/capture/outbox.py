"""`capture = "outbox"`: an application that notes its changes itself, in the transaction that makes them.

It costs the application about half of its transactions, and is exact: deletes too, and nothing is left to clocks. Its table:

    CREATE TABLE membership.outbox (
        id BIGINT NOT NULL AUTO_RANDOM PRIMARY KEY,              -- MariaDB: AUTO_INCREMENT
        table_name VARCHAR(64) NOT NULL,                         -- the table that was changed
        row_key VARCHAR(255) NOT NULL,                           -- its key: see `read_key`
        op CHAR(1) NOT NULL,                                     -- 'I', 'U' or 'D'
        at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),   -- for the lag shown to people, nothing else
        KEY ix_table (table_name)
    )

Ids are not in the order of commits, so no position is kept: an entry is deleted once what it is about is on the other side.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import polars as pl

from etl.load.sql import places, sql
from etl.reconcile.actual import KEYS_PER_QUERY
from etl.reconcile.plan import encode_keys
from etl.sync.capture.rows import key_types, read_types, select_by_key, with_keys
from etl.sync.model import KEY, DirtyRows
from etl.sync.plan import SyncTable
from etl.target.bulk import BulkConnection
from etl.target.columns import text_of

OUTBOX: Final = "outbox"
READ: Final = "SELECT id, row_key FROM {schema}.{outbox} WHERE table_name = %s LIMIT {limit}"
COUNT: Final = "SELECT COUNT(*), MIN(at) FROM {schema}.{outbox} WHERE table_name = %s"
FORGET: Final = "DELETE FROM {schema}.{outbox} WHERE id IN ({ids})"
FORGET_ROWS: Final = 500


@dataclass(frozen=True)
class OutboxBatch:
    """Entries of one table. `rows`: the rows they are about as they are now (not older than the entries, which are committed with
    them); `deleted`: KEYs of those that are not there; `unreadable`: ids of entries whose key is none. `ids`: all others, to be
    forgotten once rows and deletes are on the other side."""

    rows: DirtyRows
    deleted: pl.Series
    ids: tuple[int, ...]
    unreadable: tuple[int, ...]

    @property
    def is_empty(self) -> bool:
        """Nothing was waiting."""
        return not self.ids and not self.unreadable


def read_outbox(
    connection: BulkConnection, schema: str, table: SyncTable, limit: int = 1_000, outbox: str = OUTBOX
) -> OutboxBatch:
    """At most `limit` entries, several of one row as one. Read outside transactions: rows must not be older than entries.

    Raises ServerError.
    """
    entries = connection.query(sql(READ, {"schema": schema, "outbox": outbox}, limit=str(limit)), (table.name,))
    keys, ids, unreadable = decode_entries(table, entries)
    rows = read_rows(connection, schema, table, keys)
    there = with_keys(table, rows)
    wanted = encode_keys(keys) if keys.height else pl.Series(KEY, [], dtype=pl.String)
    gone = wanted.filter(~wanted.is_in(there[KEY].to_list()))
    return OutboxBatch(DirtyRows(table, there, datetime.now(UTC)), gone, ids, unreadable)


def forget_outbox(connection: BulkConnection, schema: str, ids: Sequence[int], outbox: str = OUTBOX) -> None:
    """Delete entries whose changes are on the other side, in small transactions: done again after a crash, it changes nothing.

    Raises ServerError.
    """
    for first in range(0, len(ids), FORGET_ROWS):
        some = ids[first : first + FORGET_ROWS]
        connection.execute(sql(FORGET, {"schema": schema, "outbox": outbox}, ids=places(len(some))), tuple(some))


def count_outbox(connection: BulkConnection, schema: str, table: SyncTable, outbox: str = OUTBOX) -> tuple[int, datetime | None]:
    """How many entries of a table wait, and since when. Raises ServerError."""
    count, oldest = connection.query(sql(COUNT, {"schema": schema, "outbox": outbox}), (table.name,))[0]
    return int(count), oldest


def decode_entries(table: SyncTable, entries: Iterable[tuple[Any, ...]]) -> tuple[pl.DataFrame, tuple[int, ...], tuple[int, ...]]:
    """Distinct keys in their own types, ids of their entries, ids of entries that name no key."""
    found: dict[tuple[Any, ...], None] = {}
    ids, unreadable = [], []
    for number, text in entries:
        values = typed_key(table, text_of(text))
        if values is None:
            unreadable.append(int(number))
        else:
            ids.append(int(number))
            found[values] = None
    frame = pl.DataFrame(list(found), schema=key_types(table), orient="row")
    return frame, tuple(ids), tuple(unreadable)


def typed_key(table: SyncTable, text: str) -> tuple[Any, ...] | None:
    """The key's values in the types of its columns, None when it is none."""
    values = read_key(table.plan.key, text)
    if values is None:
        return None
    try:
        row = [
            pl.Series([value]).cast(dtype, strict=True)[0] for value, dtype in zip(values, key_types(table).values(), strict=True)
        ]
    except pl.exceptions.PolarsError:
        return None
    return None if any(value is None for value in row) else tuple(row)


def read_key(names: Sequence[str], text: str) -> tuple[str, ...] | None:
    """The values of a key: a JSON list in the order of the key, a JSON object by column, or, of one column, the value itself.

    >>> read_key(("sale_no", "line_no"), '["S1", 2]'), read_key(("id",), '{"id": 7}'), read_key(("id",), "7")
    (('S1', '2'), ('7',), ('7',))
    >>> read_key(("sale_no", "line_no"), "S1") is None
    True
    """
    if text[:1] not in ("[", "{"):
        return (text,) if len(names) == 1 and text else None
    try:
        value = json.loads(text)
    except ValueError:
        return None
    if isinstance(value, dict):
        value = [value.get(name) for name in names] if set(value) == set(names) else []
    if len(value) != len(names) or any(not isinstance(one, str | int) or isinstance(one, bool) for one in value):
        return None
    return tuple(str(one) for one in value)


def read_rows(connection: BulkConnection, schema: str, table: SyncTable, keys: pl.DataFrame) -> pl.DataFrame:
    """Rows by key."""
    frames = [pl.DataFrame(schema=read_types(table))]
    for some in keys.iter_slices(KEYS_PER_QUERY):
        values = tuple(value for row in some.iter_rows() for value in row)
        frames += connection.read_frame(select_by_key(schema, table, some.height), read_types(table), values)
    return pl.concat(frames)
