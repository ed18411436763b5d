"""A file that readers find whole, old or new, whatever happens while it is written: a kill, a full disk, a power cut.

Applications of other users read what is published, and it holds nothing personal: so this is not the door for member data.
"""

from __future__ import annotations

import errno
import glob
import os
import secrets
import time
from pathlib import Path
from typing import Final

from etl.errors import ConfigurationError

READABLE: Final = 0o644
SECOND_NS: Final = 1_000_000_000
LEFTOVER_S: Final = 60.0
"""Nobody writes a file of this size for so long."""


class PublishError(ConfigurationError):
    """Something of the map could not be put where it is read; what was there is still there."""


def replace_file(path: Path, content: bytes, after_ns: int = 0) -> None:
    """Put `content` at `path`, on disk when this returns. The rights of the file that was there are kept, and its time grows by
    a whole second at least: some readers look at seconds only. after_ns: a time in nanoseconds that the new one has to be past
    too, since a reader may remember a file that has vanished. A link is followed. Raises PublishError; then the old file stands.
    """
    path = Path(os.path.realpath(path))
    forget_leftovers(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.partial")
    try:
        try:
            mode, before_ns = what_stands(path)
            write_whole(partial, content, mode)
            os.utime(partial, ns=(time.time_ns(), past(max(before_ns, after_ns))))
            os.replace(partial, path)
        except OSError:
            remove(partial)
            raise
        sync_folder(path.parent)
    except OSError as error:
        raise refused(error, path) from error


def past(time_ns: int) -> int:
    """A time that readers take for later, whatever part of it they look at: now, or the next second where that is not later."""
    return max(time.time_ns(), (time_ns // SECOND_NS + 1) * SECOND_NS)


def forget_leftovers(path: Path) -> None:
    """Take away what a process that was killed while it wrote `path` has left beside it."""
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):
        try:
            if time.time() - os.stat(leftover).st_mtime > LEFTOVER_S:
                os.unlink(leftover)
        except OSError:
            continue  # it harms nobody; what keeps this one from being removed will be told when the file is written


def what_stands(path: Path) -> tuple[int, int]:
    """The rights and the time in nanoseconds of the file at `path`, or those of a new one."""
    try:
        before = os.stat(path)
    except FileNotFoundError:
        return READABLE, 0
    return before.st_mode & 0o777, before.st_mtime_ns


def write_whole(path: Path, content: bytes, mode: int) -> None:
    """A new file, complete and on disk."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        os.fchmod(descriptor, mode)  # whatever the mask of this process takes away
        left = memoryview(content)
        while left:
            left = left[os.write(descriptor, left) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make the rename survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(partial: Path) -> None:
    """Leave nothing behind, as far as it is possible: the first failure is the one to tell."""
    try:
        os.unlink(partial)
    except OSError:
        return


def refused(error: OSError, path: Path) -> PublishError:
    """What a failure of the file system means here: applications go on with the map they have."""
    still = "Applications keep to the map they have."
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT | errno.EFBIG:
            return PublishError(f"The disk is full: {path} was not written. {still}", "Free some room; publishing goes on then.")
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return PublishError(
                f"No permission to write {path}. {still}", f"Let this user write in {path.parent}: files are renamed into it."
            )
        case errno.ENOENT | errno.ENOTDIR:
            return PublishError(
                f"The folder {path.parent} does not exist. {still}", "Make it, or correct [publish] in release.toml."
            )
        case errno.EBUSY | errno.EXDEV:
            return PublishError(
                f"{path} cannot be replaced: it is mounted by itself. {still}",
                f"Mount its folder {path.parent}, not the one file.",
            )
        case errno.EISDIR | errno.ENOTEMPTY:
            return PublishError(f"{path} is a folder. {still}", "Correct [publish] in release.toml: it has to be a file's name.")
        case _:
            return PublishError(f"{path}: {error.strerror or 'input or output error'}. {still}", "Check the disk that holds it.")
