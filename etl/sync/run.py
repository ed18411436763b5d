"""membershift sync run: both directions at once, until somebody asks for the end. It can be killed at any time.

A thread for each legacy database brings its changes to the target, one more brings the target's changes back. Whatever fails in
passing is waited for; what needs a person stops the whole, with the remedy.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Final

from etl.errors import OpsError, RefusedError
from etl.progress import Progress
from etl.settings import Settings
from etl.source.connect import Source, open_source
from etl.source.errors import ServerError as LegacyError
from etl.sync.background import BackgroundCheck
from etl.sync.deletes import delete_round
from etl.sync.forward.context import Match, nobody_known, open_forward
from etl.sync.forward.round import forward_round
from etl.sync.heartbeat import HEARTBEAT_S, IN_ORDER, heartbeat_text, write_heartbeat
from etl.sync.lock import hold_sync_lock
from etl.sync.model import Counts
from etl.sync.outbox_round import outbox_round
from etl.sync.plan import SyncPlan, plan_sync
from etl.sync.reverse_round import open_reverse, reverse_round, sweep_round, tail_round
from etl.sync.start import require_sync_tables
from etl.sync.state import State, read_state
from etl.sync.stats import Stats
from etl.sync.throttle import Pace, Throttle, keep_throttle
from etl.target.connect import connect_bulk
from etl.target.errors import ServerError as TargetServerError

REVERSE: Final = "reverse"
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 15.0
CALM_AFTER_S, CALM_POLL_S = 60.0, 0.5
"""A stream that found nothing for so long looks less often."""


@dataclass(frozen=True)
class Done:
    """What a round did, by target table. `behind_s`: rows that it had to leave for later are so old, in seconds, 0 where it left
    none; None where it does not tell how far the stream is."""

    counts: dict[str, Counts]
    behind_s: float | None


Round = Callable[[], Done]


@dataclass(frozen=True)
class RunRequest:
    """`until_quiet`: end once nothing is left to do on either side. `seconds`: end after this long."""

    until_quiet: bool = False
    seconds: float | None = None


class Running:
    """What the threads of a run share: when to end, and what was asked for."""

    def __init__(self, settings: Settings, stats: Stats, throttle: Throttle) -> None:
        self.settings = settings
        self.stats = stats
        self.throttle = throttle
        self.began = time.monotonic()
        self.end = threading.Event()
        self.state: State = "running"

    def pace(self, stream: str) -> Pace:
        """The throttle as one stream sees it."""
        return Pace(self.throttle, stream, self.stats, self.end)

    def heartbeat(self, ended: str = "") -> str:
        """What is left on the target as a sign of life; at the end, how it ended."""
        up_s = time.monotonic() - self.began
        return heartbeat_text(
            self.stats.views(), os.getpid(), socket.gethostname(), up_s, throttle=self.stats.throttle, ended=ended
        )


def run_sync(settings: Settings, request: RunRequest, progress: Progress, stats: Stats) -> None:
    """Keep both sides in step until `sync stop`, an interrupt, or `request` says that it is enough.

    Raises RefusedError before `sync start`, for a second copy, and where only a person can go on (changes forgotten, another
    schema, a source that went back); ConfigurationError.
    """
    with (
        hold_sync_lock(settings),
        open_source(settings.source, progress) as source,
        keep_throttle(settings, stats) as throttle,
    ):
        with connect_bulk(settings.target) as target:
            require_sync_tables(target, settings.target.state_schema)
            require_started(read_state(target, settings.target.state_schema))
        with noting_the_end(Running(settings, stats, throttle)) as running:
            with connect_bulk(settings.target) as target:
                plan = plan_sync(settings, source, target)
            with newcomers(settings, progress) as match:
                run_streams(running, request, plan, source, match)


def run_streams(running: Running, request: RunRequest, plan: SyncPlan, source: Source, match: Match) -> None:
    """A thread for each stream; what ends one of them ends all. Raises what it was."""
    names = [*(f"forward/{database}" for database in plan.databases), REVERSE]
    running.stats.expect(names)
    with ThreadPoolExecutor(len(names) + 1, "sync") as pool:
        streams = [pool.submit(forward_loop, running, plan, source, database, match) for database in plan.databases]
        streams.append(pool.submit(reverse_loop, running, plan, source))
        for stream in streams:
            stream.add_done_callback(lambda _: running.end.set())
        if running.settings.sync.check_share > 0:
            check = BackgroundCheck(running.settings, plan, source, running.throttle, running.stats, running.end)
            pool.submit(check.run).add_done_callback(check.ended)
        try:
            watch(running, request)
        finally:
            running.end.set()
    for stream in streams:
        stream.result()


def newcomers(settings: Settings, progress: Progress) -> AbstractContextManager[Match]:
    """Who newcomers of the legacy side are: asked of deduplication, unless the settings say that everybody is new."""
    if not settings.sync.match_newcomers:
        return nullcontext(nobody_known)
    from etl.sync.persons import open_persons

    return open_persons(settings, progress)


def require_started(state: State | None) -> None:
    """Raises RefusedError where there is nothing to go on from."""
    if state is None:
        raise RefusedError("Sync was never started here.", "Run: membershift sync start --execute")
    if state == "stopped":
        raise RefusedError("Sync was stopped.", "Let it run again: membershift sync resume")


@contextmanager
def noting_the_end(running: Running) -> Iterator[Running]:
    """Leave word on the target how the block ended, as long as the lock is held: nobody shall look for a process that was asked
    to end, and whoever finds none shall read why."""
    try:
        yield running
    except OpsError as error:
        note_end(running, error.message)
        raise
    except KeyboardInterrupt:
        note_end(running, IN_ORDER)
        raise
    except Exception:
        note_end(running, "an unexpected error: see what it said last")
        raise
    note_end(running, IN_ORDER)


def note_end(running: Running, how: str) -> None:
    """As far as the target is there."""
    with suppress(TargetServerError), connect_bulk(running.settings.target) as target:
        write_heartbeat(target, running.settings.target.state_schema, running.heartbeat(how))


def watch(running: Running, request: RunRequest) -> None:
    """The main thread: what people asked for, a sign of life for others, and the end."""
    pause = FIRST_PAUSE_S
    while not running.end.is_set():
        try:
            with connect_bulk(running.settings.target) as target:
                while not running.end.wait(HEARTBEAT_S if not request.until_quiet else 0.2):
                    state_schema = running.settings.target.state_schema
                    running.state = read_state(target, state_schema) or "running"
                    running.throttle.now()
                    write_heartbeat(target, state_schema, running.heartbeat())
                    pause = FIRST_PAUSE_S
                    if running.state == "stopped" or is_enough(running, request):
                        return
        except TargetServerError as error:
            if not passing(error):
                raise
            running.end.wait(pause)
            pause = min(pause * 2, LONGEST_PAUSE_S)


def is_enough(running: Running, request: RunRequest) -> bool:
    """Whether the request is fulfilled."""
    if request.seconds is not None and time.monotonic() - running.began >= request.seconds:
        return True
    return request.until_quiet and running.stats.quiet


def forward_loop(running: Running, plan: SyncPlan, source: Source, database: str, match: Match) -> None:
    """One legacy database's changes, round after round."""

    pace = running.pace(f"forward/{database}")

    @contextmanager
    def opened() -> Iterator[Round]:
        with connect_bulk(running.settings.target) as target:
            context = open_forward(running.settings, plan, source, target, match=match, enough=pace.enough)
            try:
                yield lambda: Done(forward_round(context, database), None if context.left else 0.0)
            finally:
                context.close()

    loop(running, pace, opened)


def reverse_loop(running: Running, plan: SyncPlan, source: Source) -> None:
    """The target's changes: scans, a sweep at the start and at intervals, the tail pass every second."""
    pace = running.pace(REVERSE)

    @contextmanager
    def opened() -> Iterator[Round]:
        sync = open_reverse(running.settings, plan, source)
        sync.enough = pace.enough
        swept = looked = -1e9

        def one_round() -> Done:
            nonlocal swept, looked
            if time.monotonic() - swept >= running.settings.sync.sweep_s:
                counts = sweep_round(sync)
                # From its end: a sweep that takes longer than sweep_s would follow itself, and no round that knows how far it is
                # would ever come.
                swept = swept if pace.left_off else time.monotonic()
                return Done(counts, None)
            if time.monotonic() - looked >= running.settings.sync.deletes_s:
                looked = time.monotonic()
                return Done(delete_round(sync), None)
            if time.monotonic() - sync.last_tail >= running.settings.sync.tail_s:
                running.stats.add(REVERSE, tail_round(sync))
            noted = outbox_round(sync)
            counts = noted | reverse_round(sync)
            return Done(counts, None if any(one.held for one in noted.values()) else sync.behind_s)

        try:
            yield one_round
        finally:
            sync.close()

    loop(running, pace, opened)


def loop(running: Running, pace: Pace, opened: Callable[[], AbstractContextManager[Round]]) -> None:
    """Rounds until the end, as the throttle allows; after a passing failure everything is opened again."""
    name, poll_s, pause = pace.stream, running.settings.sync.poll_s, FIRST_PAUSE_S
    busy_at = time.monotonic()
    while not running.end.is_set():
        try:
            with opened() as one_round:
                while not running.end.is_set():
                    if running.state == "paused":
                        running.stats.wait(name, "paused")
                        running.end.wait(poll_s)
                        continue
                    if pace.held():
                        continue
                    pace.begin()
                    done = one_round()
                    running.stats.add(name, done.counts)
                    pause = FIRST_PAUSE_S
                    idle = not pace.left_off and not any(one.written or one.deleted for one in done.counts.values())
                    if done.behind_s is not None and not pace.left_off:
                        running.stats.through(name, pace.began - done.behind_s)
                    if idle:
                        running.stats.idle(name, pace.began)
                        calm = time.monotonic() - busy_at > CALM_AFTER_S
                        running.end.wait(max(poll_s, CALM_POLL_S) if calm else poll_s)
                    else:
                        busy_at = time.monotonic()
                        pace.rest_after()
        except OpsError as error:
            if not passing(error):
                raise
            running.stats.wait(name, error.message)
            running.end.wait(pause)
            pause = min(pause * 2, LONGEST_PAUSE_S)


def passing(error: OpsError) -> bool:
    """Whether waiting may help: a server that is away, a lock, a conflict."""
    return isinstance(error, TargetServerError | LegacyError) and error.transient
