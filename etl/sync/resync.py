"""membershift sync resync: begin a legacy table anew by comparing it, where its changes can no longer be followed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from etl.errors import UsageError
from etl.names import SourceTable
from etl.progress import Progress
from etl.settings import Settings
from etl.source.connect import open_source
from etl.sync.forward.context import open_forward
from etl.sync.forward.resync import Resynced, resync_table
from etl.sync.lock import hold_sync_lock
from etl.sync.plan import plan_sync
from etl.sync.start import require_sync_tables
from etl.target.connect import connect_bulk


@dataclass(frozen=True)
class ResyncRequest:
    """Which legacy tables (database.schema.table). `keep_gone`: leave target rows that the legacy side lost, for a source that
    was restored from a backup."""

    tables: tuple[str, ...]
    keep_gone: bool = False
    execute: bool = False


@dataclass(frozen=True)
class ResyncResult:
    """`tables`: what was done to each; in a dry run how many rows would be compared, by the server's own estimate."""

    executed: bool
    estimated: dict[str, int]
    tables: tuple[Resynced, ...] = ()


def run_resync(settings: Settings, request: ResyncRequest, progress: Progress) -> ResyncResult:
    """Compare all rows of the tables and merge what differs, by the rule by which changes are merged; then go on from now.

    Raises UsageError for a table that is not in the mapping, RefusedError while a sync runs, SourceError, TargetError.
    """
    names = [SourceTable.parse(name) for name in request.tables]
    with open_source(settings.source, progress) as source, connect_bulk(settings.target) as target:
        require_sync_tables(target, settings.target.state_schema)
        plan = plan_sync(settings, source, target)
        known = plan.catalog.tables
        check_names(names, known)
        estimated = {str(name): known[name].rows for name in names}
        if not request.execute:
            return ResyncResult(False, estimated)
        done = []
        with hold_sync_lock(settings):
            context = open_forward(settings, plan, source, target)
            try:
                for name in names:
                    progress.start(str(name), estimated[str(name)])
                    done.append(resync_table(context, name, delete_gone=not request.keep_gone))
                    progress.finish(str(name))
            finally:
                context.close()
    return ResyncResult(True, estimated, tuple(done))


def check_names(names: Sequence[SourceTable], known: Collection[SourceTable]) -> None:
    """Raises UsageError."""
    for name in names:
        if name not in known:
            listed = ", ".join(sorted(map(str, known)))
            raise UsageError(f"The mapping reads no table {name}.", f"Tables it reads: {listed}")
