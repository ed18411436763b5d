"""What sync made known between two runs: rows appended to one file, each batch on disk before anybody goes on.

A batch is its length (8 bytes) and an Arrow stream. A batch that was cut short by a kill was never committed to: it is left out,
and cut off before the next one is appended.
"""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Final

import polars as pl

from etl.personal_files import append_personal_file, read_personal_file, write_personal_file

FILE: Final = "records-matched.log"
LENGTH: Final = struct.Struct(">Q")


def append_rows(path: Path, rows: pl.DataFrame) -> None:
    """Add a batch; when this returns it is on disk. Raises ConfigurationError when the disk is full."""
    whole, _ = read_batches(path)
    append_personal_file(path, as_batch(rows), at=whole)


def restart_log(path: Path, rows: pl.DataFrame) -> None:
    """These rows alone, in place of what the file held."""
    with write_personal_file(path) as file:
        file.write(as_batch(rows))


def as_batch(rows: pl.DataFrame) -> bytes:
    """A batch as it stands in the file."""
    buffer = io.BytesIO()
    rows.write_ipc_stream(buffer)
    return LENGTH.pack(buffer.getbuffer().nbytes) + buffer.getvalue()


def read_rows(path: Path) -> list[pl.DataFrame]:
    """Every batch that is whole, the oldest first."""
    return read_batches(path)[1]


def read_batches(path: Path) -> tuple[int, list[pl.DataFrame]]:
    """Where the last whole batch ends, and the batches."""
    if not path.is_file():
        return 0, []
    with read_personal_file(path) as file:
        content = file.read()
    end, found = 0, []
    while end + LENGTH.size <= len(content):
        (length,) = LENGTH.unpack_from(content, end)
        begin = end + LENGTH.size
        if begin + length > len(content):
            break
        found.append(pl.read_ipc_stream(io.BytesIO(content[begin : begin + length])))
        end = begin + length
    return end, found
