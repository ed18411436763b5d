"""One stage at a time: a lock on the stage folder that dies with the process that holds it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from etl.errors import RefusedError
from etl.personal_files import disk_error, make_private_folder

LOCK_NAME: Final = "stage.lock"


@contextmanager
def only_one(stage_dir: Path) -> Iterator[None]:
    """Hold the lock of `stage_dir`. Raises RefusedError when another process has it.

    The kernel drops the lock when the process ends, however it ends: a killed stage never has to be unlocked by hand.
    """
    make_private_folder(stage_dir)
    path = stage_dir / LOCK_NAME
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise disk_error(error, path) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RefusedError(
                f"Another stage is running on {stage_dir}.", "Wait until it has ended: membershift stage status"
            ) from error
        yield
    finally:
        os.close(descriptor)


def is_running(stage_dir: Path) -> bool:
    """Whether some process holds the lock."""
    try:
        descriptor = os.open(stage_dir / LOCK_NAME, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
