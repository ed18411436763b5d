"""The book of alerts in state.db: raised, counted, acknowledged, escalated, resolved; and who has still to be told of what."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from etl.errors import UsageError
from etl.state_db import STATE_DB, open_state, writing
from migrations.release.alerts.model import Alert, Standing
from migrations.release.alerts.settings import LEVELS, AlertSettings, Level
from migrations.release.alerts.text import Why

TABLES: Final = """
CREATE TABLE IF NOT EXISTS alert (
    id INTEGER NOT NULL PRIMARY KEY, key TEXT NOT NULL, level TEXT NOT NULL, title TEXT NOT NULL, happened TEXT NOT NULL,
    done TEXT NOT NULL, todo TEXT NOT NULL, raised_at REAL NOT NULL, last_at REAL NOT NULL, count INTEGER NOT NULL,
    step INTEGER NOT NULL, told_at REAL NOT NULL, deadline REAL,
    acknowledged_by TEXT NOT NULL, acknowledged_at REAL, resolved_at REAL
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS alert_open ON alert (key) WHERE resolved_at IS NULL;
CREATE TABLE IF NOT EXISTS alert_notice (
    id INTEGER NOT NULL PRIMARY KEY, alert INTEGER NOT NULL, receiver TEXT NOT NULL, why TEXT NOT NULL, due REAL NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS alert_message (
    id INTEGER NOT NULL PRIMARY KEY, receiver TEXT NOT NULL, level TEXT NOT NULL, title TEXT NOT NULL, body TEXT NOT NULL,
    alerts INTEGER NOT NULL, made_at REAL NOT NULL, attempts INTEGER NOT NULL, next_at REAL NOT NULL, sent_at REAL,
    given_up_at REAL, error TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS alert_message_waiting ON alert_message (next_at) WHERE sent_at IS NULL AND given_up_at IS NULL;
"""
OPEN: Final = "SELECT * FROM alert WHERE resolved_at IS NULL"


def raise_alerts(
    state_dir: Path, settings: AlertSettings, alerts: Sequence[Alert], now: datetime | None = None
) -> tuple[int, ...]:
    """Write alerts down, in one transaction, and note who has to be told. Their numbers; that of an open one with the same key
    where there is one. Nothing is sent here. Raises ConfigurationError."""
    at = (now or datetime.now(UTC)).timestamp()
    with open_state(state_dir, TABLES) as connection, writing(connection):
        return tuple(raise_one(connection, settings, alert, at) for alert in alerts)


def raise_one(connection: sqlite3.Connection, settings: AlertSettings, alert: Alert, at: float) -> int:
    """A new alert; or one more of an open one, which is told again when it got worse, or when nobody took it on for long."""
    known = connection.execute(f"{OPEN} AND key = ?", (alert.key,)).fetchone()
    values = (alert.level, alert.title, alert.happened, alert.done, alert.todo)
    if known is None:
        number = connection.execute(
            "INSERT INTO alert (key, level, title, happened, done, todo, raised_at, last_at, count, step, told_at, deadline, "
            "acknowledged_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1, 0, ?, ?, '')",
            (alert.key, *values, at, at, at, deadline_of(settings, alert.level, 0, at)),
        ).lastrowid
        assert number is not None, "a row was inserted"
        tell(connection, settings, number, alert.level, 0, "raised", at)
        return number
    number = int(known["id"])
    connection.execute("UPDATE alert SET count = count + 1, last_at = ? WHERE id = ?", (at, number))
    if LEVELS.index(alert.level) < LEVELS.index(known["level"]):
        connection.execute(
            "UPDATE alert SET level = ?, title = ?, happened = ?, done = ?, todo = ?, step = 0, told_at = ?, deadline = ?, "
            "acknowledged_by = '', acknowledged_at = NULL WHERE id = ?",
            (*values, at, deadline_of(settings, alert.level, 0, at), number),
        )
        tell(connection, settings, number, alert.level, 0, "worse", at)
    elif not known["acknowledged_by"] and at - known["told_at"] >= settings.repeat_s:
        connection.execute(
            "UPDATE alert SET title = ?, happened = ?, done = ?, todo = ?, told_at = ? WHERE id = ?", (*values[1:], at, number)
        )
        tell(connection, settings, number, known["level"], 0, "raised", at)
    return number


def deadline_of(settings: AlertSettings, level: Level, step: int, at: float) -> float | None:
    """When the next step follows; None where there is none."""
    return at + settings.patience(level) if step < len(settings.escalate) else None


def tell(
    connection: sqlite3.Connection, settings: AlertSettings, number: int, level: Level, step: int, why: Why, at: float
) -> None:
    """Note that the receivers of a step have to be told, once there was time to gather others."""
    due = at + (settings.gather(level) if why in ("raised", "resolved") else 0.0)
    for receiver in settings.receivers(level, step):
        connection.execute(
            "INSERT INTO alert_notice (alert, receiver, why, due) VALUES (?, ?, ?, ?)", (number, receiver, why, due)
        )


def resolve_alert(state_dir: Path, settings: AlertSettings, key: str, now: datetime | None = None) -> bool:
    """The cause is gone: everybody who was told of it is told so. False when no alert with this key is open."""
    at = (now or datetime.now(UTC)).timestamp()
    with open_state(state_dir, TABLES) as connection, writing(connection):
        known = connection.execute(f"{OPEN} AND key = ?", (key,)).fetchone()
        if known is None:
            return False
        connection.execute("UPDATE alert SET resolved_at = ?, deadline = NULL WHERE id = ?", (at, known["id"]))
        for step in range(known["step"] + 1):
            tell(connection, settings, known["id"], known["level"], step, "resolved", at)
    return True


def acknowledge(state_dir: Path, numbers: Sequence[int], by: str, now: datetime | None = None) -> tuple[Standing, ...]:
    """Somebody has taken alerts on: they are escalated no further. Raises UsageError for a number that is not there."""
    return taken_on(state_dir, numbers, by, (now or datetime.now(UTC)).timestamp(), over=False)


def settle(state_dir: Path, numbers: Sequence[int], by: str, now: datetime | None = None) -> tuple[Standing, ...]:
    """Somebody says that the cause of alerts is gone. Raises UsageError for a number that is not there."""
    return taken_on(state_dir, numbers, by, (now or datetime.now(UTC)).timestamp(), over=True)


def taken_on(state_dir: Path, numbers: Sequence[int], by: str, at: float, *, over: bool) -> tuple[Standing, ...]:
    """Who was first stays; so does when it was over. All of the numbers, or none."""
    with open_state(state_dir, TABLES) as connection, writing(connection):
        for number in numbers:
            if connection.execute("SELECT 1 FROM alert WHERE id = ?", (number,)).fetchone() is None:
                raise UsageError(f"There is no alert {number}.", "See `membershift alerts list --all`.")
            connection.execute(
                "UPDATE alert SET acknowledged_by = ?, acknowledged_at = ?, deadline = NULL "
                "WHERE id = ? AND acknowledged_by = '' AND resolved_at IS NULL",
                (by, at, number),
            )
            if over:
                connection.execute("UPDATE alert SET resolved_at = ? WHERE id = ? AND resolved_at IS NULL", (at, number))
                connection.execute("DELETE FROM alert_notice WHERE alert = ?", (number,))
        found = [connection.execute("SELECT * FROM alert WHERE id = ?", (number,)).fetchone() for number in numbers]
        return tuple(map(standing, found))


def escalate(connection: sqlite3.Connection, settings: AlertSettings, at: float) -> int:
    """Tell the next receivers of every open alert that nobody acknowledged in time; within a transaction. How many there were."""
    late = connection.execute(f"{OPEN} AND acknowledged_by = '' AND deadline <= ?", (at,)).fetchall()
    for one in late:
        step = one["step"] + 1
        deadline = deadline_of(settings, one["level"], step, at)
        connection.execute("UPDATE alert SET step = ?, deadline = ?, told_at = ? WHERE id = ?", (step, deadline, at, one["id"]))
        tell(connection, settings, one["id"], one["level"], step, "escalated", at)
    return len(late)


def read_alerts(state_dir: Path, *, every: bool = False, level: Level | None = None) -> tuple[Standing, ...]:
    """Open alerts, the most urgent and oldest first; `every`: also those that are resolved. Raises ConfigurationError."""
    if not (state_dir / STATE_DB).exists():
        return ()
    with open_state(state_dir, TABLES) as connection:
        rows: Iterable[sqlite3.Row] = connection.execute("SELECT * FROM alert ORDER BY id")
        found = [standing(row) for row in rows]
    chosen = [one for one in found if (every or one.open) and level in (None, one.alert.level)]
    return tuple(sorted(chosen, key=lambda one: (not one.open, LEVELS.index(one.alert.level), one.id)))


def open_red(state_dir: Path) -> tuple[str, ...]:
    """What each open red alert says: a release waits for them. Raises ConfigurationError."""
    return tuple(f"#{one.id} {one.alert.title}: {one.alert.happened}" for one in read_alerts(state_dir, level="red"))


def standing(row: sqlite3.Row) -> Standing:
    """A row of the book."""
    alert = Alert(row["key"], row["level"], row["title"], row["happened"], row["done"], row["todo"])
    return Standing(
        id=row["id"],
        alert=alert,
        raised_at=moment(row["raised_at"]),
        last_at=moment(row["last_at"]),
        count=row["count"],
        step=row["step"],
        deadline=None if row["deadline"] is None else moment(row["deadline"]),
        acknowledged_by=row["acknowledged_by"],
        acknowledged_at=None if row["acknowledged_at"] is None else moment(row["acknowledged_at"]),
        resolved_at=None if row["resolved_at"] is None else moment(row["resolved_at"]),
    )


def moment(timestamp: float) -> datetime:
    """In UTC."""
    return datetime.fromtimestamp(timestamp, UTC)
