"""membershift sync pause, resume, stop: ask the running process for something, and see whether it took notice."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from etl.errors import RefusedError
from etl.settings import Settings
from etl.sync.heartbeat import Heartbeat, read_heartbeat
from etl.sync.lock import lock_name
from etl.sync.state import STATE, State, read_state, write_control
from etl.target.bulk import BulkConnection
from etl.target.connect import connect_bulk

PATIENCE_S: Final = 10.0
"""How long to watch for it: a round that is under way is finished first."""

LOOK_S: Final = 0.3
PAUSED: Final = "paused"
"""What a stream that was paused says it waits for (etl/sync/run.py)."""


@dataclass(frozen=True)
class Asked:
    """`wanted` was asked for in place of `before`. `process`: the one that was running then, None when there was none.
    `noticed`: whether it did so within `waited_s` seconds."""

    wanted: State
    before: State
    process: Heartbeat | None
    noticed: bool
    waited_s: float = 0.0

    @property
    def changed(self) -> bool:
        """Whether it was something else than before."""
        return self.wanted != self.before


def ask_sync(settings: Settings, wanted: State, by_whom: str, patience_s: float = PATIENCE_S) -> Asked:
    """Note what is wanted on the target, where a running sync reads it every other second. Nothing is lost by any of these: what
    was not carried over yet is carried over later.

    Raises RefusedError before `sync start`, TargetError.
    """
    state_schema = settings.target.state_schema
    with connect_bulk(settings.target) as target:
        before = read_state(target, state_schema)
        if before is None:
            raise RefusedError("Sync was never started here.", "Run: membershift sync start --execute")
        process = read_heartbeat(target, state_schema)
        write_control(target, state_schema, STATE, wanted, by_whom)
        if process is None or not process.alive:
            return Asked(wanted, before, None, noticed=False)
        began = time.monotonic()
        noticed = watch(lambda: is_done(target, state_schema, wanted), patience_s)
        return Asked(wanted, before, process, noticed, time.monotonic() - began)


def watch(done: Callable[[], bool], patience_s: float) -> bool:
    """Look again and again until it is done, or for so long."""
    until = time.monotonic() + patience_s
    while not done():
        if time.monotonic() >= until:
            return False
        time.sleep(LOOK_S)
    return True


def is_done(target: BulkConnection, state_schema: str, wanted: State) -> bool:
    """Whether the running process does what is wanted: all its streams say so, or it let go of its lock."""
    if wanted == "stopped":
        return is_lock_free(target, state_schema)
    told = read_heartbeat(target, state_schema)
    if told is None or not told.streams:
        return False
    paused = [stream.waiting == PAUSED for stream in told.streams]
    return all(paused) if wanted == "paused" else not any(paused)


def is_lock_free(target: BulkConnection, state_schema: str) -> bool:
    """Whether no sync holds the lock on the target. It is taken and let go at once: IS_FREE_LOCK came late to TiDB."""
    name = lock_name(state_schema)
    taken = target.scalar("SELECT GET_LOCK(%s, 0)", (name,))
    if taken is None or int(taken) != 1:
        return False
    target.scalar("SELECT RELEASE_LOCK(%s)", (name,))
    return True
