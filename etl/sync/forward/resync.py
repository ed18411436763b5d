"""Begin a legacy table anew: where its changes cannot be told any more, everything it holds is compared and merged.

The version is noted first, so that what changes meanwhile comes again afterwards. What changed on the target since it was last in
step is never overwritten without the rule of its table. Cut short, it is simply done again.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from etl.errors import UsageError
from etl.names import SourceTable
from etl.reconcile.expected import read_lookups
from etl.sync.forward.apply import add, apply_changes
from etl.sync.forward.context import ForwardContext
from etl.sync.forward.deletes import delete_missing
from etl.sync.forward.positions import Reached, shape_of
from etl.sync.forward.read_rows import all_rows, newest
from etl.sync.forward.restored import fork_name, read_fork
from etl.sync.forward.versions import clock_of, read_head, way_of
from etl.sync.forward.work import Work
from etl.sync.model import Counts
from etl.sync.state import write_position

LOOKUP_ROWS = 50_000


@dataclass(frozen=True)
class Resynced:
    """`rows` legacy rows were compared. `counts`: what was done, over all parts. `position`: from where changes are followed."""

    table: SourceTable
    rows: int
    counts: Counts
    position: int


def resync_table(context: ForwardContext, name: SourceTable, *, delete_gone: bool = True) -> Resynced:
    """Compare all rows of a legacy table with the target, merge what differs, delete what is gone, then note the position.

    `delete_gone` False keeps target rows that the legacy side lost, for a source that was restored from an old backup.
    No other sync may run. Raises UsageError for a table that is not in the mapping, SourceError, TargetError.
    """
    parts = [(table, part) for table, part in context.plan.parts_of(name.database) if part.part.source == name]
    if not parts:
        raise UsageError(f"The mapping reads no table {name}.", "Tables it reads: membershift sync status")
    total, rows = Counts(), 0
    with context.sessions.at_now(name.database) as snapshot:
        fork = read_fork(snapshot.session)
        snapshot.renew()
        head = read_head(snapshot.session)
        position = position_of(context, Work(context, snapshot.session, head, *parts[0], {}))
        for table, part in parts:
            work = Work(
                context, snapshot.session, head, table, part, read_lookups(snapshot.session, part, LOOKUP_ROWS), again=True
            )
            for page in all_rows(work.session, part, context.limits.fetch_rows):
                rows += page.height
                total = merge_rows(work, page, total)
            if delete_gone:
                total = add(total, delete_missing(work))
    shape = shape_of([part for _, part in parts], context.plan.catalog.tables[name])
    reached = Reached(name, position, shape)
    with context.target.transaction():
        write_position(context.target, context.plan.state_schema, reached.name, reached.position, reached.detail)
        if fork is not None:
            write_position(context.target, context.plan.state_schema, fork_name(name), 0, fork)
    return Resynced(name, rows, total, position)


def position_of(context: ForwardContext, work: Work) -> int:
    """The version of now, in the way in which the table's changes are told."""
    legacy = context.plan.legacy(work.part)
    way = way_of(legacy, work.part, context.last_changed)
    if way == "time":
        clock = clock_of(legacy, work.part, context.last_changed)
        assert clock is not None, "way_of found it"
        return newest(work.session, work.part, clock) or 0
    version = work.head.tracking if way == "tracking" else work.head.row_version
    assert version is not None, "the catalog says that there is one"
    return version


def merge_rows(work: Work, page: pl.DataFrame, total: Counts) -> Counts:
    """Rows as if all had changed."""
    for some in page.iter_slices(work.page_rows):
        total = add(total, apply_changes(work, some, None, None))
    return total
