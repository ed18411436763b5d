"""How far each direction is, and what people asked for: rows of sync_position and sync_control."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from etl.load.sql import sql
from etl.target.bulk import BulkConnection
from etl.target.columns import text_of

State = Literal["running", "paused", "stopped"]
STATE: Final = "state"
STATES: Final[dict[str, State]] = {"running": "running", "paused": "paused", "stopped": "stopped"}


@dataclass(frozen=True)
class Position:
    """How far something is. Forward: the change-tracking version (or rowversion) up to which a legacy table's changes are on the
    target. Reverse: the watermark of a target table, in microseconds since 1970 (UTC)."""

    name: str
    value: int
    detail: str | None
    at: datetime


def read_positions(connection: BulkConnection, state_schema: str) -> dict[str, Position]:
    """All of them, by name."""
    rows = connection.query(sql("SELECT name, position, detail, at FROM {state}.sync_position", {"state": state_schema}))
    return {
        text_of(name): Position(text_of(name), int(value), None if detail is None else text_of(detail), at)
        for name, value, detail, at in rows
    }


def write_position(connection: BulkConnection, state_schema: str, name: str, value: int, detail: str | None = None) -> None:
    """Note how far something is, inside the caller's transaction: with the rows that it is about."""
    statement = (
        "INSERT INTO {state}.sync_position (name, position, detail, at) VALUES (%s, %s, %s, UTC_TIMESTAMP(6)) "
        "ON DUPLICATE KEY UPDATE position = VALUES(position), detail = VALUES(detail), at = VALUES(at)"
    )
    connection.execute(sql(statement, {"state": state_schema}), (name, value, detail))


def forward_name(table: object) -> str:
    """The position of a legacy table."""
    return f"forward/{table}"


def reverse_name(table: str) -> str:
    """The position of a target table."""
    return f"reverse/{table}"


def read_state(connection: BulkConnection, state_schema: str) -> State | None:
    """What people asked for last; None before `sync start`."""
    value = connection.scalar(sql("SELECT value FROM {state}.sync_control WHERE name = %s", {"state": state_schema}), (STATE,))
    return None if value is None else STATES.get(text_of(value))


def write_control(connection: BulkConnection, state_schema: str, name: str, value: str, by_whom: str) -> None:
    """Ask for something: the running sync reads it at its next round."""
    statement = (
        "INSERT INTO {state}.sync_control (name, value, at, by_whom) VALUES (%s, %s, UTC_TIMESTAMP(6), %s) "
        "ON DUPLICATE KEY UPDATE value = VALUES(value), at = VALUES(at), by_whom = VALUES(by_whom)"
    )
    with connection.transaction():
        connection.execute(sql(statement, {"state": state_schema}), (name, value, by_whom[:64]))
