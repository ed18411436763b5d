"""What of a fence has not arrived yet, on either side: by legacy table toward the target, by target table toward the source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from etl.load.sql import name_list, places, sql
from etl.names import SourceTable, bracket
from etl.reconcile.plan import PartPlan, encode_keys
from etl.source.connect import Source
from etl.sync.capture.outbox import waiting_entries
from etl.sync.capture.rows import DIRTY, SYNC_INDEX, key_types, moment
from etl.sync.capture.sweep import STORE
from etl.sync.capture.watermark import LEAST_ALLOWANCE_US, low_watermark
from etl.sync.forward.read_rows import between_versions
from etl.sync.forward.versions import Way, counter_of, way_of
from etl.sync.mark import Mark
from etl.sync.model import CONTEXT
from etl.sync.plan import SyncPlan, SyncTable
from etl.sync.state import Position, forward_name, read_positions
from etl.target.bulk import BulkConnection
from etl.target.columns import text_of

OPEN: Final = "open transactions"
"""In place of a table: something that began before the fence is still under way on the target."""

UNSENT: Final = (
    "SELECT {columns} FROM {schema}.{table} FORCE INDEX ({index}) WHERE {dirty} AND (synced_at IS NULL OR synced_at < %s)"
)
"""Rows with a change up to the fence that may not be on the other side: what was marked after it held every change before."""


def ways_of(plan: SyncPlan) -> dict[SourceTable, tuple[PartPlan, Way]]:
    """How changes of each legacy table are told, with a part that reads it."""
    found: dict[SourceTable, tuple[PartPlan, Way]] = {}
    for table in plan.tables:
        for part in table.plan.parts:
            found.setdefault(part.part.source, (part, way_of(plan.legacy(part), part, {})))
    return found


def forward_left(source: Source, target: BulkConnection, plan: SyncPlan, mark: Mark) -> dict[str, int]:
    """Legacy tables with changes of others up to the mark that are not on the target: about how many rows of each."""
    positions = read_positions(target, plan.state_schema)
    left: dict[str, int] = {}
    for name, (part, way) in ways_of(plan).items():
        rows = table_left(source, plan, part, way, positions.get(forward_name(name)), mark)
        if rows:
            left[str(name)] = rows
    return left


def table_left(source: Source, plan: SyncPlan, part: PartPlan, way: Way, position: Position | None, mark: Mark) -> int:
    """Rows of one legacy table, at least 1 as long as its stream is not past the mark."""
    name, value = part.part.source, 0 if position is None else position.value
    database = mark.databases[name.database]
    if way == "tracking":
        behind = database.tracking is None or value < database.tracking
        return changes_since(source, name, value) if behind else 0
    if way == "time":
        return int(value < mark.clocks.get(str(name), 0))
    counter = counter_of(plan.legacy(part))
    assert counter is not None, "way_of found it"
    if value >= database.row_version:
        return 0
    condition = between_versions(counter, value, database.row_version)
    table = f"{bracket(name.schema)}.{bracket(name.name)}"
    count = " ".join(("SELECT COUNT(*) FROM", table, "AS t WHERE", condition))
    return max(1, int(source.scalar(count, database=name.database)))


def changes_since(source: Source, name: SourceTable, version: int) -> int:
    """Rows that somebody else than sync changed after a version."""
    changes = f"CHANGETABLE(CHANGES {bracket(name.schema)}.{bracket(name.name)}, {int(version)})"
    ours = f"c.SYS_CHANGE_CONTEXT IS NULL OR c.SYS_CHANGE_CONTEXT <> 0x{CONTEXT.hex()}"
    return int(source.scalar(" ".join(("SELECT COUNT(*) FROM", changes, "AS c WHERE", ours)), database=name.database))


@dataclass
class ReverseLeft:
    """What is to go back to the legacy side. The rows are noted once, when nothing that began before the fence is open any more:
    what others change later is none of this fence's, and would keep it waiting for ever."""

    plan: SyncPlan
    stores: tuple[str, ...]
    fence_us: int
    owed: dict[str, set[str]] = field(default_factory=dict)
    noted: bool = False

    def look(self, target: BulkConnection) -> dict[str, int]:
        """Target tables with rows of the stores, or rows of which nobody knows whose they are, that have not arrived."""
        if not self.noted:
            low = low_watermark(target, LEAST_ALLOWANCE_US)
            if low.value_us is None or low.value_us < self.fence_us:
                return {OPEN: 1}
            self.owed = {table.name: self.waiting(target, table) for table in self.tables}
            self.noted = True
        for table in self.tables:
            if self.owed[table.name]:
                self.owed[table.name] &= self.waiting(target, table)
        return {name: len(keys) for name, keys in self.owed.items() if keys}

    @property
    def tables(self) -> tuple[SyncTable, ...]:
        """Tables that applications on the target write to."""
        return tuple(table for table in self.plan.tables if table.rules.mode != "source")

    def waiting(self, target: BulkConnection, table: SyncTable) -> set[str]:
        """What of a table has not arrived: rows, and entries of the outbox where it has one: deletes have no row."""
        if table.rules.capture == "scan":
            return self.unsent(target, table)
        entries = waiting_entries(target, self.plan.schema, table, self.plan.settings.sync.outbox)
        return self.unsent(target, table) | {f"entry {number}" for number in entries}

    def unsent(self, target: BulkConnection, table: SyncTable) -> set[str]:
        """KEYs of rows with changes that may be of before the fence: of an append table those of the stores, where it says whose
        they are. Of a table that is changed again and again (members) all: a till of these stores may have changed another
        store's member. Only what is in a dead letter already is left to its own store then."""
        rows = read_unsent(target, self.plan.schema, table, self.fence_us)
        if STORE not in rows.columns:
            return set(encode_keys(rows.select(table.plan.key)))
        mine = pl.col(STORE).is_in(list(self.stores)).fill_null(False)
        own, others = rows.filter(mine), rows.filter(~mine)
        keys = set(encode_keys(own.select(table.plan.key)))
        if table.rules.mode == "both" and not others.is_empty():
            keys |= set(encode_keys(others.select(table.plan.key))) - dead_keys(target, self.plan, table)
        return keys


def read_unsent(target: BulkConnection, schema: str, table: SyncTable, fence_us: int) -> pl.DataFrame:
    """Keys, and whose the rows are where the table says so, of rows with changes that may be of before the fence."""
    types = key_types(table) | ({STORE: table.plan.schema[STORE]} if STORE in table.plan.schema else {})
    names = {"schema": schema, "table": table.name, "index": SYNC_INDEX}
    statement = sql(UNSENT, names, columns=name_list(tuple(types)), dirty=DIRTY)
    return pl.concat([pl.DataFrame(schema=types), *target.read_frame(statement, types, (moment(fence_us),))])


def dead_keys(target: BulkConnection, plan: SyncPlan, table: SyncTable) -> set[str]:
    """KEYs of rows that cannot be carried back, and of which somebody has been told."""
    parts = [part.part.name for part in table.plan.parts]
    statement = (
        "SELECT row_key FROM {state}.sync_dead_letter WHERE direction = 'reverse' AND settled_at IS NULL AND part IN ({parts})"
    )
    rows = target.query(sql(statement, {"state": plan.state_schema}, parts=places(len(parts))), parts)
    return {text_of(key) for (key,) in rows}


def untracked(ways: Mapping[SourceTable, tuple[PartPlan, Way]], table: SyncTable) -> bool:
    """Whether a target table is fed by one without Change Tracking: its stream alone is no proof, deletes least of all."""
    return any(ways[part.part.source][1] != "tracking" for part in table.plan.parts)
