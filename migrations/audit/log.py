"""Write entries of the audit log to state.db, and read them.

A command is noted before it changes anything and again when it has ended: one that was killed stands there as begun, not ended.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from etl.errors import ConfigurationError
from etl.state_db import STATE_DB, open_state, state_error, writing
from migrations.audit.entry import ORIGIN, Entry, Head, Kind, canonical, seal
from migrations.audit.who import Actor

TABLES: Final = """
CREATE TABLE IF NOT EXISTS audit_entry (
    number INTEGER NOT NULL PRIMARY KEY, at TEXT NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL,
    previous TEXT NOT NULL, hash TEXT NOT NULL
) STRICT;
CREATE TRIGGER IF NOT EXISTS audit_entry_stays BEFORE UPDATE ON audit_entry
BEGIN SELECT RAISE(ABORT, 'the audit log is only ever added to'); END;
CREATE TRIGGER IF NOT EXISTS audit_entry_remains BEFORE DELETE ON audit_entry
BEGIN SELECT RAISE(ABORT, 'the audit log is only ever added to'); END;
"""
COLUMNS: Final = "SELECT number, at, kind, body, previous, hash FROM audit_entry"
LONGEST_RESULT: Final = 500


def record_begin(state_dir: Path, who: Actor, command: str, arguments: Mapping[str, Any]) -> int:
    """Note durably that a command is about to change something; the number to end it with. `arguments` have their secrets masked
    already (arguments.py). Raises ConfigurationError, and then the command must not go on."""
    body = who.described | {"command": command, "arguments": dict(arguments)}
    return append(state_dir, "begin", body).number


def record_end(state_dir: Path, begun: int, exit_code: int, result: str) -> int:
    """Note how it ended: its exit code, and its result in one sentence without personal data. Raises ConfigurationError."""
    return append(state_dir, "end", {"begun": begun, "exit_code": exit_code, "result": result[:LONGEST_RESULT]}).number


def append(state_dir: Path, kind: Kind, body: Mapping[str, Any]) -> Entry:
    """Add an entry after the newest one; nobody else can add one in between."""
    with open_state(state_dir, TABLES) as connection, writing(connection):
        head = newest(connection)
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        entry = seal(head.number + 1, at, kind, body, head.hash)
        connection.execute(
            "INSERT INTO audit_entry (number, at, kind, body, previous, hash) VALUES (?, ?, ?, ?, ?, ?)",
            (entry.number, entry.at, entry.kind, canonical(dict(entry.body)), entry.previous, entry.hash),
        )
    return entry


def newest(connection: sqlite3.Connection) -> Head:
    """The newest entry; number 0 before the first."""
    row = connection.execute("SELECT number, hash FROM audit_entry ORDER BY number DESC LIMIT 1").fetchone()
    return Head(row["number"], row["hash"]) if row else Head(0, ORIGIN)


def read_head(state_dir: Path) -> Head | None:
    """The newest entry, to be kept off this machine; None where nothing was noted yet. Raises ConfigurationError."""
    if not (state_dir / STATE_DB).exists():
        return None
    with open_state(state_dir, TABLES) as connection:
        head = newest(connection)
    return head if head.number else None


def read_rows(state_dir: Path) -> Iterator[sqlite3.Row]:
    """Every row as it is stored, by number, whether it can be believed or not. Nothing is created by looking.

    Raises ConfigurationError.
    """
    if not (state_dir / STATE_DB).exists():
        return
    with open_state(state_dir, TABLES) as connection:
        try:
            yield from connection.execute(f"{COLUMNS} ORDER BY number")
        except sqlite3.DatabaseError as error:
            raise state_error(error) from error


def read_entries(state_dir: Path) -> Iterator[Entry]:
    """Every entry, the oldest first. Raises ConfigurationError for one that cannot be read: `verify_audit` says more of it."""
    for row in read_rows(state_dir):
        try:
            body = json.loads(row["body"])
        except ValueError as error:
            raise ConfigurationError(
                f"Entry {row['number']} of the audit log cannot be read.", "Run: membershift audit verify"
            ) from error
        yield Entry(row["number"], row["at"], row["kind"], body, row["previous"], row["hash"])
