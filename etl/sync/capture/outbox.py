"""`capture = "outbox"`: an application that notes its changes itself, in the transaction that makes them.

It costs the application about half of its transactions, and is exact: deletes too, and nothing is left to clocks. Its table is
CREATE_OUTBOX. Ids are not in the order of commits, so no position is kept: every round reads all entries, and an entry is deleted
once what it is about is on the other side.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import polars as pl

from etl.errors import RefusedError
from etl.load.sql import places, sql
from etl.reconcile.actual import KEYS_PER_QUERY
from etl.reconcile.plan import encode_keys
from etl.sync.capture.rows import key_types, read_types, select_by_key, with_keys
from etl.sync.model import KEY, DirtyRows
from etl.sync.plan import SyncTable
from etl.target.bulk import BulkConnection
from etl.target.columns import text_of

CREATE_OUTBOX: Final = """\
CREATE TABLE {schema}.{outbox} (
    id BIGINT NOT NULL {numbered} PRIMARY KEY,
    table_name VARCHAR(64) NOT NULL,
    row_key VARCHAR(255) NOT NULL,
    op CHAR(1) NOT NULL,
    at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    KEY ix_table (table_name)
) DEFAULT CHARSET utf8mb4 COLLATE utf8mb4_bin"""
"""`table_name`: the table that was changed. `row_key`: its key, see `read_key`. `op`: I, U or D, for people: what counts is
whether the row is there. `at`: when, for people too."""

COLUMNS: Final = """\
SELECT column_name, data_type, character_maximum_length, column_key FROM information_schema.columns
WHERE table_schema = %s AND table_name = %s"""
INDEXED: Final = """\
SELECT 1 FROM information_schema.statistics
WHERE table_schema = %s AND table_name = %s AND column_name = 'table_name' AND seq_in_index = 1"""

READ: Final = "SELECT id, row_key FROM {schema}.{outbox} WHERE table_name = %s AND id > %s ORDER BY id LIMIT {limit}"
IDS: Final = "SELECT id FROM {schema}.{outbox} WHERE table_name = %s"
FORGET: Final = "DELETE FROM {schema}.{outbox} WHERE id IN ({ids})"
FORGET_ROWS: Final = 500
PAGE_ENTRIES: Final = 1_000


@dataclass(frozen=True)
class OutboxBatch:
    """Entries of one table. `rows`: the rows they are about as they are now (not older than the entries, which are committed with
    them); `deleted`: KEYs of those that are not there; `unreadable`: ids of entries whose key is none. `ids`: of all others by
    KEY, to be forgotten once rows and deletes are on the other side. `last`: the greatest id of all."""

    rows: DirtyRows
    deleted: pl.Series
    ids: Mapping[str, tuple[int, ...]]
    unreadable: tuple[int, ...]
    last: int

    @property
    def count(self) -> int:
        """How many entries there are."""
        return sum(len(numbers) for numbers in self.ids.values()) + len(self.unreadable)


def outbox_pages(
    connection: BulkConnection, schema: str, table: SyncTable, outbox: str, page_entries: int = PAGE_ENTRIES
) -> Iterator[OutboxBatch]:
    """All entries of a table, so many at a time. Those of one page that could not be forgotten do not stand in the way of the
    next.

    Read outside transactions: rows must not be older than entries. Raises ServerError.
    """
    after = -(2**63)
    while True:
        batch = read_outbox(connection, schema, table, outbox, after, page_entries)
        if batch.count:
            yield batch
        if batch.count < page_entries:
            return
        after = batch.last


def read_outbox(connection: BulkConnection, schema: str, table: SyncTable, outbox: str, after: int, limit: int) -> OutboxBatch:
    """At most `limit` entries behind an id, several of one row as one. Raises ServerError."""
    statement = sql(READ, {"schema": schema, "outbox": outbox}, limit=str(limit))
    entries = connection.query(statement, (table.name, after))
    keys, ids, unreadable = decode_entries(table, entries)
    rows = read_rows(connection, schema, table, keys)
    there = with_keys(table, rows)
    gone = pl.Series(KEY, list(set(ids) - set(there[KEY])), dtype=pl.String).sort()
    last = int(entries[-1][0]) if entries else after
    return OutboxBatch(DirtyRows(table, there, datetime.now(UTC)), gone, ids, unreadable, last)


def waiting_entries(connection: BulkConnection, schema: str, table: SyncTable, outbox: str) -> set[int]:
    """Ids of all entries of a table. Raises ServerError."""
    rows = connection.query(sql(IDS, {"schema": schema, "outbox": outbox}), (table.name,))
    return {int(number) for (number,) in rows}


def require_outbox(connection: BulkConnection, schema: str, outbox: str) -> None:
    """Raises RefusedError where the table is missing or is another one, with the statement that makes it; ServerError."""
    rows = connection.query(COLUMNS, (schema, outbox))
    found = {text_of(name): (text_of(kind).lower(), length, text_of(key)) for name, kind, length, key in rows}
    numbered = "AUTO_RANDOM" if connection.is_tidb else "AUTO_INCREMENT"
    remedy = "Have it made: " + sql(CREATE_OUTBOX, {"schema": schema, "outbox": outbox}, numbered=numbered)
    if not found:
        raise RefusedError(f'The mapping says capture = "outbox", and {schema} has no table {outbox}.', remedy)
    wrong = [name for name in ("id", "table_name", "row_key") if name not in found]
    if not wrong:
        wrong += ["id"] if found["id"][0] != "bigint" or found["id"][2] != "PRI" else []
        wrong += [name for name in ("table_name", "row_key") if found[name][0] != "varchar"]
        wrong += ["table_name"] if not connection.query(INDEXED, (schema, outbox)) else []
    if wrong:
        listed = ", ".join(dict.fromkeys(wrong))
        raise RefusedError(f"{schema}.{outbox} is no outbox: {listed} missing, of another type, or without its index.", remedy)


def forget_outbox(connection: BulkConnection, schema: str, ids: Sequence[int], outbox: str) -> None:
    """Delete entries whose changes are on the other side, in small transactions: done again after a crash, it changes nothing.

    Raises ServerError.
    """
    for first in range(0, len(ids), FORGET_ROWS):
        some = ids[first : first + FORGET_ROWS]
        connection.execute(sql(FORGET, {"schema": schema, "outbox": outbox}, ids=places(len(some))), tuple(some))


def decode_entries(
    table: SyncTable, entries: Iterable[tuple[Any, ...]]
) -> tuple[pl.DataFrame, dict[str, tuple[int, ...]], tuple[int, ...]]:
    """Distinct keys in their own types, ids of their entries by KEY, ids of entries that name no key."""
    found: dict[tuple[Any, ...], list[int]] = {}
    unreadable = []
    for number, text in entries:
        values = typed_key(table, text_of(text))
        if values is None:
            unreadable.append(int(number))
        else:
            found.setdefault(values, []).append(int(number))
    frame = pl.DataFrame(list(found), schema=key_types(table), orient="row")
    keys = encode_keys(frame).to_list() if frame.height else []
    return frame, {key: tuple(ids) for key, ids in zip(keys, found.values(), strict=True)}, tuple(unreadable)


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
