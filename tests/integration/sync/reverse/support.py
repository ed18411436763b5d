"""Both sides at hand: what applications write on the target, and what reverse makes of it on the legacy side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from etl.reconcile.merged import read_survive
from etl.settings import Settings
from etl.source.address import address_of
from etl.source.connect import Source
from etl.source.session import open_plain
from etl.sync.base import RowBase, read_bases, write_bases
from etl.sync.capture.sweep import sweep_dirty
from etl.sync.digest import digest
from etl.sync.model import KEY
from etl.sync.plan import SyncPlan
from etl.sync.reverse.model import ReverseContext, Reversed
from etl.sync.reverse.round import reverse_rows
from etl.target.bulk import BulkConnection
from etl.target.connect import connect_bulk

FIRST_OWN_ID = 2**52
READER = "reader"


@dataclass
class Bridge:
    """`apply` is an application's connection to the target, `work` sync's own."""

    settings: Settings
    plan: SyncPlan
    source: Source
    apply: BulkConnection
    work: BulkConnection
    next_id: int = FIRST_OWN_ID

    def target(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """SQL on the target, as an application."""
        return self.apply.query(statement, values or None)

    def legacy(self, statement: str) -> list[tuple[Any, ...]]:
        """T-SQL on the legacy side, as an application."""
        return self.source.query(statement)

    def own_id(self) -> int:
        """An id that the target made."""
        self.next_id += 1
        return self.next_id

    def settle(self) -> None:
        """Bring every row in step and forget nothing else: what `sync start` does once."""
        for table in self.plan.tables:
            self.apply.execute(f"UPDATE {table.name} SET synced_at = updated_at, updated_at = updated_at")

    def begin_bases(self) -> None:
        """Note the common values of all members and consents, and what the legacy side contributed to their counters."""
        for table in self.plan.tables:
            if table.rules.mode == "both":
                frame = pl.concat(
                    self.work.read_frame(f"SELECT {', '.join(table.plan.schema)} FROM {table.name}", table.plan.schema)
                )
                self.note(table.name, frame, {})

    def note(self, name: str, rows: pl.DataFrame, changed: Mapping[str, RowBase]) -> None:
        """Common values of rows as they stand on the target."""
        table = self.plan.table(name)
        (key,) = table.plan.key
        bases = dict(changed)
        for row in rows.iter_rows(named=True):
            hashes = {column: digest(row[column]) for column in table.kept}
            added = {column: row[column] for column in table.rules.counters}
            bases[str(row[key])] = RowBase(hashes, added)
        with self.work.transaction():
            write_bases(self.work, self.plan.state_schema, name, table.kept, bases)

    def bring(self, name: str, *, note: bool = True, **how: Any) -> Reversed:
        """Send every dirty row of a table; with `note` what is done is marked and its common values noted."""
        table = self.plan.table(name)
        context = ReverseContext(self.plan, self.source, self.work, read_survive(self.settings), **how)
        total = Reversed()
        for dirty in list(sweep_dirty(self.apply, self.plan.schema, table, 1000)):
            bases = read_bases(self.work, self.plan.state_schema, name, table.kept, dirty.rows[KEY])
            result = reverse_rows(context, dirty, bases if table.rules.mode == "both" else {})
            if note:
                self.mark(name, dirty.rows, result, bases)
            for part in ("done", "held", "later", "settled", "echoes", "unplaced", "returned"):
                getattr(total, part).update(getattr(result, part))
            total.dead += result.dead
            for part in ("written", "inserted", "unchanged", "born"):
                setattr(total, part, getattr(total, part) + getattr(result, part))
        return total

    def mark(self, name: str, rows: pl.DataFrame, result: Reversed, bases: Mapping[str, RowBase]) -> None:
        """What follows reverse: rows in step, bases what both sides have in common."""
        table = self.plan.table(name)
        changed: dict[str, RowBase] = {}
        with self.work.transaction():
            for row in rows.filter(pl.col(KEY).is_in(list(result.done | set(result.held)))).iter_rows(named=True):
                key, where = row[KEY], " AND ".join(f"{column} = %s" for column in table.plan.key)
                echo = result.echoes.get(key, {})
                sets = "".join(f"{column} = %s, " for column in echo)
                values = (*echo.values(), *(row[column] for column in table.plan.key))
                stamp = "updated_at" if key in result.done else "synced_at"
                self.work.execute(f"UPDATE {name} SET {sets}synced_at = {stamp}, updated_at = updated_at WHERE {where}", values)
                base = bases.get(key, RowBase({}))
                known = {**row, **echo, **result.unplaced.get(key, {})}
                hashes = dict(base.hashes) | {
                    column: digest(known[column])
                    for column in (*result.settled.get(key, ()), *echo, *result.unplaced.get(key, {}))
                    if column in table.kept
                }
                changed[key] = replace(base, hashes=hashes)
            if table.rules.mode == "both":
                write_bases(self.work, self.plan.state_schema, name, table.kept, changed)

    def reasons(self, result: Reversed) -> list[str]:
        """Why rows could not be carried over."""
        return sorted(letter.reason for letter in result.dead)


def open_work(settings: Settings) -> BulkConnection:
    """A connection of sync's own."""
    return connect_bulk(settings.target)


@contextmanager
def somebody(bridge: Bridge) -> Iterator[Any]:
    """Another session of the legacy side."""
    session = open_plain(bridge.settings.source, address_of(bridge.settings.source))
    try:
        yield session
    finally:
        session.close()
