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
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Final

from etl.errors import OpsError, RefusedError
from etl.progress import Progress
from etl.settings import Settings
from etl.source.connect import Source, open_source
from etl.source.errors import ServerError as LegacyError
from etl.sync.deletes import delete_round
from etl.sync.forward.context import Match, nobody_known, open_forward
from etl.sync.forward.round import forward_round
from etl.sync.lock import hold_sync_lock
from etl.sync.model import Counts
from etl.sync.plan import SyncPlan, plan_sync
from etl.sync.reverse_round import open_reverse, reverse_round, sweep_round, tail_round
from etl.sync.start import require_sync_tables
from etl.sync.state import State, read_state, write_control
from etl.sync.stats import Stats, heartbeat_text
from etl.target.connect import connect_bulk
from etl.target.errors import ServerError as TargetServerError

HEARTBEAT: Final = "heartbeat"
HEARTBEAT_S: Final = 2.0
REVERSE: Final = "reverse"
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 15.0
Round = Callable[[], dict[str, Counts]]


@dataclass(frozen=True)
class RunRequest:
    """`until_quiet`: end once nothing is left to do on either side. `seconds`: end after this long."""

    until_quiet: bool = False
    seconds: float | None = None


class Running:
    """What the threads of a run share: when to end, and what was asked for."""

    def __init__(self, settings: Settings, stats: Stats) -> None:
        self.settings = settings
        self.stats = stats
        self.end = threading.Event()
        self.state: State = "running"


def run_sync(settings: Settings, request: RunRequest, progress: Progress, stats: Stats) -> None:
    """Keep both sides in step until `sync stop`, an interrupt, or `request` says that it is enough.

    Raises RefusedError before `sync start`, for a second copy, and where only a person can go on (changes forgotten, another
    schema, a source that went back); ConfigurationError.
    """
    running = Running(settings, stats)
    with hold_sync_lock(settings), open_source(settings.source, progress) as source:
        with connect_bulk(settings.target) as target:
            require_sync_tables(target, settings.target.state_schema)
            require_started(read_state(target, settings.target.state_schema))
            plan = plan_sync(settings, source, target)
        names = [*(f"forward/{database}" for database in plan.databases), REVERSE]
        stats.expect(names)
        with newcomers(settings, progress) as match, ThreadPoolExecutor(len(names), "sync") as pool:
            streams = [pool.submit(forward_loop, running, plan, source, database, match) for database in plan.databases]
            streams.append(pool.submit(reverse_loop, running, plan, source))
            for stream in streams:
                stream.add_done_callback(lambda _: running.end.set())
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


def watch(running: Running, request: RunRequest) -> None:
    """The main thread: what people asked for, a sign of life for others, and the end."""
    began = time.monotonic()
    pause = FIRST_PAUSE_S
    while not running.end.is_set():
        try:
            with connect_bulk(running.settings.target) as target:
                while not running.end.wait(HEARTBEAT_S if not request.until_quiet else 0.2):
                    state_schema = running.settings.target.state_schema
                    running.state = read_state(target, state_schema) or "running"
                    told = heartbeat_text(running.stats.views(), os.getpid(), socket.gethostname(), time.monotonic() - began)
                    write_control(target, state_schema, HEARTBEAT, told, "sync run")
                    pause = FIRST_PAUSE_S
                    if running.state == "stopped" or is_enough(running, request, began):
                        return
        except TargetServerError as error:
            if not passing(error):
                raise
            running.end.wait(pause)
            pause = min(pause * 2, LONGEST_PAUSE_S)


def is_enough(running: Running, request: RunRequest, began: float) -> bool:
    """Whether the request is fulfilled."""
    if request.seconds is not None and time.monotonic() - began >= request.seconds:
        return True
    return request.until_quiet and running.stats.quiet


def forward_loop(running: Running, plan: SyncPlan, source: Source, database: str, match: Match) -> None:
    """One legacy database's changes, round after round."""

    @contextmanager
    def opened() -> Iterator[Round]:
        with connect_bulk(running.settings.target) as target:
            context = open_forward(running.settings, plan, source, target, match=match)
            try:
                yield lambda: forward_round(context, database)
            finally:
                context.close()

    loop(running, f"forward/{database}", opened, running.settings.sync.poll_s)


def reverse_loop(running: Running, plan: SyncPlan, source: Source) -> None:
    """The target's changes: scans, a sweep at the start and at intervals, the tail pass every second."""

    @contextmanager
    def opened() -> Iterator[Round]:
        sync = open_reverse(running.settings, plan, source)
        swept = looked = -1e9

        def one_round() -> dict[str, Counts]:
            nonlocal swept, looked
            if time.monotonic() - swept >= running.settings.sync.sweep_s:
                swept = time.monotonic()
                return sweep_round(sync)
            if time.monotonic() - looked >= running.settings.sync.deletes_s:
                looked = time.monotonic()
                return delete_round(sync)
            if time.monotonic() - sync.last_tail >= running.settings.sync.tail_s:
                running.stats.add(REVERSE, tail_round(sync))
            return reverse_round(sync)

        try:
            yield one_round
        finally:
            sync.close()

    loop(running, REVERSE, opened, running.settings.sync.poll_s)


def loop(running: Running, name: str, opened: Callable[[], AbstractContextManager[Round]], poll_s: float) -> None:
    """Rounds until the end; after a passing failure everything is opened again."""
    pause = FIRST_PAUSE_S
    while not running.end.is_set():
        try:
            with opened() as one_round:
                while not running.end.is_set():
                    if running.state == "paused":
                        running.stats.wait(name, "paused")
                        running.end.wait(poll_s)
                        continue
                    began = time.monotonic()
                    counts = one_round()
                    running.stats.add(name, counts)
                    pause = FIRST_PAUSE_S
                    if not any(one.written or one.deleted for one in counts.values()):
                        running.stats.through(name, began)
                        running.end.wait(poll_s)
        except OpsError as error:
            if not passing(error):
                raise
            running.stats.wait(name, error.message)
            running.end.wait(pause)
            pause = min(pause * 2, LONGEST_PAUSE_S)


def passing(error: OpsError) -> bool:
    """Whether waiting may help: a server that is away, a lock, a conflict."""
    return isinstance(error, TargetServerError | LegacyError) and error.transient
