"""membershift sync status: whether a process is at work, how far it is, what needs a person. The servers are asked, not it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from etl.errors import SourceError
from etl.load.sql import sql
from etl.settings import Settings
from etl.source.connect import Source, open_source
from etl.sync.check_record import NOTHING_CHECKED, CheckStanding
from etl.sync.check_record import read_standing as read_check
from etl.sync.heartbeat import IN_ORDER, Heartbeat, StreamStatus, read_heartbeat
from etl.sync.standing import Standing, lost_tables, read_standing
from etl.sync.state import STATE, STATES, Position, State, read_positions
from etl.target.bulk import BulkConnection
from etl.target.columns import text_of
from etl.target.connect import connect_bulk

LONG_LAG_S: Final = 300.0
"""A stream that has waited this long for something needs somebody to look at what it waits for."""

Process = Literal["none", "alive", "silent", "ended", "failed"]
"""none: no process ever gave a sign of life here. silent: the last one is too old. ended: in order. failed: something ended
it."""


@dataclass(frozen=True)
class SyncStatus:
    """`state`: what people asked for last (None: sync was never started), by `asked_by` at `asked_at` (UTC)."""

    state: State | None
    asked_by: str
    asked_at: datetime | None
    heartbeat: Heartbeat | None
    positions: tuple[Position, ...] = ()
    standing: Standing | None = None
    check: CheckStanding = NOTHING_CHECKED

    @property
    def process(self) -> Process:
        """Whether a process is at work."""
        if self.heartbeat is None:
            return "none"
        if self.heartbeat.ended:
            return "ended" if self.heartbeat.ended == IN_ORDER else "failed"
        return "alive" if self.heartbeat.alive else "silent"

    @property
    def missing(self) -> bool:
        """Whether sync ought to run and does not, though nobody ended it."""
        return self.state == "running" and self.process not in ("alive", "ended")

    @property
    def stuck(self) -> tuple[StreamStatus, ...]:
        """Streams of a living process that have waited for long."""
        if self.heartbeat is None or not self.heartbeat.alive or self.state != "running":
            return ()
        return tuple(stream for stream in self.heartbeat.streams if stream.waiting and stream.lag_s > LONG_LAG_S)

    @property
    def lost(self) -> tuple[str, ...]:
        """Legacy tables whose changes the source has forgotten."""
        return () if self.standing is None else lost_tables(self.standing.legacy)

    @property
    def needs_person(self) -> bool:
        """Whether something does not go on by itself, or waits for somebody's answer."""
        kept = self.standing is not None and (self.standing.open_letters or self.standing.open_conflicts)
        return bool(self.missing or self.stuck or self.lost or kept or self.check.differing)


def read_status(settings: Settings) -> SyncStatus:
    """Where sync stands, from any machine that reaches the target. Raises TargetError, ConfigurationError."""
    state_schema = settings.target.state_schema
    with connect_bulk(settings.target) as target:
        state, by_whom, at = read_asked(target, state_schema)
        heartbeat = read_heartbeat(target, state_schema)
        if state is None:
            return SyncStatus(None, "", None, heartbeat)
        positions = read_positions(target, state_schema)
        with source_if_there(settings) as (source, problem):
            standing = read_standing(settings, target, source, problem)
    return SyncStatus(state, by_whom, at, heartbeat, tuple(positions.values()), standing, read_check(positions))


def read_asked(target: BulkConnection, state_schema: str) -> tuple[State | None, str, datetime | None]:
    """What people asked for last, who, and when."""
    statement = sql("SELECT value, by_whom, at FROM {state}.sync_control WHERE name = %s", {"state": state_schema})
    for value, by_whom, at in target.query(statement, (STATE,)):
        return STATES.get(text_of(value)), text_of(by_whom), at
    return None, "", None


@contextmanager
def source_if_there(settings: Settings) -> Iterator[tuple[Source | None, str]]:
    """The source, tried once and not for long; or None and why it is not there."""
    hasty = settings.source.model_copy(update={"retries": 0, "connect_timeout_s": min(settings.source.connect_timeout_s, 5.0)})
    opened = open_source(hasty)
    try:
        source = opened.__enter__()
    except SourceError as error:
        yield None, error.message
        return
    try:
        yield source, ""
    finally:
        opened.__exit__(None, None, None)
