"""Keep TiDB from collecting what rows were, for as long as a snapshot wants to read it, and put its setting back afterwards.

tidb_gc_life_time belongs to the whole cluster. Its value is noted in state.db before it is raised, and which snapshots need it;
the last of them puts it back, whoever runs next if the process that raised it was killed. A value that somebody set in between is
theirs and stays.
"""

from __future__ import annotations

import fcntl
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Protocol

from etl.personal_files import make_private_folder
from etl.state_db import open_state, writing
from etl.target.address import read_address
from etl.target.bulk import BulkConnection
from etl.target.errors import ServerError

VARIABLE: Final = "tidb_gc_life_time"
NO_RIGHT: Final = 1227
MARGIN: Final = timedelta(minutes=15)
"""Longer than a snapshot takes to begin, and than collection takes to notice."""

TABLES: Final = """
CREATE TABLE IF NOT EXISTS gc_before (
    target TEXT NOT NULL PRIMARY KEY, before TEXT NOT NULL, raised TEXT NOT NULL, at TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS gc_hold (
    target TEXT NOT NULL, snapshot TEXT NOT NULL, until TEXT NOT NULL, PRIMARY KEY (target, snapshot)
) STRICT, WITHOUT ROWID;
"""


class Asks(Protocol):
    """What is asked of the target; BulkConnection has it."""

    def scalar(self, sql: str) -> Any: ...

    def execute(self, sql: str, params: tuple[object, ...]) -> int: ...


@dataclass(frozen=True)
class Held:
    """`until`: so long rows can be read as they are now. `note`: why it is not as long as was asked for, "" where it is."""

    until: datetime | None
    note: str = ""


def hold_gc(state_dir: Path, target: BulkConnection, snapshot: str, span: timedelta, now: datetime | None = None) -> Held:
    """Have the target keep everything for `span` from now on: noted first, then set. Raises TargetError, ConfigurationError."""
    now = now or datetime.now(UTC)
    if not target.is_tidb:
        return Held(None)
    current = life_time(target)
    if span <= timedelta(0):
        return Held(now + current)
    where, wanted = where_of(target), max(span + MARGIN, current)
    with alone(state_dir), open_state(state_dir, TABLES) as connection:
        with writing(connection):
            note_before(connection, where, current, wanted, now)
            connection.execute(
                "INSERT OR REPLACE INTO gc_hold (target, snapshot, until) VALUES (?, ?, ?)",
                (where, snapshot, text_of(now + span)),
            )
        try:
            if current < wanted:
                set_life_time(target, wanted)
        except ServerError as error:
            if error.number != NO_RIGHT:
                raise
            with writing(connection):
                connection.execute("DELETE FROM gc_hold WHERE target = ? AND snapshot = ?", (where, snapshot))
            put_back_unneeded(connection, target, where)
            return Held(now + current, f"The account may not set {VARIABLE}: reads as of the snapshot work for {current} only.")
    return Held(now + span)


@contextmanager
def alone(state_dir: Path) -> Iterator[None]:
    """Nobody else raises it or puts it back meanwhile. A lock of its own: the target is asked under it, which may take long, and
    state.db must never be locked for so long, since a rollback writes there."""
    lock = os.open(make_private_folder(state_dir) / "gc.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def note_before(connection: sqlite3.Connection, where: str, current: timedelta, wanted: timedelta, now: datetime) -> None:
    """What it was before the first snapshot raised it; anew when somebody else has set it since."""
    noted = connection.execute("SELECT before, raised FROM gc_before WHERE target = ?", (where,)).fetchone()
    ours = noted is not None and seconds(current) in (int(noted["before"]), int(noted["raised"]))
    before = int(noted["before"]) if ours else seconds(current)
    raised = max(seconds(wanted), int(noted["raised"])) if ours else seconds(wanted)
    connection.execute(
        "INSERT OR REPLACE INTO gc_before (target, before, raised, at) VALUES (?, ?, ?, ?)",
        (where, str(before), str(raised), text_of(now)),
    )


def settle_gc(
    state_dir: Path, target: BulkConnection, gone: frozenset[str] = frozenset(), now: datetime | None = None
) -> timedelta | None:
    """Forget snapshots that are gone or need it no longer, and put the old value back when none is left. Safe at any time, by any
    process. The value that was put back, None when nothing was. Raises TargetError, ConfigurationError."""
    if not target.is_tidb:
        return None
    now, where = now or datetime.now(UTC), where_of(target)
    with alone(state_dir), open_state(state_dir, TABLES) as connection:
        with writing(connection):
            connection.execute("DELETE FROM gc_hold WHERE target = ? AND until <= ?", (where, text_of(now)))
            for snapshot in gone:
                connection.execute("DELETE FROM gc_hold WHERE target = ? AND snapshot = ?", (where, snapshot))
        return put_back_unneeded(connection, target, where)


def put_back_unneeded(connection: sqlite3.Connection, target: BulkConnection, where: str) -> timedelta | None:
    """Set the old value, then forget it; killed in between, the next one finds it set already. Call it `alone`."""
    if connection.execute("SELECT 1 FROM gc_hold WHERE target = ?", (where,)).fetchone() is not None:
        return None
    noted = connection.execute("SELECT before, raised FROM gc_before WHERE target = ?", (where,)).fetchone()
    if noted is None:
        return None
    put_back = None
    if seconds(life_time(target)) == int(noted["raised"]) and noted["raised"] != noted["before"]:
        put_back = timedelta(seconds=int(noted["before"]))
        set_life_time(target, put_back)
    with writing(connection):
        connection.execute("DELETE FROM gc_before WHERE target = ?", (where,))
    return put_back


def where_of(target: BulkConnection) -> str:
    """The cluster, as far as we know it."""
    return read_address(target.settings).where


def life_time(target: Asks) -> timedelta:
    """What it is now."""
    return parse_life_time(str(target.scalar(f"SELECT @@GLOBAL.{VARIABLE}")))


def set_life_time(target: Asks, value: timedelta) -> None:
    """Set it, for the whole cluster."""
    target.execute(f"SET GLOBAL {VARIABLE} = %s", (f"{seconds(value)}s",))


def seconds(value: timedelta) -> int:
    """Whole seconds."""
    return int(value.total_seconds())


def parse_life_time(text: str) -> timedelta:
    """As TiDB writes it. Raises ValueError.

    >>> parse_life_time("10m0s"), parse_life_time("24h15m0s").total_seconds()
    (datetime.timedelta(seconds=600), 87300.0)
    """
    found = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?", text)
    if not text or found is None:
        raise ValueError(f"{text!r} is no duration")
    hours, minutes, rest = found.groups(default="0")
    return timedelta(hours=int(hours), minutes=int(minutes), seconds=float(rest))


def text_of(moment: datetime) -> str:
    """Times that sort as text."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")
