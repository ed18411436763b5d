"""One round from the target to the legacy side: what changed is captured, sent, and noted as common, in this order.

The order is what makes a kill at any point harmless: a row that was sent and not noted is sent again, and found there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

import polars as pl

from etl.load.sql import name_list, places, sql
from etl.names import SourceTable
from etl.reconcile.merged import Survive, read_survive
from etl.settings import Settings
from etl.source.connect import Source
from etl.sync.base import RowBase, read_bases
from etl.sync.capture.rows import DIRTY, MOMENT, UPDATED_AT, key_types, microseconds
from etl.sync.capture.scan import scan_dirty, tables_with_rows
from etl.sync.capture.sweep import sweep_dirty
from etl.sync.capture.tail import SentImages, tail_pass
from etl.sync.capture.watermark import low_watermark
from etl.sync.digest import pack
from etl.sync.forward.context import never
from etl.sync.model import KEY, Counts, DirtyRows
from etl.sync.plan import SyncPlan, SyncTable
from etl.sync.reverse.locate import GONE
from etl.sync.reverse.model import ReverseContext, Reversed
from etl.sync.reverse.round import reverse_rows
from etl.sync.reverse_letters import settle_moot
from etl.sync.reverse_notes import note_sent
from etl.sync.state import forward_name, read_positions, reverse_name, write_position
from etl.target.bulk import BulkConnection
from etl.target.connect import connect_bulk

PAGE_ROWS: Final = 500
CUT_SHORT: Final = 0
"""In place of a row's time: pages were left for later, so that no watermark may move."""
NOTE_S: Final = 5.0
"""How often the watermarks are noted."""


@dataclass
class ReverseSync:
    """Of one thread. `scan`, `mark` and `sweeper` are connections of their own: pages are read on one while rows are marked on
    another. `watermarks`: how far each table is, in microseconds since 1970 (UTC). `sent`: what was sent of each, `found_equal`:
    what the tail pass need not compare again. `sent_keys`: what was sent since deletes were
    looked for last: a row inserted, sent and deleted in between is there at neither time. `enough`: asked between pages, whether
    the round shall leave the rest to the next one (etl/sync/throttle.py). `behind_s`: how old the oldest row is that the last
    round left for later, 0 where it left none."""

    settings: Settings
    plan: SyncPlan
    source: Source
    scan: BulkConnection
    mark: BulkConnection
    sweeper: BulkConnection
    survive: Survive
    watermarks: dict[str, int] = field(default_factory=dict)
    sent: dict[str, SentImages] = field(default_factory=dict)
    found_equal: dict[str, SentImages] = field(default_factory=dict)
    sent_keys: dict[str, set[str]] = field(default_factory=dict)
    last_tail: float = 0.0
    noted_at: float = 0.0
    tail_since: int = 0
    behind_s: float = 0.0
    enough: Callable[[], bool] = never

    @property
    def tables(self) -> tuple[SyncTable, ...]:
        """Tables that applications on the target write to."""
        return tuple(table for table in self.plan.tables if table.rules.mode != "source")

    @property
    def scanned(self) -> tuple[SyncTable, ...]:
        """Those of them whose changes are told by their times; of the others an outbox tells (etl/sync/outbox_round.py)."""
        return tuple(table for table in self.tables if table.rules.capture == "scan")

    def close(self) -> None:
        """Let go of the connections."""
        for connection in (self.scan, self.mark, self.sweeper):
            connection.close()


def open_reverse(settings: Settings, plan: SyncPlan, source: Source) -> ReverseSync:
    """Connect, and read how far each table is. Raises TargetError, ConfigurationError."""
    with ExitStack() as stack:
        scan, mark, sweeper = (stack.enter_context(connect_bulk(settings.target)) for _ in range(3))
        positions = read_positions(scan, plan.state_schema)
        stack.pop_all()
    made = ReverseSync(settings, plan, source, scan, mark, sweeper, read_survive(settings))
    made.sent = {table.name: SentImages() for table in made.tables}
    for table in made.scanned:
        position = positions.get(reverse_name(table.name))
        made.watermarks[table.name] = position.value if position is not None else 0
    made.tail_since = min(made.watermarks.values(), default=0)
    return made


def reverse_round(sync: ReverseSync) -> dict[str, Counts]:
    """Everything that changed since the last round, table by table, parents first. The watermark comes first, and counts only
    once all of its rows are through."""
    low = low_watermark(sync.scan)
    dirty = tables_with_rows(sync.scan, sync.plan.schema, sync.watermarks, sync.scanned)
    context = reverse_context(sync) if dirty else None
    counts: dict[str, Counts] = {}
    oldest = now = microseconds(low.now)
    for table in sync.scanned:
        since, waiting = sync.watermarks[table.name], None
        if context is not None and table in dirty:
            pages = scan_dirty(sync.scan, sync.plan.schema, table, since, PAGE_ROWS)
            counts[table.name], waiting = carry_over(sync, context, table, pages)
        sync.watermarks[table.name] = low.advance(since, waiting)
        left = since if waiting == CUT_SHORT else waiting
        oldest = oldest if left is None else min(oldest, left)
    sync.behind_s = (now - oldest) / 1e6
    if time.monotonic() - sync.noted_at >= NOTE_S:
        note_watermarks(sync)
    return counts


def tail_round(sync: ReverseSync) -> dict[str, Counts]:
    """Rows written twice within one microsecond, whose second image was not sent."""
    low = low_watermark(sync.scan)
    since = sync.tail_since
    held = [table for table in sync.scanned if table.rules.mode == "both" or not sync.sent[table.name].is_empty]
    touched = tables_with_rows(sync.sweeper, sync.plan.schema, dict.fromkeys(sync.watermarks, since), held, f"NOT {DIRTY}")
    counts: dict[str, Counts] = {}
    for table in touched:
        sent, equal = sync.sent[table.name], sync.found_equal.setdefault(table.name, SentImages())
        known = partial(packed_bases, sync, table) if table.rules.mode == "both" else None
        pages = tail_pass(sync.sweeper, sync.plan.schema, table, since, sent, known, found_equal=equal)
        if again := list(pages):
            counts[table.name], waiting = carry_over(sync, reverse_context(sync), table, again)
            if waiting == CUT_SHORT:
                return counts
    for images in (*sync.sent.values(), *sync.found_equal.values()):
        if not images.is_empty:
            images.forget(since)
    sync.tail_since = low.advance(since)
    sync.last_tail = time.monotonic()
    return counts


def sweep_round(sync: ReverseSync) -> dict[str, Counts]:
    """Every dirty row there is, whatever its time: at the start, at intervals, and before a fence ends."""
    context = reverse_context(sync)
    counts: dict[str, Counts] = {}
    for table in sync.tables:
        counts[table.name], _ = carry_over(sync, context, table, sweep_dirty(sync.sweeper, sync.plan.schema, table, PAGE_ROWS))
    settle_moot(sync.mark, sync.plan.schema, sync.plan.state_schema, sync.tables)
    return counts


def packed_bases(sync: ReverseSync, table: SyncTable, keys: Sequence[str]) -> dict[str, bytes]:
    """What both sides last had in common, for rows that this process has not sent itself."""
    found = read_bases(sync.mark, sync.plan.state_schema, table.name, table.kept, keys)
    return {key: pack(table.kept, dict(base.hashes)) for key, base in found.items()}


def reverse_context(sync: ReverseSync) -> ReverseContext:
    """What a round works with: how far forward is now tells which legacy changes are still to come."""
    positions = read_positions(sync.mark, sync.plan.state_schema)
    known: dict[SourceTable, int] = {}
    for table in sync.plan.tables:
        for part in table.plan.parts:
            position = positions.get(forward_name(part.part.source))
            if position is not None:
                known[part.part.source] = position.value
    return ReverseContext(sync.plan, sync.source, sync.mark, sync.survive, known)


def carry_over(
    sync: ReverseSync, context: ReverseContext, table: SyncTable, pages: Iterable[DirtyRows]
) -> tuple[Counts, int | None]:
    """Send pages of dirty rows and note what both sides have in common. Returns what was done, and the earliest time of a row
    that has to be looked at again (microseconds), None when there is none. Dead letters, and rows whose legacy row is gone (a
    conflict that forward has kept), are left to the sweeps."""
    counts, waiting = Counts(), None
    for found in pages:
        if sync.enough():
            return counts, CUT_SHORT
        left = send_page(sync, context, table, found, counts)
        if not left.is_empty():
            earliest = microseconds(left[UPDATED_AT].min())  # type: ignore[arg-type]  # a column of times has a time as least
            waiting = earliest if waiting is None else min(waiting, earliest)
    return counts, waiting


def send_page(sync: ReverseSync, context: ReverseContext, table: SyncTable, found: DirtyRows, counts: Counts) -> pl.DataFrame:
    """Send one page, and note what both sides have in common; what was done is added to `counts`. Returns the rows that have to
    be looked at again."""
    fresh = sync.sent[table.name].not_sent(table, found.rows)
    page, bases = with_bases(sync, table, replace(found, rows=fresh))
    result = reverse_rows(context, page, bases)
    result.done |= set(found.rows[KEY]) - set(fresh[KEY])  # sent before, and locked when they were to be marked
    marked = note_sent(sync.mark, sync.plan, table, found, bases, result)
    sync.sent[table.name].remember(table, page.rows.filter(pl.col(KEY).is_in(list(result.done))))
    sync.sent_keys.setdefault(table.name, set()).update(result.done)
    count(counts, result)
    settled = [*marked, *result.dead_keys(), *(key for key, why in result.later.items() if why == GONE)]
    return found.rows.filter(~pl.col(KEY).is_in(settled))


def with_bases(sync: ReverseSync, table: SyncTable, page: DirtyRows) -> tuple[DirtyRows, Mapping[str, RowBase]]:
    """The rows with what both sides last had in common, as of one moment.

    A row that was written between the reading of the two is left out: beside a newer base an old image would look like a change,
    and wipe what forward has just brought. It is dirty at its new time, or in step.
    """
    if table.rules.mode != "both":
        return page, {}
    bases = read_bases(sync.mark, sync.plan.state_schema, table.name, table.kept, page.rows[KEY])
    now = read_times(sync, table, page)
    same = page.rows.join(now, on=[*table.plan.key, UPDATED_AT], how="semi", maintain_order="left")
    return replace(page, rows=same), bases


def read_times(sync: ReverseSync, table: SyncTable, page: DirtyRows) -> pl.DataFrame:
    """Keys and updated_at of these rows as they are now."""
    types = {**key_types(table), UPDATED_AT: MOMENT}
    frames = [pl.DataFrame(schema=types)]
    for some in page.rows.select(table.plan.key).iter_slices(PAGE_ROWS):
        statement = sql(
            "SELECT {columns} FROM {schema}.{table} WHERE ({key}) IN ({values})",
            {"schema": sync.plan.schema, "table": table.name},
            columns=name_list((*table.plan.key, UPDATED_AT)),
            key=name_list(table.plan.key),
            values=", ".join([f"({places(len(table.plan.key))})"] * some.height),
        )
        frames += sync.mark.read_frame(statement, types, [value for row in some.iter_rows() for value in row])
    return pl.concat(frames)


def note_watermarks(sync: ReverseSync) -> None:
    """How far each table is, now and then: after a restart a little is read again. Not past the tail pass, which then has to go
    on from there too."""
    sync.noted_at = time.monotonic()
    with sync.mark.transaction():
        for name, reached in sync.watermarks.items():
            value = min(reached, sync.tail_since or reached)
            write_position(sync.mark, sync.plan.state_schema, reverse_name(name), value)


def count(counts: Counts, result: Reversed) -> None:
    """Add a page's result."""
    counts.written += result.written + result.inserted
    counts.unchanged += result.unchanged
    counts.dead += len(result.dead)
    counts.held += len(result.held) + len(result.later)
