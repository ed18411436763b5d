"""One load at a time: a lock on the target, for copies elsewhere, and one on the state folder, for copies here.

Neither is what keeps rows from being loaded twice: checkpoints do. The lock keeps a second copy from doing the same work in vain.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO, Final

from etl.errors import RefusedError, TargetError
from etl.personal_files import make_private_folder
from etl.settings import Settings
from etl.target.bulk import BulkConnection
from etl.target.connect import connect_bulk

PATIENCE_S: Final = 5
"""How long to wait for the lock of a copy that was just killed: its server session ends when the server notices."""


class LoadLock:
    """The lock on the target; `keep` is called now and then so that it neither idles away nor is lost unnoticed."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.name = f"membershift.load.{settings.target.state_schema}"[:64]
        self.connection: BulkConnection = connect_bulk(settings.target)
        self.take()

    def take(self) -> None:
        """Get the lock. Raises RefusedError when another session has it."""
        rows = self.connection.query("SELECT GET_LOCK(%s, %s)", (self.name, PATIENCE_S))
        if rows[0][0] is None or int(rows[0][0]) != 1:
            raise another_copy("the target")

    def keep(self) -> None:
        """Make sure the lock is still ours; after a lost connection take it again. A target that is away is left to the loaders'
        retries."""
        try:
            self.take()  # a session may take its own lock again
        except TargetError:
            with suppress(TargetError):
                self.connection.close()
            with suppress(TargetError):
                self.connection = connect_bulk(self.settings.target)
                self.take()

    def release(self) -> None:
        """Let go of it: the lock ends with its session."""
        with suppress(TargetError):
            self.connection.close()


@contextmanager
def hold_load_lock(settings: Settings) -> Iterator[LoadLock]:
    """Refuse to be the second copy. Raises RefusedError."""
    with lock_state_folder(settings):
        lock = LoadLock(settings)
        try:
            yield lock
        finally:
            lock.release()


@contextmanager
def lock_state_folder(settings: Settings) -> Iterator[BinaryIO]:
    """Hold load.lock in the state folder; the system lets go of it whenever the process ends. Raises RefusedError."""
    path = make_private_folder(settings.state_dir) / "load.lock"
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise another_copy(f"{settings.state_dir}") from error
        yield file


def another_copy(where: str) -> RefusedError:
    """What to say to the second copy."""
    return RefusedError(
        f"Another load is running: it holds the lock on {where}.",
        "Wait until it ends, or stop it, and run this again: it goes on where that one stopped.",
    )
