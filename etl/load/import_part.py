"""A file as the loading machinery sees it: one chunk of cells, and a transform that reads them before the mapping does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import polars as pl

from etl.load.crosswalk import Crosswalk
from etl.load.import_parse import Parsed, parse_cells
from etl.load.import_profile import Profile
from etl.load.import_read import PROBLEM, ROW, ReadFile
from etl.load.merged import leave_merged
from etl.mapping.column_plan import system_key
from etl.mapping.compile import CompiledPart
from etl.mapping.model import MemberSystem
from etl.mapping.outcome import FINDING_SCHEMA, TransformOutcome


@dataclass(frozen=True)
class FileChunk:
    """All rows of a file. Its hash is that of the file, so the same file is known again."""

    file: ReadFile

    @property
    def sha256(self) -> str:
        """Hash of the file's bytes."""
        return self.file.sha256

    @property
    def rows(self) -> int:
        """Records of the file, unreadable ones included."""
        return self.file.rows

    def read(self, columns: tuple[str, ...]) -> Iterator[pl.DataFrame]:
        """The cells of these columns."""
        for frame in self.file.frames():
            yield frame.select(columns)


@dataclass(frozen=True)
class FileTransform:
    """Cells to typed columns to target rows. A record that cannot be read is rejected under its key where it has one, else under
    its number in the file."""

    file: ReadFile
    profile: Profile
    compiled: CompiledPart
    crosswalk: Crosswalk

    @property
    def source_columns(self) -> tuple[str, ...]:
        """All cells."""
        return (ROW, PROBLEM, *(f"c{place}" for place in range(len(self.file.header))))

    @property
    def systems(self) -> tuple[str, ...]:
        """Systems whose members the rows refer to."""
        return tuple(dict.fromkeys(reference.system for reference in self.compiled.member_references))

    @property
    def member_columns(self) -> tuple[str, ...]:
        """Target columns that hold such members."""
        return tuple(reference.target_column for reference in self.compiled.member_references)

    def source_keys(self, frame: pl.DataFrame) -> pl.Series:
        """Keys of all records."""
        return self.keys_of(frame, parse_cells(frame, self.file, self.profile))

    def apply(self, frame: pl.DataFrame) -> TransformOutcome:
        """Read the cells, then transform the rows that could be read."""
        parsed = parse_cells(frame, self.file, self.profile)
        keys = self.keys_of(frame, parsed)
        unread = renamed(parsed.findings, frame[ROW], keys)
        good = parsed.rows.filter(~parsed.bad)
        references = self.compiled.member_keys(good)
        members = {
            reference.target_column: self.crosswalk.lookup(reference.system, references[reference.target_column])
            for reference in self.compiled.member_references
        }
        outcome = self.compiled.apply(good, members, {})
        system = self.compiled.part.defines_member
        if system is not None:
            outcome = leave_merged(outcome, self.crosswalk.merged(system.name))
        return replace(outcome, rejects=pl.concat([unread, outcome.rejects]), kept=kept_of_all(parsed.bad, outcome.kept))

    def keys_of(self, frame: pl.DataFrame, parsed: Parsed) -> pl.Series:
        """The key of each record: of the mapping where all its columns could be read, else its place in the file."""
        place = pl.select(pl.format("{} record {}", pl.lit(self.file.name), frame[ROW])).to_series()
        complete = parsed.rows.select(
            pl.all_horizontal(pl.col(name).is_not_null() for name in self.compiled.part.key)
        ).to_series()
        usable = complete & frame[PROBLEM].is_null()
        return pl.select(pl.when(usable).then(self.compiled.source_keys(parsed.rows)).otherwise(place)).to_series()

    def member_ids(self, system: MemberSystem) -> Iterator[pl.Series]:
        """The legacy ids of the members that the file holds, as the crosswalk writes them; unreadable records left out."""
        for frame in self.file.frames():
            parsed = parse_cells(frame, self.file, self.profile)
            rows = parsed.rows.filter(~parsed.bad)
            yield rows.select(system_key(system, rows.schema[system.key])).to_series()


def renamed(findings: pl.DataFrame, records: pl.Series, keys: pl.Series) -> pl.DataFrame:
    """Findings under keys in place of record numbers."""
    if findings.is_empty():
        return findings
    names = pl.DataFrame({"source_key": records.cast(pl.String), "key": keys})
    joined = findings.join(names, on="source_key", how="left", maintain_order="left")
    return joined.with_columns(source_key=pl.col("key")).select(list(FINDING_SCHEMA))


def kept_of_all(bad: pl.Series, kept: pl.Series | None) -> pl.Series | None:
    """Which of all records are kept, from which could be read and which of those the mapping keeps."""
    if not bad.any():
        return kept
    if kept is None:
        return ~bad
    places = pl.arange(0, len(bad), eager=True).filter(~bad).filter(kept)
    return pl.arange(0, len(bad), eager=True).is_in(places.implode())
