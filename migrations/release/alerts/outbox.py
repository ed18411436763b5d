"""The outbox: gathers what receivers have to be told into messages, and sends them until they arrive.

All of it is in state.db: a message that was made before a crash is sent after it. A message whose answer was lost is sent again:
better twice than never.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from etl.errors import OpsError
from etl.state_db import open_state, writing
from migrations.release.alerts.book import TABLES, escalate, standing
from migrations.release.alerts.send import NotSent, send
from migrations.release.alerts.settings import HOUR, AlertSettings
from migrations.release.alerts.text import Message, Told, write_message

DUE: Final = "SELECT * FROM alert_message WHERE sent_at IS NULL AND given_up_at IS NULL AND next_at <= ? ORDER BY id"
CLAIM_S: Final = 60.0
"""How long a message belongs to whoever is sending it."""

Send = Callable[[str, Message, float], None]
Outcome = Literal["sent", "failed", "given up"]


@dataclass(frozen=True)
class Pumped:
    """What one look at the outbox did. `waiting`: messages that are not sent yet."""

    escalated: int = 0
    made: int = 0
    sent: int = 0
    failed: int = 0
    given_up: int = 0
    waiting: int = 0


def pump(state_dir: Path, settings: AlertSettings, now: datetime | None = None, deliver: Send = send) -> Pumped:
    """Escalate what nobody acknowledged, make messages of what is due, send what waits. Takes as long as the receivers do: never
    call it where something else must go on. Raises ConfigurationError when state.db cannot be used."""
    at = (now or datetime.now(UTC)).timestamp()
    with open_state(state_dir, TABLES) as connection:
        with writing(connection):
            escalated = escalate(connection, settings, at)
            made = make_messages(connection, settings, at)
        outcomes = [send_one(connection, settings, row, at, deliver) for row in claim(connection, at)]
        waiting = connection.execute(
            "SELECT COUNT(*) FROM alert_message WHERE sent_at IS NULL AND given_up_at IS NULL"
        ).fetchone()[0]
    counted = {name: outcomes.count(name) for name in ("sent", "failed", "given up")}
    return Pumped(escalated, made, counted["sent"], counted["failed"], counted["given up"], waiting)


def make_messages(connection: sqlite3.Connection, settings: AlertSettings, at: float) -> int:
    """One message for each receiver that has to be told by now, with all that waits for it: what is not due comes along."""
    due = connection.execute("SELECT DISTINCT receiver FROM alert_notice WHERE due <= ? ORDER BY receiver", (at,)).fetchall()
    for (receiver,) in due:
        with closing(
            connection.execute(
                "SELECT alert.*, alert_notice.why FROM alert_notice JOIN alert ON alert.id = alert_notice.alert "
                "WHERE alert_notice.receiver = ? ORDER BY alert_notice.id",
                (receiver,),
            )
        ) as rows:
            newest = {row["id"]: Told(standing(row), row["why"]) for row in rows}  # raised and over at once: the last word counts
        message = write_message(tuple(newest.values()), settings.lang, settings.most_listed)
        connection.execute("DELETE FROM alert_notice WHERE receiver = ?", (receiver,))
        connection.execute(
            "INSERT INTO alert_message (receiver, level, title, body, alerts, made_at, attempts, next_at, error) "
            "VALUES (?, ?, ?, ?, ?, ?, 0, ?, '')",
            (receiver, message.level, message.title, message.body, len(newest), at, at),
        )
    return len(due)


def claim(connection: sqlite3.Connection, at: float) -> list[sqlite3.Row]:
    """Messages whose time has come, now ours for CLAIM_S; the oldest first."""
    with writing(connection):
        rows: list[sqlite3.Row] = connection.execute(DUE, (at,)).fetchall()
        for row in rows:
            connection.execute("UPDATE alert_message SET next_at = ? WHERE id = ?", (at + CLAIM_S, row["id"]))
    return rows


def send_one(connection: sqlite3.Connection, settings: AlertSettings, row: sqlite3.Row, at: float, deliver: Send) -> Outcome:
    """Try once; note that it arrived, or when to try again and why it did not."""
    message, error = Message(row["level"], row["title"], row["body"]), ""
    address = settings.address(row["receiver"])
    try:
        if address is None:
            raise NotSent(f"{row['receiver']} is no longer in the plan", "Put it back into [alerts], or let it be given up.")
        deliver(address, message, settings.timeout_s)
    except OpsError as failure:
        error = f"{failure.message}. {failure.remedy}"
    sent_at = None if error else at
    over = bool(error) and at - row["made_at"] >= settings.give_up_h * HOUR
    pause = min(settings.longest_retry_s, settings.retry_s * 2.0 ** min(row["attempts"], 20))
    with writing(connection):
        connection.execute(
            "UPDATE alert_message SET attempts = attempts + 1, error = ?, next_at = ?, sent_at = ?, given_up_at = ? WHERE id = ?",
            (error, at + pause, sent_at, at if over else None, row["id"]),
        )
    if not error:
        return "sent"
    return "given up" if over else "failed"
