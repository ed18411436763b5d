"""membershift sync drain: after writes to a store are refused on one side, prove that all of it has arrived on the other.

Three things have to be true, in this order: the stream is past what had been committed when the fence went up, nothing of the
store is waiting, and the store's rows agree on both sides, key by key. A grey release switches a store only then.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final, Literal

from etl.errors import RefusedError
from etl.names import SourceTable, bracket
from etl.progress import Progress
from etl.reconcile.born import read_born
from etl.reconcile.differences import ReconcileResult
from etl.reconcile.registry import anything_merged
from etl.reconcile.run import now_of
from etl.settings import Settings
from etl.source.connect import Source, open_source
from etl.sync.capture.rows import microseconds
from etl.sync.capture.sweep import count_dirty
from etl.sync.capture.watermark import LEAST_ALLOWANCE_US, low_watermark
from etl.sync.compare_some import compare_store, told
from etl.sync.model import CONTEXT
from etl.sync.plan import SyncPlan, plan_sync
from etl.sync.state import forward_name, read_positions
from etl.target.bulk import BulkConnection
from etl.target.connect import connect_bulk

Toward = Literal["target", "source"]
POLL_S: Final = 0.2
OPEN: Final = "open transactions"
"""In place of a table: something that began before the fence is still under way on the target."""


@dataclass(frozen=True)
class DrainRequest:
    """`toward`: the side that is to have everything of `store`. `within_s`: how long to wait for it. `settle_s`: pause before the
    second look at rows that differ."""

    store: str
    toward: Toward
    within_s: float = 60.0
    settle_s: float = 2.0


@dataclass(frozen=True)
class DrainResult:
    """`drained`: everything of the store has arrived. Otherwise `left` says what has not, by stream or table. `compared`: the
    store's rows on both sides, None where it did not come to that. `uncompared`: tables that do not say whose their rows are:
    of these the stream alone is proof. `mark`: when the fence was looked at (UTC)."""

    drained: bool
    store: str
    toward: Toward
    mark: datetime
    left: Mapping[str, int]
    compared: ReconcileResult | None
    uncompared: tuple[str, ...]
    seconds: Mapping[str, float] = field(default_factory=dict)


def run_drain(settings: Settings, request: DrainRequest, progress: Progress) -> DrainResult:
    """Wait until everything of the store has arrived, and prove it. Sync has to run meanwhile, and writes to the store have to be
    refused on the side it comes from.

    Raises RefusedError where sync was never started, SourceError, TargetError.
    """
    began = time.monotonic()
    mark = datetime.now(UTC).replace(tzinfo=None)
    with open_source(settings.source, progress) as source, connect_bulk(settings.target) as target:
        plan = plan_sync(settings, source, target)
        if not read_positions(target, plan.state_schema):
            raise RefusedError(
                "Sync was never started here.", "Run: membershift sync start --execute, then: membershift sync run"
            )
        versions = {database: current_version(source, database) for database in plan.databases}
        left = wait_for(source, target, plan, request, versions, began, progress)
        waited = time.monotonic() - began
        if left:
            return DrainResult(False, request.store, request.toward, mark, left, None, (), {"stream": waited})
        compared, uncompared = compare(settings, source, target, plan, request)
    seconds = {"stream": waited, "comparison": time.monotonic() - began - waited}
    differing = {table.table: table.differing for table in compared.tables if table.differing}
    return DrainResult(not differing, request.store, request.toward, mark, differing, compared, uncompared, seconds)


def wait_for(
    source: Source,
    target: BulkConnection,
    plan: SyncPlan,
    request: DrainRequest,
    versions: Mapping[str, int | None],
    began: float,
    progress: Progress,
) -> dict[str, int]:
    """Until nothing is left, or the time is over. What is left, by legacy or target table."""
    fence_us = None if request.toward == "target" else microseconds(low_watermark(target).now)
    task = f"store {request.store}"
    progress.start(task, None, "changes left")
    while True:
        if fence_us is None:
            left = forward_left(source, target, plan, versions)
        else:
            left = reverse_left(target, plan, request.store, fence_us)
        if not left or time.monotonic() - began >= request.within_s:
            progress.finish(task)
            return left
        time.sleep(POLL_S)


def current_version(source: Source, database: str) -> int | None:
    """The database's change-tracking version now: everything committed so far is at or below it."""
    version = source.scalar("SELECT CHANGE_TRACKING_CURRENT_VERSION()", database=database)
    return None if version is None else int(version)


def forward_left(source: Source, target: BulkConnection, plan: SyncPlan, versions: Mapping[str, int | None]) -> dict[str, int]:
    """Legacy tables with changes of others that are not on the target: how many rows of each."""
    positions = read_positions(target, plan.state_schema)
    left: dict[str, int] = {}
    for name in dict.fromkeys(part.part.source for table in plan.tables for part in table.plan.parts):
        position = positions.get(forward_name(name))
        version = versions[name.database]
        if position is None or (version is not None and position.value < version):
            waiting = changes_since(source, name, 0 if position is None else position.value)
            if waiting:
                left[str(name)] = waiting
    return left


def changes_since(source: Source, name: SourceTable, version: int) -> int:
    """Rows that somebody else than sync changed after a version."""
    changes = f"CHANGETABLE(CHANGES {bracket(name.schema)}.{bracket(name.name)}, {int(version)})"
    ours = f"c.SYS_CHANGE_CONTEXT IS NULL OR c.SYS_CHANGE_CONTEXT <> 0x{CONTEXT.hex()}"
    return int(source.scalar(" ".join(("SELECT COUNT(*) FROM", changes, "AS c WHERE", ours)), database=name.database))


def reverse_left(target: BulkConnection, plan: SyncPlan, store: str, fence_us: int) -> dict[str, int]:
    """Target tables with rows of the store that are not on the legacy side. As long as a statement or transaction is open that
    began before the fence, its rows cannot be seen yet, and nothing is proved (OPEN)."""
    low = low_watermark(target, LEAST_ALLOWANCE_US)
    if low.value_us is None or low.value_us < fence_us:
        return {OPEN: 1}
    tables = (table for table in plan.tables if table.rules.mode != "source")
    counts = {table.name: count_dirty(target, plan.schema, table, store) for table in tables}
    return {name: dirty for name, dirty in counts.items() if dirty}


def compare(
    settings: Settings, source: Source, target: BulkConnection, plan: SyncPlan, request: DrainRequest
) -> tuple[ReconcileResult, tuple[str, ...]]:
    """The store's rows on both sides, table by table."""
    now = now_of(settings, source, target)
    merged = anything_merged(target, plan.state_schema)
    comparisons, uncompared = [], []
    for table in plan.tables:
        shaped = replace(table.plan, redirects=merged and table.plan.defines_members, born=read_born(source, table.plan))
        found = compare_store(now, shaped, request.store)
        if found is None:
            uncompared.append(table.name)
        else:
            comparisons.append(found)
    return told(settings, now, comparisons, "", request.settle_s), tuple(uncompared)
