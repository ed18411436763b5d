"""Mapping parts over the stage, as the loading machinery sees them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import polars as pl

from etl.load.crosswalk import Crosswalk
from etl.load.merged import leave_merged
from etl.mapping.compile import CompiledPart
from etl.mapping.outcome import TransformOutcome
from etl.stage.read import Stage, StagedChunk


@dataclass(frozen=True)
class StageChunk:
    """A staged chunk; its file is checked against the manifest's hash when it is read."""

    stage: Stage
    chunk: StagedChunk

    @property
    def sha256(self) -> str:
        """Hash of the file."""
        return self.chunk.sha256

    @property
    def rows(self) -> int:
        """Rows of the chunk."""
        return self.chunk.rows

    def read(self, columns: tuple[str, ...]) -> Iterator[pl.DataFrame]:
        """The rows, in frames of bounded size."""
        return self.stage.read(self.chunk, columns)


@dataclass(frozen=True)
class MappedTransform:
    """A compiled part together with what it looks up: member ids, and small tables beside its rows."""

    compiled: CompiledPart
    crosswalk: Crosswalk
    lookups: Mapping[str, pl.DataFrame]

    @property
    def source_columns(self) -> tuple[str, ...]:
        """Staged columns to read."""
        return self.compiled.source_columns

    @property
    def systems(self) -> tuple[str, ...]:
        """Systems whose members the rows refer to."""
        return tuple(dict.fromkeys(reference.system for reference in self.compiled.member_references))

    @property
    def member_columns(self) -> tuple[str, ...]:
        """Target columns that hold such members."""
        return tuple(reference.target_column for reference in self.compiled.member_references)

    def source_keys(self, frame: pl.DataFrame) -> pl.Series:
        """The key of each row as text."""
        return self.compiled.source_keys(frame)

    def apply(self, frame: pl.DataFrame) -> TransformOutcome:
        """Transform with member ids filled in. Members that deduplication made of several records are left out."""
        keys = self.compiled.member_keys(frame)
        members = {
            reference.target_column: self.crosswalk.lookup(reference.system, keys[reference.target_column])
            for reference in self.compiled.member_references
        }
        outcome = self.compiled.apply(frame, members, self.lookups)
        system = self.compiled.part.defines_member
        return outcome if system is None else leave_merged(outcome, self.crosswalk.merged(system.name))


def fingerprint_of(compiled: CompiledPart) -> str:
    """Changes when the part's meaning does: its columns, transforms, arguments and rules, but not where they are written."""
    part = compiled.part
    told = [
        part.target,
        str(part.source),
        *part.key,
        *part.target_key,
        *(
            f"{column.target}|{column.sources}|{column.transform}|{sorted(map(str, column.args.items()))}"
            f"|{column.required}|{column.default!r}|{column.on_bad}|{column.member}"
            for column in part.columns
        ),
        *(f"{rule.code}|{rule.column}|{rule.expression}" for rule in part.rejects),
        *(f"{lookup.name}|{lookup.table}|{lookup.on}" for lookup in part.lookups),
    ]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()
