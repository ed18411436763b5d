"""Reading the stage: which tables are there, whether they are whole, and their rows in slices of bounded size."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from etl.errors import RefusedError, UsageError
from etl.names import SourceTable
from etl.personal_files import read_personal_file
from etl.settings import Settings
from etl.stage.manifest import Manifest, TableEntry, open_manifest

SLICE_ROWS: Final = 50_000
_BLOCK: Final = 1 << 20
NOTHING_HELD: Final[Mapping[str, pl.DataFrame]] = {}


@dataclass(frozen=True)
class StagedChunk:
    """A finished chunk: its Parquet file, and the keys it covers as T-SQL literals (above `low`, up to `high`)."""

    index: int
    path: Path
    rows: int
    sha256: str
    low: str | None
    high: str | None


@dataclass(frozen=True)
class StagedTable:
    """A table of the stage; `chunks` are those that are done. `rows` is their sum."""

    name: SourceTable
    rows: int
    complete: bool
    ct_version: int | None
    row_version: int | None
    schema: pa.Schema
    schema_hash: str
    key: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]
    changed: bool | None
    chunks: tuple[StagedChunk, ...]


class Stage:
    """The stage of one configuration, for reading. Chunks that are not done are never seen."""

    def __init__(self, folder: Path, manifest: Manifest, held: Mapping[str, pl.DataFrame] = NOTHING_HELD) -> None:
        self._folder = folder
        self._manifest = manifest
        self._held = held

    def tables(self) -> list[StagedTable]:
        """Every table begun, by name."""
        return [self._describe(entry) for entry in self._manifest.tables()]

    def table(self, name: SourceTable) -> StagedTable:
        """One table. Raises UsageError when it was never staged."""
        entry = self._manifest.table(name)
        if entry is None:
            raise UsageError(f"{name} is not staged.", f"Run: membershift stage --table {name}")
        return self._describe(entry)

    def read(
        self, chunk: StagedChunk, columns: Sequence[str] | None = None, *, rows: int = SLICE_ROWS, verify: bool = True
    ) -> Iterator[pl.DataFrame]:
        """The chunk's rows in slices of at most `rows`, only `columns` when given. An empty chunk gives one empty frame.

        Raises RefusedError when the file is not the one that was staged, before any row is given out.
        """
        for batch in self.read_arrow(chunk, columns, rows=rows, verify=verify):
            frame = pl.from_arrow(batch)
            assert isinstance(frame, pl.DataFrame)
            yield frame

    def read_chunk(self, chunk: StagedChunk, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """The whole chunk in one frame, read by all cores: for chunks that are wanted whole, and soon given up.

        Raises RefusedError when the file is not the one that was staged.
        """
        held = self._held.get(chunk.sha256)
        if held is not None and columns is not None and set(columns) <= set(held.columns):
            return held.select(columns)
        with read_personal_file(chunk.path) as file:
            refuse_other_file(chunk, hash_of(file))
            file.seek(0)
            return pl.read_parquet(file, columns=None if columns is None else list(columns))

    def read_arrow(
        self, chunk: StagedChunk, columns: Sequence[str] | None = None, *, rows: int = SLICE_ROWS, verify: bool = True
    ) -> Iterator[pa.RecordBatch]:
        """The same as Arrow record batches."""
        with read_personal_file(chunk.path) as file:
            if verify:
                refuse_other_file(chunk, hash_of(file))
                file.seek(0)
            parquet = pq.ParquetFile(file, pre_buffer=False)
            names = None if columns is None else list(columns)
            if parquet.metadata.num_rows == 0:
                schema = parquet.read(columns=names).schema
                yield pa.RecordBatch.from_arrays([pa.nulls(0, kind) for kind in schema.types], schema=schema)
                return
            yield from parquet.iter_batches(batch_size=rows, columns=names, use_threads=False)

    def holding(self, frames: Mapping[str, pl.DataFrame]) -> Stage:
        """The same stage, of which some chunks were read already: frames by content hash, for `read_chunk`."""
        return Stage(self._folder, self._manifest, frames)

    def _describe(self, entry: TableEntry) -> StagedTable:
        chunks = self._manifest.chunks(entry.name)
        done = tuple(
            StagedChunk(
                index=chunk.range.index,
                path=self._folder / chunk.file,
                rows=chunk.rows or 0,
                sha256=chunk.sha256,
                low=chunk.range.low,
                high=chunk.range.high,
            )
            for chunk in chunks
            if chunk.sha256 is not None
        )
        return StagedTable(
            name=entry.name,
            rows=sum(chunk.rows for chunk in done),
            complete=entry.finished_at is not None and len(done) == len(chunks),
            ct_version=entry.ct_version,
            row_version=entry.row_version,
            schema=entry.schema,
            schema_hash=entry.schema_hash,
            key=entry.key,
            left_out=entry.left_out,
            changed=entry.changed,
            chunks=done,
        )


@contextmanager
def open_stage(settings: Settings) -> Iterator[Stage]:
    """Open the stage for reading. Raises ConfigurationError when nothing was staged."""
    with open_manifest(settings.stage_dir, read_only=True) as manifest:
        yield Stage(settings.stage_dir, manifest)


def refuse_other_file(chunk: StagedChunk, sha256: str) -> None:
    """Raise RefusedError unless the file is, byte for byte, the one that was staged."""
    if sha256 != chunk.sha256:
        table = chunk.path.parent.name
        raise RefusedError(
            f"{chunk.path} is not the file that was staged: its content hash differs.",
            f"The disk or somebody changed it. Take the table again: membershift stage --restart {table}",
        )


def hash_of(file: BinaryIO) -> str:
    """SHA-256 of the rest of `file`, in hexadecimal."""
    digest = hashlib.sha256()
    while block := file.read(_BLOCK):
        digest.update(block)
    return digest.hexdigest()
