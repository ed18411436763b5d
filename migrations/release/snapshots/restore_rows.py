"""Bring rows of one table back, chunk by chunk: each row locked and looked at again before it is written.

Rows are written as an application would write them, without the columns that change capture lives on: sync sees each as a change
of the target like any other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal

import polars as pl

from etl.load.sql import name_list, places
from etl.names import backtick
from etl.progress import Progress
from etl.target.bulk import BulkConnection
from etl.target.errors import ServerError
from etl.target.retry import with_retries
from migrations.release.snapshots.create import polars_schema
from migrations.release.snapshots.own_tables import OwnTable

ROWS_PER_TRANSACTION: Final = 200
"""Few enough that rows are locked for a moment only."""

KEYS_PER_QUERY: Final = 500
DUPLICATE_KEY: Final = 1062
Row = Mapping[str, Any]
Outcome = Literal["written", "done", "changed since", "blocked"]


@dataclass(frozen=True)
class Difference:
    """What separates a table from the snapshot, of one store: rows that are `missing`, that changed (`wanted` as they were,
    `seen` as they are, row by row), and that came after (`extra`)."""

    missing: pl.DataFrame
    wanted: pl.DataFrame
    seen: pl.DataFrame
    extra: pl.DataFrame

    @property
    def rows(self) -> int:
        """All of them."""
        return self.missing.height + self.wanted.height + self.extra.height


@dataclass(frozen=True)
class Restored:
    """Rows `written`; `changed_since` were no longer as they had been seen, `blocked` have a unique value that another row holds:
    both were left alone."""

    written: int = 0
    changed_since: int = 0
    blocked: int = 0

    def __add__(self, other: Restored) -> Restored:
        return Restored(self.written + other.written, self.changed_since + other.changed_since, self.blocked + other.blocked)


def difference(table: OwnTable, then: pl.DataFrame, now: pl.DataFrame) -> Difference:
    """Compare by key, column by column; what change capture notes does not count.

    `now` may hold rows of other stores, which only count where the snapshot has their key.
    """
    key, compared = list(table.key), list(table.compared)
    both = then.join(now, on=key, how="inner", suffix="__now", maintain_order="left", nulls_equal=True)
    differs = pl.any_horizontal([pl.lit(False), *(pl.col(name).ne_missing(pl.col(f"{name}__now")) for name in compared)])
    changed = both.filter(differs)
    return Difference(
        missing=then.join(now, on=key, how="anti"),
        wanted=changed.select(*key, *compared),
        seen=changed.select(*key, *(pl.col(f"{name}__now").alias(name) for name in compared)),
        extra=now.join(then, on=key, how="anti").select(*key, *compared),
    )


def read_now(target: BulkConnection, schema: str, table: OwnTable, store: str, then: pl.DataFrame) -> pl.DataFrame:
    """The store's rows as they are now, and those of the snapshot's keys that belong to nobody or to another store meanwhile."""
    types = polars_schema(table)
    own = pl.concat([pl.DataFrame(schema=types), *target.read_frame(table.select(schema), types, (store,))])
    astray = then.select(table.key).join(own, on=list(table.key), how="anti")
    return pl.concat([own, read_by_key(target, schema, table, astray)])


def read_by_key(target: BulkConnection, schema: str, table: OwnTable, keys: pl.DataFrame, *, lock: bool = False) -> pl.DataFrame:
    """Rows with these keys."""
    types = polars_schema(table)
    frames = [pl.DataFrame(schema=types)]
    for some in keys.select(table.key).iter_slices(KEYS_PER_QUERY):
        values = tuple(value for row in some.iter_rows() for value in row)
        frames += target.read_frame(table.select_keys(schema, some.height, lock=lock), types, values)
    return pl.concat(frames)


@dataclass(frozen=True)
class RowRestorer:
    """Writes the rows of one table. Each chunk is a transaction, which may be done again as a whole."""

    target: BulkConnection
    schema: str
    table: OwnTable
    progress: Progress

    def put_back(self, found: Difference) -> Restored:
        """Rows that are missing or changed, as they were."""
        updated = self.in_chunks(found.wanted, found.seen)
        return updated + self.in_chunks(found.missing, None)

    def remove(self, found: Difference) -> Restored:
        """Rows that came after."""
        return self.in_chunks(None, found.extra)

    def in_chunks(self, wanted: pl.DataFrame | None, seen: pl.DataFrame | None) -> Restored:
        """Row i of `seen` (None: there is none) becomes row i of `wanted` (None: is deleted)."""
        rows = wanted if wanted is not None else seen
        assert rows is not None, "one of both is there"
        total = Restored()
        for first in range(0, rows.height, ROWS_PER_TRANSACTION):
            part = slice(first, first + ROWS_PER_TRANSACTION)
            chunk = partial(self.chunk, None if wanted is None else wanted[part], None if seen is None else seen[part])
            total += with_retries(chunk, retries=self.target.settings.retries, progress=self.progress)
            self.progress.advance(self.table.name, min(ROWS_PER_TRANSACTION, rows.height - first))
        return total

    def chunk(self, wanted: pl.DataFrame | None, seen: pl.DataFrame | None) -> Restored:
        """One transaction."""
        rows = wanted if wanted is not None else seen
        assert rows is not None, "one of both is there"
        with self.target.transaction():
            locked = read_by_key(self.target, self.schema, self.table, rows, lock=True)
            now = {key_of(self.table, row): row for row in locked.iter_rows(named=True)}
            pairs = zip(dicts(wanted, rows.height), dicts(seen, rows.height), strict=True)
            outcomes = [self.one(after, before, now) for after, before in pairs]
        return Restored(outcomes.count("written"), outcomes.count("changed since"), outcomes.count("blocked"))

    def one(self, wanted: Row | None, seen: Row | None, now: Mapping[tuple[Any, ...], Row]) -> Outcome:
        """One row, if it is still as it was seen; one that is as it should be was written by a try whose answer was lost."""
        row = wanted or seen
        assert row is not None, "one of both is there"
        current = now.get(key_of(self.table, row))
        if self.equal(current, wanted):
            return "done"
        if not self.equal(current, seen):
            return "changed since"
        sql, values = self.statement(wanted, seen)
        try:
            self.target.execute(sql, values)
        except ServerError as error:
            if error.number != DUPLICATE_KEY:
                raise
            return "blocked"
        return "written"

    def equal(self, left: Row | None, right: Row | None) -> bool:
        """Whether two rows of one key say the same; None stands for no row."""
        if left is None or right is None:
            return left is right
        return all(left[name] == right[name] for name in self.table.compared)

    def statement(self, wanted: Row | None, seen: Row | None) -> tuple[str, tuple[Any, ...]]:
        """The write of one row: INSERT, UPDATE or DELETE by key."""
        place = f"{backtick(self.schema)}.{backtick(self.table.name)}"
        key = " AND ".join(f"{backtick(name)} = %s" for name in self.table.key)
        if wanted is None:
            assert seen is not None, "one of both is there"
            return " ".join(("DELETE FROM", place, "WHERE", key)), key_of(self.table, seen)
        if seen is None:
            names = (*self.table.key, *self.table.compared)
            into = f"({name_list(names)}) VALUES ({places(len(names))})"
            return " ".join(("INSERT INTO", place, into)), tuple(wanted[name] for name in names)
        changed = [name for name in self.table.compared if wanted[name] != seen[name]]
        values = tuple(wanted[name] for name in changed) + key_of(self.table, wanted)
        changes = ", ".join(f"{backtick(name)} = %s" for name in changed)
        return " ".join(("UPDATE", place, "SET", changes, "WHERE", key)), values


def key_of(table: OwnTable, row: Row) -> tuple[Any, ...]:
    """Its key."""
    return tuple(row[name] for name in table.key)


def dicts(rows: pl.DataFrame | None, count: int) -> Iterable[Row | None]:
    """Rows by column name; so many times nothing where there are none."""
    nothing: Sequence[None] = (None,) * count
    return nothing if rows is None else rows.iter_rows(named=True)
