"""Room that is kept for the end: a file that is given up when the disk is full while stores are closed.

The log and the map have to be written to open them again. Whatever fills the disk may fill this room as well; then the stores
stay as they are until somebody makes some, and the switch goes on by itself.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from etl.errors import OpsError
from migrations.release.alerts.settings import Level
from migrations.release.model import ReleaseState
from migrations.release.preflight import LEAST_FREE, free_bytes
from migrations.release.switch import Evidence

SIZE: Final = 2**20
"""Bytes: a switch writes some kilobytes, and each second of the lease two pages."""
JUST_NOW_S: Final = 5.0
NAME: Final = ".membershift-reserve"
KEY: Final = "disk full"
NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT)


@dataclass
class Reserve:
    """Of one controller; several threads may use it. `folders`: where the log and the map are. `tell` and `resolve`: alerts.
    `ample`: bytes that have to be free before it is made anew. `given_up_at`: by the steady clock."""

    folders: Sequence[Path]
    tell: Callable[[Level, str, str, str, str], object]
    resolve: Callable[[str], object]
    ample: int = LEAST_FREE
    given_up_at: float | None = None
    told: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def let_go(self) -> bool:
        """Give the room up. Whether there was any, now or a moment ago: then what failed is worth another try."""
        with self.lock:
            gone = [path for path in map(place_in, self.folders) if remove(path)]
            if gone:
                self.given_up_at = time.monotonic()
            return self.given_up_at is not None and time.monotonic() - self.given_up_at < JUST_NOW_S

    def tend(self) -> None:
        """Called each second: say that it was given up, and make it anew once there is room."""
        with self.lock:
            if self.given_up_at is None:
                return
            if not self.told:
                where = ", ".join(sorted({str(folder) for folder in self.folders}))
                todo = f"Free some room in {where}: no other store is closed before."
                self.tell("red", KEY, "The disk is full.", "The room kept for the log and the map is given up.", todo)
                self.told = True
            if self.has_room(self.ample) and self.make():
                self.given_up_at, self.told = None, False
                self.resolve(KEY)

    def keep(self) -> None:
        """Make it. Where there is no room even for that it counts as given up: it is told, and made later."""
        with self.lock:
            if not self.make():
                self.given_up_at = time.monotonic() - JUST_NOW_S

    def make(self) -> bool:
        """One for each disk. False where there is no room; where it may not be made for another reason a switch goes without."""
        try:
            for folder in one_for_each_disk(self.folders):
                write_bytes(place_in(folder))
        except OSError as error:
            return error.errno not in NO_ROOM
        return True

    def has_room(self, size: int) -> bool:
        """Whether so many bytes are free in each folder that is there."""
        found = [free_bytes(folder) for folder in self.folders]
        return all(free is None or free >= size for free in found)

    def remove(self) -> None:
        """Leave nothing behind."""
        with self.lock:
            for folder in self.folders:
                remove(place_in(folder))

    def publish(self, publish: Callable[[ReleaseState], Evidence], state: ReleaseState) -> Evidence:
        """A map that could not be written for want of room is written again. Raises what `publish` raises."""
        try:
            return publish(state)
        except OpsError:
            if self.has_room(SIZE) or not self.let_go():
                raise
            return publish(state)


@contextmanager
def keeping(reserve: Reserve) -> Iterator[Reserve]:
    """As long as a controller runs. One that was killed leaves it to the next."""
    reserve.keep()
    try:
        yield reserve
    finally:
        reserve.remove()


def one_for_each_disk(folders: Sequence[Path]) -> list[Path]:
    """The first folder on each."""
    found: dict[int, Path] = {}
    for folder in filter(Path.is_dir, folders):
        found.setdefault(os.stat(folder).st_dev, folder)
    return list(found.values())


def place_in(folder: Path) -> Path:
    """Its name there."""
    return folder / NAME


def write_bytes(path: Path) -> None:
    """SIZE bytes that are on the disk, and that no file system makes smaller. Raises OSError, and then there is none."""
    with suppress(FileNotFoundError):
        if path.stat().st_size == SIZE:
            return
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(os.urandom(SIZE))
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        remove(path)
        raise


def remove(path: Path) -> bool:
    """Whether it was there."""
    try:
        path.unlink()
    except OSError:
        return False
    return True
