"""What the load tests share: a part without a mapping, chunks in memory, and a target with both schemas."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from etl.load.batch import Batch, BatchWriter
from etl.load.part import Chunk, LoadPart
from etl.load.ranges import Rows
from etl.load.target_keys import read_unique_keys
from etl.mapping.outcome import FINDING_SCHEMA, TransformOutcome
from etl.progress import Silent
from etl.settings import TargetSettings
from etl.target.bulk import BulkConnection
from etl.target.columns import read_target_columns


@dataclass(frozen=True)
class MemoryChunk:
    """A chunk that is a frame."""

    frame: pl.DataFrame
    name: str = "chunk"

    @property
    def sha256(self) -> str:
        """A hash of its name, for tests to choose."""
        return hashlib.sha256(self.name.encode()).hexdigest()

    @property
    def rows(self) -> int:
        """Rows of the frame."""
        return self.frame.height

    def read(self, columns: tuple[str, ...]) -> Iterator[pl.DataFrame]:
        """In slices of 1,000."""
        yield from self.frame.select(columns).iter_slices(1_000)


@dataclass(frozen=True)
class AsItIs:
    """A transform that lets everything through."""

    columns: tuple[str, ...]
    key: str

    @property
    def source_columns(self) -> tuple[str, ...]:
        """All."""
        return self.columns

    @property
    def systems(self) -> tuple[str, ...]:
        """None."""
        return ()

    @property
    def member_columns(self) -> tuple[str, ...]:
        """None."""
        return ()

    def source_keys(self, frame: pl.DataFrame) -> pl.Series:
        """The key column as text."""
        return frame[self.key].cast(pl.String)

    def apply(self, frame: pl.DataFrame) -> TransformOutcome:
        """Nothing is wrong with any row."""
        return TransformOutcome(
            frame.select(self.columns), pl.DataFrame(schema=FINDING_SCHEMA), pl.DataFrame(schema=FINDING_SCHEMA)
        )


def part_for(
    connection: BulkConnection, settings: TargetSettings, table: str, columns: Sequence[str], chunks: Sequence[Chunk]
) -> LoadPart:
    """A part that loads `columns` of a live table as they are."""
    live = {column.name: column for column in read_target_columns(connection, settings.schema_name)[table]}
    return LoadPart(
        name=f"{table}/test",
        schema=settings.schema_name,
        table=table,
        source=f"test.dbo.{table}",
        columns=tuple(live[name] for name in columns),
        keys=read_unique_keys(connection, settings.schema_name).get(table, ()),
        transform=AsItIs(tuple(columns), columns[0]),
        chunks=tuple(chunks),
        fingerprint="f",
        personal={},
    )


def writer_for(connection: BulkConnection, settings: TargetSettings) -> BatchWriter:
    """A writer of run 1."""
    return BatchWriter(connection, settings.schema_name, settings.state_schema, 1, 3, Silent())


def batch_of(part: LoadPart, rows: pl.DataFrame, sha: str = "a" * 64, first: int = 0) -> Batch:
    """A batch of rows as they are."""
    outcome = part.transform.apply(rows)
    return Batch(part, sha, Rows(first, first + rows.height), outcome, part.transform.source_keys(rows))
