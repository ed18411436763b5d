"""The controller as it runs: what it sees, does and says, put together from settings and plan; and its foreground.

Two threads write to one log under one lease: one watches, so that a trigger never waits for a switch; the caller's moves stores.
A third puts things in order once an hour.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Final

from etl.errors import OpsError, RefusedError
from etl.progress import Progress, Silent
from etl.settings import Settings, SourceSettings, TargetSettings
from etl.source.connect import open_source
from etl.target.connect import connect_bulk
from migrations.release.acks import AckWatch, forget_acks
from migrations.release.alerts.desk import Desk, open_desk
from migrations.release.controller import Eyes, Mover, Watcher, is_over, keep_watching, left_on_tidb
from migrations.release.decide import Act
from migrations.release.event_log import LEASE_S, EventLog, LeaseLost, open_event_log
from migrations.release.gates.check import check_gates
from migrations.release.gates.sources import open_sources
from migrations.release.haste import HASTE_S, hasty
from migrations.release.minutes import read_minute, read_window
from migrations.release.model import FINAL, Phase, ReleaseState
from migrations.release.moves import Moves
from migrations.release.plan import Plan
from migrations.release.preflight import Preflight
from migrations.release.reserve import Reserve, keeping
from migrations.release.snapshots.gc_hold import settle_gc
from migrations.release.steps import Steps
from migrations.release.triggers import Minute

PING_S: Final = 1.0
LOOP_S: Final = 0.5
TIDY_S: Final = 3_600.0


@dataclass(frozen=True)
class RunRequest:
    """`holder`: who carries the release out, for others to see. `end`: set by a signal; a switch under way is finished first.
    `changed_plan`: go on although release.toml is not what was planned. `seen`: told of the state after every act. `done`: in
    which state it ends by itself."""

    holder: str
    end: threading.Event = field(default_factory=threading.Event)
    changed_plan: bool = False
    seen: Callable[[ReleaseState, Act], None] = lambda state, act: None
    done: Callable[[ReleaseState], bool] = is_over


@dataclass(frozen=True)
class RunEnded:
    """How the foreground ended: the release is over, or a signal came while stores are as `on_tidb` says."""

    release: str
    phase: Phase
    over: bool
    sick: str
    on_tidb: tuple[str, ...]
    seconds: float


def run_release(settings: Settings, plan: Plan, request: RunRequest, progress: Progress) -> RunEnded:
    """Carry the release out until it is over or `request.end` is set. Killed at any time, the next one goes on.

    Raises RefusedError where there is nothing to carry out or the plan was changed, LeaseLost where another process does it.
    """
    began = time.monotonic()
    with ExitStack() as stack:
        log = stack.enter_context(open_event_log(settings.state_dir))
        refuse_idle(log.state)
        refuse_changed_plan(log.state, plan, changed=request.changed_plan)
        stack.enter_context(holding_lease(log, request, progress))
        watching = stack.enter_context(open_event_log(settings.state_dir))
        watching.token = log.token
        desk = stack.enter_context(open_desk(settings.state_dir, plan.alerts, about=plan.name))
        folders = (settings.state_dir, plan.path(plan.publish.routes).parent)
        reserve = stack.enter_context(keeping(Reserve(folders, desk.tell, desk.resolve)))
        watcher, mover = open_controller(settings, plan, (watching, log), desk, progress, reserve)
        stack.enter_context(tidying(settings, plan))
        state = both_loops(watcher, mover, desk, request)
    return RunEnded(
        state.release, state.phase, is_over(state), state.sick, tuple(sorted(left_on_tidb(state))), time.monotonic() - began
    )


def open_controller(
    settings: Settings,
    plan: Plan,
    logs: tuple[EventLog, EventLog],
    desk: Desk,
    progress: Progress,
    reserve: Reserve | None = None,
) -> tuple[Watcher, Mover]:
    """Nothing is connected yet. `logs`: of the watcher and of the mover, each with its own connection, under the same lease.
    `reserve`: what is given up where the disk is full."""
    watching, moving = logs
    steps = Steps(settings, plan, progress)
    ports = steps.ports()
    if reserve is not None:
        ports = replace(ports, publish=partial(reserve.publish, steps.publish))
        watching.make_room = moving.make_room = reserve.let_go
    watcher = Watcher(watching, plan, eyes_of(settings, plan, watching, desk), partial(each_second, steps.watch, reserve))
    mover = Mover(moving, plan, ports, eyes_of(settings, plan, moving, desk))
    mover.not_ready = Preflight(settings, plan)
    return watcher, mover


def each_second(watch: AckWatch, reserve: Reserve | None) -> None:
    """What is done beside watching. A folder that cannot be read now is told by the switch that needs it: till then nobody counts
    as gone."""
    if reserve is not None:
        reserve.tend()
    with suppress(OpsError):
        watch.hear()


def eyes_of(settings: Settings, plan: Plan, log: EventLog, desk: Desk) -> Eyes:
    """What a thread sees."""
    sources, moves = open_sources(plan, settings), Moves()

    def now() -> datetime:
        return datetime.now(UTC)

    def minute(stores: Sequence[str], start: datetime) -> Minute:
        first = moves.first(log, stores)
        found = read_minute(plan, settings, sources.metrics, stores, start, moved_at=first, now=now())
        if found.sample.known:
            desk.resolve("blind")
        return found

    return Eyes(
        minute=minute,
        sample=lambda stores, start, end: read_window(plan, sources.metrics, stores, start, end, now()),
        gates=lambda state, wave, at: check_gates(plan, wave, sources, state, at),
        target_answers=partial(target_answers, settings.target),
        tell=desk.tell,
        now=now,
        source_answers=partial(source_answers, settings.source),
    )


def target_answers(target: TargetSettings) -> bool:
    """Whether TiDB takes a statement, asked once and for PING_S seconds."""
    brief = target.model_copy(update={"retries": 0, "connect_timeout_s": PING_S, "query_timeout_s": PING_S})
    try:
        with connect_bulk(brief, "") as connection:
            return connection.scalar("SELECT 1") is not None
    except OpsError:
        return False


def source_answers(source: SourceSettings) -> bool:
    """Whether SQL Server lets us in, asked once and for HASTE_S seconds."""
    brief = source.model_copy(update={"retries": 0, "connect_timeout_s": HASTE_S, "query_timeout_s": HASTE_S})
    try:
        with open_source(brief, Silent()):
            return True
    except OpsError:
        return False


def both_loops(watcher: Watcher, mover: Mover, desk: Desk, request: RunRequest) -> ReleaseState:
    """Until `request.done`, a signal, or another process has taken over (raises LeaseLost)."""
    stop, lost = threading.Event(), list[OpsError]()

    def failed(error: OpsError) -> None:
        if isinstance(error, LeaseLost):
            lost.append(error)
        else:
            desk.tell("red", "watching", error.message, "It is tried again each second.", error.remedy)

    with ThreadPoolExecutor(1, "watching") as pool:
        watch = pool.submit(keep_watching, watcher, stop, failed)
        try:
            failing = False
            while not request.end.is_set() and not lost:
                failing = not move_once(mover, desk, failing=failing)
                request.seen(mover.log.state, mover.act)
                if request.done(mover.log.refresh()):
                    break
                if watch.done():
                    watch.result()
                request.end.wait(LOOP_S)
        finally:
            stop.set()
    if lost:
        raise lost[0]
    return mover.log.refresh()


def move_once(mover: Mover, desk: Desk, *, failing: bool) -> bool:
    """One act; False where it went wrong, which is told and tried again: who ends leaves stores that nobody watches.
    `failing`: it went wrong last time."""
    try:
        act = mover.move()
    except LeaseLost:
        raise
    except OpsError as error:
        mover.act = Act("wait", error.message)
        desk.tell("red", "moving", error.message, "It is tried again.", error.remedy)
        return False
    if failing:
        desk.resolve("moving")
    if act.kind in ("switch", "carry on") and mover.attempts == 0:
        desk.resolve("switch")
        desk.resolve("not ready")
    return True


@contextmanager
def holding_lease(log: EventLog, request: RunRequest, progress: Progress) -> Iterator[None]:
    """The lease, given back at the end. One that was left behind by a killed process is waited for; raises LeaseLost where its
    holder lives, which is seen from its being renewed."""
    take_lease(log, request, progress)
    try:
        yield
    finally:
        with suppress(OpsError):
            log.release_lease()


def take_lease(log: EventLog, request: RunRequest, progress: Progress) -> None:
    """Wait as long as a lease lasts at most."""
    before = renewed_until(log)
    latest = time.monotonic() + LEASE_S + PING_S
    while True:
        try:
            log.take_lease(request.holder)
        except LeaseLost:
            if renewed_until(log) != before or request.end.is_set() or time.monotonic() > latest:
                raise
            progress.note("Another process held the release and does not renew its lease; waiting for that to lapse.")
            request.end.wait(PING_S)
        else:
            return


def renewed_until(log: EventLog) -> float:
    """Changes whenever the holder of the lease renews it."""
    found = log.connection.execute("SELECT until FROM lease").fetchone()
    return 0.0 if found is None else float(found["until"])


@contextmanager
def tidying(settings: Settings, plan: Plan) -> Iterator[None]:
    """At the start and once an hour, beside everything else: none of it may hold up a rollback."""
    end = threading.Event()

    def work() -> None:
        while not end.is_set():
            with suppress(OpsError, OSError):
                forget_acks(plan.path(plan.publish.acks), datetime.now(UTC))
            with suppress(OpsError, OSError), connect_bulk(hasty(settings.target), "") as target:
                settle_gc(settings.state_dir, target)
            end.wait(TIDY_S)

    thread = threading.Thread(target=work, name="tidying", daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join(PING_S)


def refuse_idle(state: ReleaseState) -> None:
    """Nothing to carry out. Raises RefusedError that says what would give it something."""
    if not is_over(state):
        return
    if state.phase in FINAL or not state.waves:
        what = f"Release {state.release} is {state.phase}." if state.waves else "No release is planned."
        raise RefusedError(what, "Plan one: membershift release plan --execute")
    raise RefusedError(f"Release {state.release} is {state.phase}: nothing moves.", "Start it: membershift release start")


def refuse_changed_plan(state: ReleaseState, plan: Plan, *, changed: bool = False) -> None:
    """What runs is what was planned, unless somebody says so; going back is never held up by it. Raises RefusedError."""
    if state.phase is Phase.ROLLING_BACK:
        return
    if len(plan.waves) < len(state.waves):
        raise RefusedError(
            f"{plan.origin.name} has {len(plan.waves)} waves, and {len(state.waves)} were planned.", "Put the file back."
        )
    if plan.digest != state.digest and not changed:
        raise RefusedError(
            f"{plan.origin.name} was changed since release {state.release} was planned.",
            "Put it back, or say that the change is meant: membershift release run --changed-plan",
        )
