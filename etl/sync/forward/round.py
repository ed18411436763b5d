"""One round of forward over one legacy database: what changed since each table's position, page by page, with the position.

Killed at any point, a round is begun again from the positions: every page is a transaction of the target, and applying a change
again changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from functools import partial

import polars as pl

from etl.errors import RefusedError
from etl.reconcile.expected import read_lookups
from etl.reconcile.plan import PartPlan
from etl.source.connect import Snapshot
from etl.sync.forward.append import apply_append
from etl.sync.forward.both import apply_both
from etl.sync.forward.context import ForwardContext
from etl.sync.forward.ensure import ensure_members
from etl.sync.forward.positions import Reached, read_reached, shape_of
from etl.sync.forward.read_changes import read_tracked
from etl.sync.forward.versions import Head, check_forward, check_retention, check_shape, read_head, way_of
from etl.sync.forward.work import Work
from etl.sync.model import KEY, Counts
from etl.sync.plan import SyncTable

LOOKUP_ROWS = 50_000


def forward_round(context: ForwardContext, database: str) -> dict[str, Counts]:
    """Bring what changed in a legacy database to the target; what was done, by target table.

    Everything is read at one instant of the database, where it allows snapshots. A table with a long backlog goes on in the next
    round. Raises RefusedError when changes cannot be told any more, with the remedy; SourceError, TargetError.
    """
    done: dict[str, Counts] = {}
    with context.sessions.at_now(database) as snapshot:
        head = read_head(snapshot.session)
        waiting = tables_to_read(context, database, head)
        check_retention(snapshot.session, [reached for _, _, reached in waiting if told_by_tracking(context, reached)])
        for table, part, reached in waiting:
            counts = forward_part(context, snapshot, head, table, part, reached)
            done[table.name] = add(done.get(table.name, Counts()), counts)
        if not snapshot.consistent:  # what was read may have been forgotten while it was read
            check_retention(snapshot.session, [reached for _, _, reached in waiting if told_by_tracking(context, reached)])
    return done


def tables_to_read(context: ForwardContext, database: str, head: Head) -> list[tuple[SyncTable, PartPlan, Reached]]:
    """Parts that may have changes, in the mapping's order, with their positions. Raises RefusedError for a position that does not
    hold any more."""
    found: list[tuple[SyncTable, PartPlan, Reached]] = []
    for table, part in context.plan.parts_of(database):
        legacy = context.plan.legacy(part)
        reached = read_reached(context.target, context.plan.state_schema, legacy.name)
        if reached is None:
            raise RefusedError(
                f"Sync has no position for {legacy.name}.",
                "Begin with: membershift sync start --execute (it notes the positions).",
            )
        check_shape(reached, shape_of(parts_on(context, part), legacy))
        if way_of(legacy, part, context.last_changed) == "tracking":
            version = check_forward(reached, head.tracking)
            if version == reached.position and reached.after is None:
                continue
        found.append((table, part, reached))
    return found


def parts_on(context: ForwardContext, part: PartPlan) -> list[PartPlan]:
    """All parts that read the same legacy table: they share its position."""
    return [other for _, other in context.plan.parts_of(part.part.source.database) if other.table.name == part.table.name]


def told_by_tracking(context: ForwardContext, reached: Reached) -> bool:
    """Whether Change Tracking tells the table's changes."""
    return context.plan.catalog.tables[reached.table].change_tracking


def forward_part(
    context: ForwardContext, snapshot: Snapshot, head: Head, table: SyncTable, part: PartPlan, reached: Reached
) -> Counts:
    """All changes of one part, or as many as a round takes."""
    work = Work(context, snapshot.session, head, table, part, read_lookups(snapshot.session, part, LOOKUP_ROWS))
    total = Counts()
    seen = reached
    ensure = partial(ensure_members, work)
    apply = apply_both if is_merged(table, part) else apply_append
    for changes, to in pages(work, reached):
        total = add(total, apply(work, changes, ensure, seen, to))
        seen = to
    return total


def is_merged(table: SyncTable, part: PartPlan) -> bool:
    """Whether rows are merged with the target's. Members always are: several legacy rows may make one."""
    return table.rules.mode == "both" or part.part.defines_member is not None


def pages(work: Work, reached: Reached) -> Iterator[tuple[pl.DataFrame, Reached]]:
    """Pages of changes, each with the position that it leads to."""
    context = work.context
    size = context.limits.member_rows if is_merged(work.table, work.part) else context.limits.page_rows
    assert work.head.tracking is not None, "tables_to_read looked"
    shape = shape_of(parts_on(context, work.part), context.plan.legacy(work.part))
    upto = work.head.tracking if reached.upto is None else reached.upto
    after = reached.after
    for _ in range(context.limits.fetches):
        read = read_tracked(work.session, work.part, reached.position, after, context.limits.fetch_rows)
        last = read.height < context.limits.fetch_rows
        slices = list(read.iter_slices(size)) or [read]
        for place, page in enumerate(slices):
            if last and place == len(slices) - 1:
                yield page, Reached(reached.table, upto, shape)
                return
            after = str(page[KEY][-1])
            yield page, replace(reached, shape=shape, upto=upto, after=after)


def add(one: Counts, other: Counts) -> Counts:
    """The sum of two counts."""
    return Counts(**{field.name: getattr(one, field.name) + getattr(other, field.name) for field in fields(Counts)})
