"""One round from the target to the legacy side: what changed is captured, sent, and noted as common, in this order.

The order is what makes a kill at any point harmless: a row that was sent and not noted is sent again, and found there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

import polars as pl

from etl.load.sql import name_list, places, sql
from etl.names import SourceTable, backtick
from etl.reconcile.merged import Survive, read_survive
from etl.reconcile.plan import decode_keys
from etl.settings import Settings
from etl.source.connect import Source
from etl.sync.base import RowBase, read_bases, write_bases
from etl.sync.capture.marks import mark_in_step, marking
from etl.sync.capture.rows import MOMENT, UPDATED_AT, key_types, microseconds
from etl.sync.capture.scan import scan_dirty, tables_with_dirty_rows
from etl.sync.capture.sweep import sweep_dirty
from etl.sync.capture.tail import SentImages, tail_pass
from etl.sync.capture.watermark import low_watermark
from etl.sync.dead_letters import settle_dead_letters, write_dead_letters
from etl.sync.digest import digest, pack
from etl.sync.forward.context import never
from etl.sync.model import KEY, Counts, DirtyRows
from etl.sync.plan import SyncPlan, SyncTable
from etl.sync.reverse.locate import GONE
from etl.sync.reverse.model import ReverseContext, Reversed
from etl.sync.reverse.round import reverse_rows
from etl.sync.reverse_letters import settle_moot
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
    another. `watermarks`: how far each table is, in microseconds since 1970 (UTC). `sent_keys`: what was sent since deletes were
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
    dirty = tables_with_dirty_rows(sync.scan, sync.plan.schema, sync.watermarks, sync.scanned)
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
    context = reverse_context(sync)
    low = low_watermark(sync.scan)
    since = sync.tail_since
    counts: dict[str, Counts] = {}
    for table in sync.scanned:
        known = partial(packed_bases, sync, table) if table.rules.mode == "both" else None
        pages = tail_pass(sync.sweeper, sync.plan.schema, table, since, sync.sent[table.name], known)
        counts[table.name], waiting = carry_over(sync, context, table, list(pages))
        if waiting == CUT_SHORT:
            return counts
        sync.sent[table.name].forget(since)
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
    marked = note_sent(sync, table, found, bases, result)
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


def note_sent(sync: ReverseSync, table: SyncTable, page: DirtyRows, bases: Mapping[str, RowBase], result: Reversed) -> list[str]:
    """One target transaction: marks, values that the legacy side holds more coarsely, bases, dead letters. Rows are locked before
    their bases, as forward does. Returns the keys that were marked."""
    state = sync.plan.state_schema
    done = page.rows.filter(pl.col(KEY).is_in(list(result.done)))
    marked: list[str] = []
    with marking(sync.mark):
        if not done.is_empty():
            marked = mark_in_step(sync.mark, sync.plan.schema, table, done.select(KEY, UPDATED_AT))
        taken = take_echoes(sync, table, page, result)
        if table.rules.mode == "both":
            note_bases(sync, table, page, bases, result, taken)
        write_dead_letters(sync.mark, state, result.dead)
        if result.done:
            for part in table.plan.parts:
                settle_dead_letters(sync.mark, state, "reverse", part.part.name, result.done)
    return marked


def take_echoes(sync: ReverseSync, table: SyncTable, page: DirtyRows, result: Reversed) -> set[str]:
    """Write what the legacy type made of a value back to the row it came from, unless the row changed since. Returns the keys."""
    taken: set[str] = set()
    if not result.echoes:
        return taken
    rows = page.rows.filter(pl.col(KEY).is_in(list(result.echoes)))
    keys = decode_keys(rows[KEY], key_types(table))
    same_row = " AND ".join(f"{backtick(name)} = %s" for name in table.plan.key)
    for key, updated_at, values in zip(rows[KEY], rows[UPDATED_AT], keys.iter_rows(), strict=True):
        echo = result.echoes[key]
        statement = sql(
            "UPDATE {schema}.{table} SET {columns}, updated_at = updated_at WHERE {same_row} AND updated_at = %s",
            {"schema": sync.plan.schema, "table": table.name},
            columns=", ".join(f"{backtick(name)} = %s" for name in echo),
            same_row=same_row,
        )
        sync.mark.execute(statement, (*echo.values(), *values, updated_at))
        if is_still(sync, table, values, updated_at):
            taken.add(key)
    return taken


def is_still(sync: ReverseSync, table: SyncTable, key: tuple[Any, ...], updated_at: object) -> bool:
    """Whether the row has this time: an UPDATE that changes nothing counts no row."""
    statement = sql(
        "SELECT 1 FROM {schema}.{table} WHERE ({key}) = ({values}) AND updated_at = %s",
        {"schema": sync.plan.schema, "table": table.name},
        key=name_list(table.plan.key),
        values=places(len(key)),
    )
    return bool(sync.mark.query(statement, (*key, updated_at)))


def note_bases(
    sync: ReverseSync,
    table: SyncTable,
    page: DirtyRows,
    bases: Mapping[str, RowBase],
    result: Reversed,
    taken: set[str],
) -> None:
    """What both sides have in common now, unless forward has moved it since the page was read: then forward knows better."""
    state, keys = sync.plan.state_schema, set(result.settled)
    now = read_bases(sync.mark, state, table.name, table.kept, keys, lock=True)
    changed: dict[str, RowBase] = {}
    for row in page.rows.filter(pl.col(KEY).is_in(list(keys))).iter_rows(named=True):
        key = row[KEY]
        read, standing = bases.get(key, RowBase({})), now.get(key, RowBase({}))
        hashes = dict(standing.hashes)
        # What was sent is there as the legacy type holds it, also where the target's row changed meanwhile and could not take it.
        echo = {name: value for name, value in result.echoes.get(key, {}).items() if key in taken or name in result.settled[key]}
        unplaced = result.unplaced.get(key, {})
        for column in {*result.settled[key], *echo, *unplaced}:
            if column in table.kept and standing.hashes.get(column) == read.hashes.get(column):
                hashes[column] = digest({**row, **unplaced, **echo}[column])
        if hashes != standing.hashes or key not in now:
            changed[key] = replace(standing, hashes=hashes)
    write_bases(sync.mark, state, table.name, table.kept, changed)


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
