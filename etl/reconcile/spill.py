"""Rows that wait for their counterpart longer than memory allows, on disk, apart by a hash of their key.

One file a side and a time of spilling, through the one door for personal data. A file holds one Arrow batch for each
partition, so that a partition is read back from every file without reading the others. The files are removed when the
comparison ends, however it ends.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self
from uuid import uuid4

import polars as pl
import psutil
import pyarrow as pa

from etl.personal_files import make_private_folder, read_personal_file, write_personal_file

Side = Literal["expected", "actual"]

ROWS_PER_PARTITION: Final = 50_000
LEAST_PARTITIONS: Final = 64
MOST_PARTITIONS: Final = 2_048


PREFIX: Final = "compare-"
"""Name of a comparison's folder: this, its process and a number."""


def partitions_for(rows: int) -> int:
    """How many partitions keep each of them small, if all of `rows` rows had to wait.

    >>> partitions_for(1_000), partitions_for(20_000_000)
    (64, 400)
    """
    return min(MOST_PARTITIONS, max(LEAST_PARTITIONS, rows // ROWS_PER_PARTITION))


def remove_leftovers(folder: Path) -> None:
    """Remove what comparisons left that were killed: their process is gone."""
    for left in folder.glob(f"{PREFIX}*"):
        pid = left.name.removeprefix(PREFIX).split("-")[0]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(left, ignore_errors=True)


def partition_of(key: pl.DataFrame, partitions: int) -> pl.Series:
    """Which partition each key belongs to: the same for equal keys of equal types, within one process."""
    return key.hash_rows(seed=20080901) % partitions


class Spill:
    """A private folder of partitions. A context manager: leaving it removes the folder.

    `bytes_written` is what went to disk so far.
    """

    def __init__(self, folder: Path, key: Sequence[str], partitions: int = LEAST_PARTITIONS) -> None:
        remove_leftovers(folder)
        self.folder = folder / f"{PREFIX}{os.getpid()}-{uuid4().hex[:12]}"
        self.key = list(key)
        self.partitions = partitions
        self.bytes_written = 0
        self.files: dict[Side, list[Path]] = {"expected": [], "actual": []}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def used(self) -> bool:
        """Whether anything was written."""
        return self.bytes_written > 0

    def write(self, side: Side, rows: pl.DataFrame) -> None:
        """Put rows aside. Raises ConfigurationError when the disk is full."""
        if rows.is_empty():
            return
        make_private_folder(self.folder)
        path = self.folder / f"{side}-{len(self.files[side]):05d}.arrow"
        parts = rows.with_columns(partition_of(rows.select(self.key), self.partitions).alias("__partition")).partition_by(
            "__partition", as_dict=True, include_key=False
        )
        empty = rows.clear()
        schema = empty.to_arrow().schema
        with write_personal_file(path) as file, pa.ipc.new_file(file, schema) as writer:
            for number in range(self.partitions):
                part = parts.pop((number,), empty).to_arrow().combine_chunks()
                batches = part.to_batches()
                writer.write_batch(batches[0] if batches else pa.RecordBatch.from_pylist([], schema=schema))
        self.files[side].append(path)
        self.bytes_written += path.stat().st_size

    def read(self, side: Side, partition: int) -> pl.DataFrame | None:
        """All rows of a side put aside in one partition; None when that side put nothing aside in any."""
        frames: list[pl.DataFrame] = []
        for path in self.files[side]:
            with read_personal_file(path) as file:
                frames.append(pl.DataFrame(pl.from_arrow(pa.ipc.open_file(file).get_batch(partition))))
        return pl.concat(frames, how="vertical") if frames else None
