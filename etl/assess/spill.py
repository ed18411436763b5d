"""Keys of many rows, gathered while a table is read and grouped afterwards in bounded memory.

Only hashes with a seed of this run are kept, never the values, so that what lies on disk tells nothing about a person.
"""

from __future__ import annotations

import io
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from uuid import uuid4

import polars as pl

from etl.personal_files import read_personal_file, write_personal_file

ROWS_IN_MEMORY: Final = 250_000
"""Rows of one gathering kept in memory before they go to disk, and rows grouped at a time."""


class KeySpill:
    """Frames under a name, each with a column `hash` (UInt64). A context manager: leaving it removes what is on disk."""

    def __init__(self, folder: Path, rows_in_memory: int = ROWS_IN_MEMORY) -> None:
        self.folder = folder / f"assess-{uuid4().hex[:12]}"
        self.rows_in_memory = rows_in_memory
        self.seed = secrets.randbits(63)
        self.frames: dict[str, list[pl.DataFrame]] = {}
        self.waiting: dict[str, int] = {}
        self.rows: dict[str, int] = {}
        self.files: dict[str, list[Path]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def hash_of(self, values: pl.DataFrame) -> pl.Series:
        """One hash for each row, equal for equal rows. Among ten million different rows two meet with odds of 1 to 400,000."""
        return values.hash_rows(seed=self.seed).alias("hash")

    def add(self, name: str, frame: pl.DataFrame) -> None:
        """Gather rows under `name`. Raises ConfigurationError when the disk is full."""
        if frame.is_empty():
            return
        self.frames.setdefault(name, []).append(frame)
        self.rows[name] = self.rows.get(name, 0) + frame.height
        self.waiting[name] = self.waiting.get(name, 0) + frame.height
        if self.waiting[name] >= self.rows_in_memory:
            self.write(name)

    def write(self, name: str) -> None:
        """Move what waits in memory to disk."""
        files = self.files.setdefault(name, [])
        path = self.folder / f"{len(self.files):03d}-{uuid4().hex}.parquet"
        buffer = io.BytesIO()  # polars does not tell a full disk from other trouble
        pl.concat(self.frames.pop(name)).write_parquet(buffer, compression="lz4")
        with write_personal_file(path) as file:
            file.write(buffer.getbuffer())
        files.append(path)
        self.waiting[name] = 0

    def partitions(self, name: str) -> Iterator[pl.DataFrame]:
        """All rows under `name`, in frames such that equal hashes stand in one frame."""
        parts = max(1, -(-self.rows.get(name, 0) // self.rows_in_memory))
        for part in range(parts):
            mine = pl.col("hash") % parts == part
            frames = [frame.filter(mine) for frame in self.frames.get(name, [])]
            for path in self.files.get(name, []):
                with read_personal_file(path) as file:
                    frames.append(pl.read_parquet(file).filter(mine))
            if frames:
                yield pl.concat(frames)
