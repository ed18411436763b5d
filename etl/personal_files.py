"""The one door through which member data goes to and from disk.

Stage, exports, rejects and snapshots are written and read here, so that encryption at rest with key rotation is one change in
one module. Files are for their owner only, written beside their final name and moved there when complete and on disk: a reader
never sees half a file.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from etl.errors import ConfigurationError

if TYPE_CHECKING:
    from pyarrow import MemoryMappedFile


def make_private_folder(folder: Path) -> Path:
    """Create `folder` and its parents for the owner only, and return it."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise disk_error(error, folder) from error
    return folder


@contextmanager
def write_personal_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file to write; on success it stands at `path`, complete and synced, and on any failure nothing does.

    Raises ConfigurationError when the disk is full or the folder cannot be written.
    """
    make_private_folder(path.parent)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
        sync_folder(path.parent)
    except OSError as error:
        partial.unlink(missing_ok=True)
        if error.errno is None:  # not from the file system: a library's own error that happens to be an OSError
            raise
        raise disk_error(error, path) from error
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


@contextmanager
def read_personal_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file that `write_personal_file` wrote. Raises ConfigurationError when it cannot be read."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise disk_error(error, path) from error
    with file:
        yield file


def map_personal_file(path: Path) -> MemoryMappedFile:
    """The same, mapped into memory for random access: only the pages that are looked at are read."""
    import pyarrow as pa

    try:
        return pa.memory_map(str(path))
    except OSError as error:
        raise disk_error(error, path) from error


def append_personal_file(path: Path, content: bytes, *, at: int) -> None:
    """Write `content` from place `at` on, where the whole part of the file ends; on disk when this returns.

    Raises ConfigurationError when the disk is full.
    """
    make_private_folder(path.parent)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "r+b") as file:
            file.truncate(at)
            file.seek(at)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise disk_error(error, path) from error


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def disk_error(error: OSError, path: Path) -> ConfigurationError:
    """What a failure of the file system means to the person at the keyboard."""
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return ConfigurationError(
                f"The disk is full: {path} could not be written.",
                "Free some space or set [state] dir to a larger disk, then run the same command again; finished work is kept.",
            )
        case errno.EFBIG:
            return ConfigurationError(
                f"{path} may not grow any further: the limit of this process or of the file system is reached.",
                "Raise the limit (`ulimit -f`), or set [state] dir to another file system; then run the same command again.",
            )
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return ConfigurationError(
                f"No permission for {path}.", "Run as the user who owns the state folder, or set [state] dir to your own."
            )
        case errno.EIO:
            return ConfigurationError(f"The disk failed while {path} was used.", "Check the disk (`dmesg`) before you go on.")
        case errno.ENOENT:
            return ConfigurationError(f"{path} does not exist.", "Run the step that writes it first, or check the path.")
        case _:
            return ConfigurationError(f"{path}: {error.strerror}.", "Check the disk that holds the state folder.")
