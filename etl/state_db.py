"""state.db: what has to outlive a crash of the machine and of the target alike. One SQLite file in the state folder.

WAL, so that somebody may read while another writes; synchronous=FULL, so that what was committed is on the disk.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from etl.errors import ConfigurationError
from etl.personal_files import disk_error, make_private_folder

STATE_DB: Final = "state.db"
BUSY_S: Final = 10.0
"""How long another process may hold the write lock; nobody holds it for longer than an insert."""
CREATING: Final = threading.Lock()


class StateFull(ConfigurationError):
    """There is no room to write; nothing was half-written."""


@contextmanager
def open_state(state_dir: Path, tables: str) -> Iterator[sqlite3.Connection]:
    """Open the file, creating it, and `tables` (CREATE TABLE IF NOT EXISTS ...). Rows come as sqlite3.Row; nothing is in a
    transaction until `writing`. Raises ConfigurationError where the folder, the disk or the file does not allow it."""
    path = make_private_folder(state_dir) / STATE_DB
    try:
        create_private(path)
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_S)
    except OSError as error:
        raise disk_error(error, path) from error
    except sqlite3.DatabaseError as error:
        raise state_error(error) from error
    connection.row_factory = sqlite3.Row
    try:
        try:
            write_ahead(connection, BUSY_S)
            connection.execute("PRAGMA synchronous = FULL")
            connection.executescript(tables)
        except sqlite3.DatabaseError as error:
            raise state_error(error) from error
        yield connection
    finally:
        connection.close()


def create_private(path: Path) -> None:
    """Make the file, readable by its owner only; one that is there is not touched.

    Closing a file drops every lock that this process has on it (POSIX), those of SQLite's other connections too: another process
    would take itself for the last one, remove the log ahead of writing, and what is written here afterwards would be gone.
    """
    with CREATING, suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


@contextmanager
def writing(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """A transaction that nobody else writes beside; undone when the block raises. Raises ConfigurationError."""
    try:
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
    except sqlite3.DatabaseError as error:
        raise state_error(error) from error


def write_ahead(connection: sqlite3.Connection, busy_s: float) -> None:
    """Log ahead of writing. While somebody else opens the new file too, SQLite refuses this at once, whatever its timeout."""
    latest = time.monotonic() + busy_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > latest:
                raise
            time.sleep(0.02)
        else:
            return


def state_error(error: sqlite3.DatabaseError) -> ConfigurationError:
    """What to say of a failure of SQLite."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return StateFull("The disk that holds state.db is full.", "Free some room; nothing was half-written.")
    if code == sqlite3.SQLITE_BUSY:
        return ConfigurationError("state.db is locked by another process.", "Wait for it to end, or end it, and try again.")
    if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        return ConfigurationError(
            "state.db is damaged.", "Put back a copy of it; keep the damaged file for whoever has to audit it."
        )
    return ConfigurationError(f"state.db cannot be used: {error}.", "Look at the rights and the room of the state folder.")
