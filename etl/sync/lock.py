"""One sync at a time: a lock on the target, and one on the state folder.

Neither is what keeps changes from being made twice: positions and the common values do. Two copies would only disturb each other.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from etl.errors import RefusedError
from etl.personal_files import make_private_folder
from etl.settings import Settings
from etl.target.connect import connect_bulk

PATIENCE_S: Final = 5
"""How long to wait for the lock of a copy that was just killed: its server session ends when the server notices."""


@contextmanager
def hold_sync_lock(settings: Settings) -> Iterator[None]:
    """Refuse to be the second copy. Raises RefusedError.

    The lock of the target goes with its session: when that is lost, the copy that comes next may begin while this one still runs,
    which is harmless.
    """
    path = make_private_folder(settings.state_dir) / "sync.lock"
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise another_copy(f"{settings.state_dir}") from error
        with connect_bulk(settings.target) as connection:
            taken = connection.scalar("SELECT GET_LOCK(%s, %s)", (lock_name(settings.target.state_schema), PATIENCE_S))
            if taken is None or int(taken) != 1:
                raise another_copy("the target")
            yield


def lock_name(state_schema: str) -> str:
    """Name of the lock on the target; both engines take 64 characters."""
    return f"membershift.sync.{state_schema}"[:64]


def another_copy(where: str) -> RefusedError:
    """What to say to the second copy."""
    return RefusedError(
        f"Another sync is running: it holds the lock on {where}.",
        "See `membershift sync status`; to end it: membershift sync stop",
    )
