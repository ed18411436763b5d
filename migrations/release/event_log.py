"""The event log of releases in state.db: append-only, in one order, checked against the state before anything is written.

Whoever appends holds SQLite's write lock, reads what others appended meanwhile, and lets `apply` decide: two processes can never
write down two events that do not fit together. What a controller does step by step also needs its lease.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from etl.errors import ConfigurationError, RefusedError
from etl.state_db import StateFull, open_state, writing
from migrations.release.events import (
    COMPLETION_LAPSES,
    CompletionAsked,
    Event,
    MinuteJudged,
    RolledBack,
    Routed,
    StepDone,
    SwitchBegun,
    SwitchDone,
    SwitchFailed,
    WaveBegun,
    WindowJudged,
    read_event,
    write_event,
)
from migrations.release.machine import apply
from migrations.release.model import ReleaseState

LEASE_S: Final = 20.0
"""A controller that has not renewed its lease for so long is gone."""

CONTROLLED: Final = (
    WaveBegun, SwitchBegun, Routed, StepDone, SwitchFailed, SwitchDone, WindowJudged, MinuteJudged, RolledBack,
)  # fmt: skip
"""Events of whoever carries the release out; all others are decisions of people, which need no lease."""

TABLES: Final = """
CREATE TABLE IF NOT EXISTS release_event (
    number INTEGER NOT NULL PRIMARY KEY, at TEXT NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS lease (
    name TEXT NOT NULL PRIMARY KEY, holder TEXT NOT NULL, token INTEGER NOT NULL, until REAL NOT NULL
) STRICT, WITHOUT ROWID;
"""
CONTROLLER: Final = "controller"
LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)


class LeaseLost(RefusedError):
    """Somebody else carries the release out now."""


@dataclass(frozen=True)
class Logged:
    """An event with its place in the log and the time (UTC, ISO 8601) at which it was written down."""

    number: int
    at: str
    event: Event


class EventLog:
    """Of one process; `state` is what the events up to now lead to, as of the last `refresh` or `append`. `make_room`: asked when
    the disk is full; where it could make some, what failed is tried again."""

    def __init__(self, connection: sqlite3.Connection, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.connection = connection
        self.now = now
        self.state = ReleaseState()
        self.token: int | None = None
        self.make_room: Callable[[], bool] = lambda: False
        self.refresh()

    def refresh(self) -> ReleaseState:
        """Take in what others appended. Raises ConfigurationError for an event that cannot be read or does not fit."""
        for logged in self.events(self.state.events):
            try:
                self.state = apply(self.state, logged.event)
            except RefusedError as error:
                raise ConfigurationError(
                    f"Event {logged.number} of the release log does not follow from those before it: {error.message}",
                    "The log was changed by hand: `membershift audit verify` tells where.",
                ) from error
        return self.state

    def events(self, after: int = 0) -> list[Logged]:
        """The events after a number, in order."""
        rows = self.connection.execute(
            "SELECT number, at, kind, body FROM release_event WHERE number > ? ORDER BY number", (after,)
        ).fetchall()
        try:
            return [Logged(row["number"], row["at"], read_event(row["kind"], row["body"])) for row in rows]
        except (ValueError, TypeError, KeyError) as error:
            raise ConfigurationError(
                f"The release log cannot be read: {error}", "Use the version of membershift that wrote it, or a newer one."
            ) from error

    def last_at(self, *kinds: type[Event]) -> datetime:
        """When the last event of these kinds was written down; long ago where there was none."""
        found = self.newest(*kinds)
        return LONG_AGO if found is None else datetime.fromisoformat(found["at"])

    def newest(self, *kinds: type[Event]) -> sqlite3.Row | None:
        """Time and kind of the last event of these kinds."""
        names = [kind.kind for kind in kinds]
        marks = ", ".join("?" for _ in names)
        query = ("SELECT at, kind FROM release_event WHERE kind IN (", marks, ") ORDER BY number DESC LIMIT 1")
        found: sqlite3.Row | None = self.connection.execute(" ".join(query), names).fetchone()
        return found

    def is_to_complete(self) -> bool:
        """Whether somebody ordered it, and nothing has come in between."""
        found = self.newest(CompletionAsked, *COMPLETION_LAPSES)
        return found is not None and found["kind"] == CompletionAsked.kind

    def append(self, event: Event) -> ReleaseState:
        """Write an event down, durably, if the state allows it. Raises IllegalEvent, LeaseLost, ConfigurationError."""
        return self.with_room(lambda: self.write(event))

    def with_room(self, write: Callable[[], ReleaseState]) -> ReleaseState:
        """Once more where there was no room and some could be made. Raises what it raises."""
        try:
            return write()
        except StateFull:
            if not self.make_room():
                raise
            return write()

    def write(self, event: Event) -> ReleaseState:
        """As `append`, tried once."""
        with writing(self.connection):
            self.refresh()
            if isinstance(event, CONTROLLED):
                self.require_lease()
            after = apply(self.state, event)
            self.connection.execute(
                "INSERT INTO release_event (number, at, kind, body) VALUES (?, ?, ?, ?)",
                (after.events, self.now().isoformat(timespec="milliseconds"), event.kind, write_event(event)),
            )
        self.state = after
        return after

    def take_lease(self, holder: str) -> None:
        """Become the one that carries the release out. Raises LeaseLost while another one does."""
        with writing(self.connection):
            held = self.connection.execute("SELECT holder, token, until FROM lease WHERE name = ?", (CONTROLLER,)).fetchone()
            left_s = held["until"] - time.time() if held else 0.0
            if held and 0 < left_s <= LEASE_S:  # further ahead than a lease lasts: the clock was set back since
                raise LeaseLost(
                    f"{held['holder']} carries the release out.",
                    f"Look at it with `membershift release watch`; if it is gone, try again in {left_s:.0f} s.",
                )
            self.token = held["token"] + 1 if held else 1
            self.connection.execute(
                "INSERT OR REPLACE INTO lease (name, holder, token, until) VALUES (?, ?, ?, ?)",
                (CONTROLLER, holder, self.token, time.time() + LEASE_S),
            )

    def renew_lease(self) -> None:
        """Stay the one. Raises LeaseLost, ConfigurationError."""

        def renew() -> ReleaseState:
            with writing(self.connection):
                self.require_lease()
                self.connection.execute("UPDATE lease SET until = ? WHERE name = ?", (time.time() + LEASE_S, CONTROLLER))
            return self.state

        self.with_room(renew)

    def release_lease(self) -> None:
        """Let somebody else take it at once; nothing happens when it is lost already."""
        with writing(self.connection):
            self.connection.execute("UPDATE lease SET until = 0 WHERE name = ? AND token = ?", (CONTROLLER, self.token))
        self.token = None

    def holder(self) -> str | None:
        """Who carries the release out now, None when nobody does."""
        held = self.connection.execute("SELECT holder, until FROM lease WHERE name = ?", (CONTROLLER,)).fetchone()
        return str(held["holder"]) if held and 0 < held["until"] - time.time() <= LEASE_S else None

    def require_lease(self) -> None:
        """The token only ever grows: whoever was asleep while another one took over is told here, before it writes anything."""
        held = self.connection.execute("SELECT holder, token FROM lease WHERE name = ?", (CONTROLLER,)).fetchone()
        if self.token is None or held is None or held["token"] != self.token:
            who = held["holder"] if held else "nobody"
            raise LeaseLost(f"This process does not carry the release out ({who} does).", "Look: membershift release watch")


@contextmanager
def open_event_log(state_dir: Path) -> Iterator[EventLog]:
    """The log in the state folder, made where there is none. Raises ConfigurationError."""
    with open_state(state_dir, TABLES) as connection:
        yield EventLog(connection)
