"""What the loading machinery needs to know of anything it loads: a mapping part, a table as it is, or a file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import polars as pl

from etl.mapping.model import MemberSystem
from etl.mapping.outcome import TransformOutcome
from etl.names import backtick
from etl.target.columns import TargetColumn


class Chunk(Protocol):
    """Rows that are read together: a staged chunk, or a file."""

    @property
    def sha256(self) -> str:
        """Hash of the content: what a checkpoint knows the chunk by."""

    @property
    def rows(self) -> int:
        """How many rows."""

    def read(self, columns: tuple[str, ...]) -> Iterator[pl.DataFrame]:
        """The rows in their order, in frames of bounded size."""


class Transform(Protocol):
    """From rows as read to rows as loaded. Called from several threads."""

    @property
    def source_columns(self) -> tuple[str, ...]:
        """Columns to read."""

    @property
    def systems(self) -> tuple[str, ...]:
        """Systems whose members it looks up."""

    @property
    def member_columns(self) -> tuple[str, ...]:
        """Target columns that hold such members."""

    def source_keys(self, frame: pl.DataFrame) -> pl.Series:
        """The key of each row as text."""

    def apply(self, frame: pl.DataFrame) -> TransformOutcome:
        """Rows that can be loaded, and every other row with its reasons."""


@dataclass(frozen=True)
class LoadPart:
    """One thing to load. `keys` are the unique keys of the live table, the primary first; empty for a table without any.

    `source` names where the rows come from, for people. `fingerprint` changes with the meaning of `transform`. `system`: the
    members' system that these rows define.
    """

    name: str
    schema: str
    table: str
    source: str
    columns: tuple[TargetColumn, ...]
    keys: tuple[tuple[str, ...], ...]
    transform: Transform
    chunks: tuple[Chunk, ...]
    fingerprint: str
    personal: dict[str, str]
    system: MemberSystem | None = None

    @property
    def target(self) -> str:
        """Quoted name of the target table."""
        return f"{backtick(self.schema)}.{backtick(self.table)}"

    @property
    def column_names(self) -> tuple[str, ...]:
        """Target columns, in the order of the rows."""
        return tuple(column.name for column in self.columns)

    @property
    def rows(self) -> int:
        """All rows, settled or not."""
        return sum(chunk.rows for chunk in self.chunks)

    @property
    def chunk_sizes(self) -> tuple[tuple[str, int], ...]:
        """(hash, rows) of each chunk."""
        return tuple((chunk.sha256, chunk.rows) for chunk in self.chunks)
