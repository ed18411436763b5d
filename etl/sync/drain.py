"""membershift sync drain: after writes to a store are refused on one side, prove that all of it has arrived on the other.

Three things have to be true, in this order: the stream is past the mark that was taken when the fence went up, nothing of the
store from before it is waiting, and the store's rows agree on both sides, key by key. A grey release switches a store only then.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from etl.errors import RefusedError
from etl.progress import Progress
from etl.reconcile.differences import ReconcileResult
from etl.reconcile.plan import TablePlan
from etl.reconcile.registry import anything_merged
from etl.reconcile.rows import Comparison
from etl.reconcile.run import as_now, now_of
from etl.reconcile.second_look import Now
from etl.settings import Settings
from etl.source.connect import Source, open_source
from etl.sync.beforehand import LOOKS, Baseline
from etl.sync.compare_some import told
from etl.sync.compare_stores import compare_since, compare_whole, tells_stores
from etl.sync.drain_left import ReverseLeft, forward_left, untracked, ways_of
from etl.sync.heartbeat import Heartbeat, read_heartbeat
from etl.sync.mark import Mark, check_mark, read_mark
from etl.sync.plan import SyncPlan, plan_sync
from etl.sync.state import read_positions
from etl.target.bulk import BulkConnection
from etl.target.connect import connect_bulk

Toward = Literal["target", "source"]
POLL_S: Final = 0.2
LOOK_S: Final = 1.0
"""How often sync is asked what it waits for."""

NOBODY: Final = "no process"
"""`held` where no sync is running."""


@dataclass(frozen=True)
class DrainRequest:
    """`toward`: the side that is to have everything of `stores` up to the mark `until`, taken now where it is None. `within_s`:
    how long to wait for it. `settle_s`: pause before each further look at rows that differ. `baseline`: what was compared
    already, while the stores still sold. `compared_within_s`: both together, waiting and comparing, None: as long as it takes."""

    stores: tuple[str, ...]
    toward: Toward
    within_s: float = 60.0
    settle_s: float = 2.0
    until: Mark | None = None
    baseline: Baseline | None = None
    compared_within_s: float | None = None


@dataclass(frozen=True)
class DrainResult:
    """`drained`: everything of the stores has arrived. Otherwise `left` says what has not, by stream or table. `compared`: the
    store's rows on both sides, None where it did not come to that. `uncompared`: tables that do not say whose their rows are:
    of these the stream alone is proof. `mark`: what was waited for, taken `at` (UTC). `held`: what sync itself waited for when it
    was looked at last ("" nothing, NOBODY: none is running, "paused", "throttled: .." or a server's trouble)."""

    drained: bool
    stores: tuple[str, ...]
    toward: Toward
    mark: str
    at: datetime
    left: Mapping[str, int]
    compared: ReconcileResult | None
    uncompared: tuple[str, ...]
    seconds: Mapping[str, float] = field(default_factory=dict)
    held: str = ""


def drain_store(settings: Settings, request: DrainRequest, progress: Progress) -> DrainResult:
    """Wait until everything of the stores has arrived, and prove it. Sync has to run meanwhile, and writes to them have to be
    refused on the side it comes from.

    Raises RefusedError where sync was never started, for a mark that was not taken here or lies in the future, and where it takes
    longer than `compared_within_s`; SourceError, TargetError, ConfigurationError.
    """
    if request.compared_within_s is not None:
        settings = impatient(settings, request.compared_within_s)
    with open_source(settings.source, progress) as source, connect_bulk(settings.target) as target:
        plan = plan_sync(settings, source, target)
        if not read_positions(target, plan.state_schema):
            raise RefusedError(
                "Sync was never started here.", "Run: membershift sync start --execute, then: membershift sync run"
            )
        mark = agreed_mark(source, target, plan, request)
        waiting = Waiting(plan, request, progress)
        left = waiting.wait(target, look_at(source, target, plan, request, mark))
        if left:
            return waiting.result(mark, left, None, ())
        compared, uncompared = waiting.compare(settings, source, target)
    differing = {table.table: table.differing for table in compared.tables if table.differing}
    return waiting.result(mark, differing, compared, uncompared)


def impatient(settings: Settings, limit_s: float) -> Settings:
    """The same servers, of which no question may take longer than this."""
    source = settings.source.model_copy(update={"query_timeout_s": min(settings.source.query_timeout_s, limit_s)})
    target = settings.target.model_copy(update={"query_timeout_s": min(settings.target.query_timeout_s, limit_s)})
    return settings.model_copy(update={"source": source, "target": target})


def agreed_mark(source: Source, target: BulkConnection, plan: SyncPlan, request: DrainRequest) -> Mark:
    """The mark that was given, if it can have been taken here; else one of now."""
    now = read_mark(source, target, plan)
    if request.until is None:
        return now
    check_mark(request.until, now)
    return request.until


def look_at(
    source: Source, target: BulkConnection, plan: SyncPlan, request: DrainRequest, mark: Mark
) -> Callable[[], dict[str, int]]:
    """What to ask again and again: what is left."""
    if request.toward == "target":
        return lambda: forward_left(source, target, plan, mark)
    back = ReverseLeft(plan, request.stores, mark.at_us)
    return lambda: back.look(target)


class Waiting:
    """One drain: how long it has waited, and what sync waited for meanwhile."""

    def __init__(self, plan: SyncPlan, request: DrainRequest, progress: Progress) -> None:
        self.plan, self.request, self.progress = plan, request, progress
        self.began = time.monotonic()
        self.seconds: dict[str, float] = {}
        self.held = ""
        self.looked_at = float("-inf")

    @property
    def over(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() - self.began >= self.request.within_s

    def wait(self, target: BulkConnection, look: Callable[[], dict[str, int]]) -> dict[str, int]:
        """Until nothing is left, or the time is over. What is left, by legacy or target table."""
        task = f"store {told_stores(self.request.stores)}"
        self.progress.start(task, None, "changes left")
        while True:
            left = look()
            self.ask_sync(target)
            if not left or self.over:
                self.progress.finish(task)
                self.seconds["stream"] = time.monotonic() - self.began
                return left
            time.sleep(POLL_S)

    def ask_sync(self, target: BulkConnection) -> None:
        """What the running sync waits for itself; said as soon as it changes."""
        if time.monotonic() - self.looked_at < LOOK_S and not self.over:
            return
        self.looked_at = time.monotonic()
        held = held_by(read_heartbeat(target, self.plan.state_schema), self.request.toward)
        if held and held != self.held:
            self.progress.note(f"Sync itself waits: {held}.")
        self.held = held

    def compare(self, settings: Settings, source: Source, target: BulkConnection) -> tuple[ReconcileResult, tuple[str, ...]]:
        """The store's rows on both sides. Where Change Tracking does not tell what changed, only their equality is proof, and it
        is waited for."""
        began = time.monotonic()
        ways = ways_of(self.plan)
        loose = {table.name for table in self.plan.tables if untracked(ways, table)}
        while True:
            compared, uncompared = compare(settings, source, target, self.plan, self.request, self.check)
            differing = {table.table for table in compared.tables if table.differing}
            if not differing or self.over or not differing & loose:
                break
            self.ask_sync(target)
            time.sleep(POLL_S)
        self.seconds["comparison"] = time.monotonic() - began
        return compared, uncompared

    def check(self) -> None:
        """Raises RefusedError once comparing has taken too long."""
        limit_s = self.request.compared_within_s
        if limit_s is not None and time.monotonic() - self.began >= limit_s:
            raise RefusedError(
                f"The rows of the stores could not be compared within {limit_s:.0f} s.",
                "Close fewer stores together ([[wave]] batch), or raise [switch] fence_limit_s.",
            )

    def result(
        self, mark: Mark, left: Mapping[str, int], compared: ReconcileResult | None, uncompared: tuple[str, ...]
    ) -> DrainResult:
        """What came of it."""
        drained = compared is not None and not left
        asked = self.request
        return DrainResult(
            drained, asked.stores, asked.toward, mark.text, mark.at, left, compared, uncompared, self.seconds, self.held
        )


def told_stores(stores: tuple[str, ...]) -> str:
    """For people.

    >>> told_stores(("S1",)), told_stores(("S1", "S2", "S3"))
    ('S1', 'S1 and 2 more')
    """
    return stores[0] if len(stores) == 1 else f"{stores[0]} and {len(stores) - 1} more"


def held_by(beat: Heartbeat | None, toward: Toward) -> str:
    """What keeps the streams that way from working; "" nothing.

    >>> held_by(None, "target")
    'no process'
    """
    if beat is None or not beat.alive:
        return NOBODY
    ways = "forward/" if toward == "target" else "reverse"
    return next((stream.waiting for stream in beat.streams if stream.name.startswith(ways) and stream.waiting), "")


def compare(
    settings: Settings,
    source: Source,
    target: BulkConnection,
    plan: SyncPlan,
    request: DrainRequest,
    check: Callable[[], None],
) -> tuple[ReconcileResult, tuple[str, ...]]:
    """The stores' rows on both sides, table by table: all of them, or where the baseline knows the others, what changed since.
    Raises what `check` does."""
    now = now_of(settings, source, target)
    comparisons, uncompared = [], []
    for table in as_now(source, anything_merged(target, plan.state_schema), (one.plan for one in plan.tables)):
        check()
        found = compare_one(now, source, table, request, check)
        if found is None:
            uncompared.append(table.target)
        else:
            comparisons.append(found)
    return told(settings, now, comparisons, "", request.settle_s, LOOKS), tuple(uncompared)


def compare_one(
    now: Now, source: Source, table: TablePlan, request: DrainRequest, check: Callable[[], None]
) -> Comparison | None:
    """One table; None where it does not say whose its rows are."""
    if not tells_stores(table):
        return None
    before = request.baseline
    if before is not None and before.stores == request.stores and table.target in before.known:
        found = compare_since(now, source, table, request.stores, before.since, before.known[table.target], check)
        if found is not None:
            return found
    return compare_whole(now, table, request.stores, check).comparison
