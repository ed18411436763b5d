"""One round of forward over one legacy database: what changed since each table's position, page by page, with the position.

Killed at any point, a round is begun again from the positions: every page is a transaction of the target, and applying a change
again changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import polars as pl

from etl.errors import RefusedError
from etl.names import SourceTable
from etl.reconcile.expected import read_lookups
from etl.reconcile.plan import PartPlan
from etl.source.connect import Snapshot
from etl.sync.forward.apply import add, apply_changes
from etl.sync.forward.context import ForwardContext
from etl.sync.forward.deletes import delete_missing
from etl.sync.forward.live_schema import check_schema, explaining
from etl.sync.forward.positions import Reached, move, reached_of, shape_of
from etl.sync.forward.quiet import is_through, still_quiet
from etl.sync.forward.restored import check_fork
from etl.sync.forward.spans import Span, open_span
from etl.sync.forward.try_again import try_letters_again
from etl.sync.forward.versions import Head, check_retention, check_shape, read_head
from etl.sync.forward.work import Work
from etl.sync.model import KEY, Counts
from etl.sync.plan import SyncTable
from etl.sync.state import Position, forward_name, read_positions, write_position

LOOKUP_ROWS = 50_000


@dataclass(frozen=True)
class Legacy:
    """A legacy table with the parts that read it, as a rule one, and how far it is."""

    parts: tuple[tuple[SyncTable, PartPlan], ...]
    reached: Reached
    tracked: bool
    shape: str


def forward_round(context: ForwardContext, database: str) -> dict[str, Counts]:
    """Bring what changed in a legacy database to the target; what was done, by target table.

    Everything is read at one instant of the database, where it allows snapshots. A table with a long backlog goes on in the next
    round. Raises RefusedError when changes cannot be told any more, with the remedy; SourceError, TargetError.
    """
    done: dict[str, Counts] = {}
    idle: list[tuple[Reached, Reached]] = []
    context.left.clear()
    if still_quiet(context.sessions, database, context.quiet.get(database), context.looked):
        return done
    context.quiet.pop(database, None)
    check_schema(context, database)
    with explaining(context, database), context.sessions.at_now(database) as snapshot:
        check_fork(context, snapshot, database)
        head = read_head(snapshot.session)
        tables = read_tables(context, database)
        tracked = [legacy.reached for legacy in tables if legacy.tracked and is_behind(legacy.reached, head)]
        check_retention(snapshot.session, tracked)
        for legacy in tables:
            if context.enough():
                break
            forward_table(context, snapshot, head, legacy, done, idle)
        if not snapshot.consistent:  # what was read may have been forgotten while it was read
            check_retention(snapshot.session, tracked)
        move_idle(context, idle)
        for legacy in tables:
            if not legacy.tracked:
                compare_when_due(context, snapshot, head, legacy, done)
        try_letters_again(context, snapshot.session, head, database, done)
    if is_through(head, [(legacy.reached, legacy.tracked) for legacy in tables]):
        context.quiet[database] = head
    return done


def read_tables(context: ForwardContext, database: str) -> list[Legacy]:
    """The database's legacy tables in the mapping's order, with their positions. Raises RefusedError for a position that does not
    hold any more."""
    grouped: dict[SourceTable, list[tuple[SyncTable, PartPlan]]] = {}
    for table, part in context.plan.parts_of(database):
        grouped.setdefault(part.part.source, []).append((table, part))
    positions = read_positions(context.target, context.plan.state_schema)
    return [read_table(context, name, parts, positions.get(forward_name(name))) for name, parts in grouped.items()]


def read_table(
    context: ForwardContext, name: SourceTable, parts: list[tuple[SyncTable, PartPlan]], noted: Position | None
) -> Legacy:
    """One of them."""
    described = context.plan.catalog.tables[name]
    if noted is None:
        raise RefusedError(f"Sync has no position for {name}.", "Begin with: membershift sync start --execute, which notes it.")
    reached = reached_of(name, noted.value, noted.detail)
    shape = shape_of([part for _, part in parts], described)
    check_shape(reached, shape)
    return Legacy(tuple(parts), reached, described.change_tracking, shape)


def is_behind(reached: Reached, head: Head) -> bool:
    """Whether anything in the database changed since; a version that went back counts as such."""
    return head.tracking != reached.position or reached.after is not None


def forward_table(
    context: ForwardContext,
    snapshot: Snapshot,
    head: Head,
    legacy: Legacy,
    done: dict[str, Counts],
    idle: list[tuple[Reached, Reached]],
) -> None:
    """All changes of one legacy table, or as many as a round takes. One without any is only noted in `idle`."""
    *others, last = [Work(context, snapshot.session, head, table, part, {}) for table, part in legacy.parts]
    span = open_span(last, legacy.reached)
    if span is None:
        return
    *others, last = [with_lookups(work, again=span.again) for work in (*others, last)]
    seen = legacy.reached
    for after, rows, pages in fetches(last, legacy, span):
        if seen == legacy.reached and len(pages) == 1 and pages[0][0].is_empty():
            idle.append((seen, pages[0][1]))
            return
        for work in others:  # they are done with the whole read before the position moves within it
            for page in span.read(work, after, rows).iter_slices(work.page_rows):
                note(done, work, apply_changes(work, page, None, None))
        for page, to in pages:
            note(done, last, apply_changes(last, page, seen, to))
            seen = to
            if context.enough():
                return


def with_lookups(work: Work, *, again: bool) -> Work:
    """The same with the part's lookup tables."""
    return replace(work, beside=read_lookups(work.session, work.part, LOOKUP_ROWS), again=again)


def fetches(work: Work, legacy: Legacy, span: Span) -> Iterator[tuple[str | None, int, list[tuple[pl.DataFrame, Reached]]]]:
    """Reads of one table: the key after which each begins, its most rows, and its pages with the position that each leads to."""
    table, after, left = legacy.reached.table, legacy.reached.after, work.context.limits.round_rows
    while left > 0:
        rows = min(left, fetch_size(work.context, table))
        read = span.read(work, after, rows)
        ended = read.height < rows
        if not ended:  # a few rows tell little of the many that may come
            work.context.widths[table] = max(work.context.widths.get(table, 1.0), read.estimated_size() / rows)
        pages = [
            (page, replace(legacy.reached, shape=legacy.shape, upto=span.upto, after=str(page[KEY][-1])))
            for page in read.iter_slices(work.page_rows)
        ]
        if ended:
            last = pages.pop()[0] if pages else read
            pages.append((last, Reached(table, span.upto, legacy.shape)))
        yield after, rows, pages
        if ended:
            return
        after, left = str(read[KEY][-1]), left - rows
    work.context.left.add(table)


def fetch_size(context: ForwardContext, table: SourceTable) -> int:
    """Rows of the next read. Few reads are better: for each, the server goes through all changes of the table anew."""
    width = context.widths.get(table)
    return context.limits.fetch_rows if width is None else max(1, int(context.limits.fetch_bytes / width))


def note(done: dict[str, Counts], work: Work, counts: Counts) -> None:
    """Add to what was done to a target table."""
    done[work.table.name] = add(done.get(work.table.name, Counts()), counts)


def move_idle(context: ForwardContext, idle: list[tuple[Reached, Reached]]) -> None:
    """Positions of tables that did not change while others of their database did, in one transaction."""
    if idle:
        with context.target.transaction():
            for seen, to in idle:
                move(context.target, context.plan.state_schema, seen, to)


def compare_when_due(context: ForwardContext, snapshot: Snapshot, head: Head, legacy: Legacy, done: dict[str, Counts]) -> None:
    """Look for deletes that nothing tells, at the interval of the limits."""
    name = f"keys/{legacy.reached.table}"
    before = read_positions(context.target, context.plan.state_schema).get(name)
    now = (datetime.now(UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    if before is not None and now - before.value < context.limits.key_interval // timedelta(microseconds=1):
        return
    for table, part in legacy.parts:
        work = with_lookups(Work(context, snapshot.session, head, table, part, {}), again=True)
        note(done, work, delete_missing(work))
    with context.target.transaction():
        write_position(context.target, context.plan.state_schema, name, now)
