"""Staged rows of the parts that define members, standardised: the values a person is known by, as they were typed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from etl.dedupe.kept import ROW
from etl.dedupe.model import RECORD, ComparisonSet
from etl.dedupe.standardise import standardise
from etl.dedupe.standardised import Standardised
from etl.errors import RefusedError
from etl.load.prepare import read_whole
from etl.mapping.column_plan import system_key
from etl.mapping.compile import CompiledPart, compile_part
from etl.mapping.model import ColumnMapping, MemberSystem, Part
from etl.mapping.model import Mapping as DataMapping
from etl.mapping.transforms.base import Input
from etl.mapping.transforms.registry import TRANSFORMS
from etl.progress import Progress
from etl.settings import Settings
from etl.stage.read import Stage, StagedChunk, StagedTable, open_stage
from etl.target.columns import TargetColumn

STANDARDISE: Final = "standardise"
# Kinds that read whatever was typed better than what a transform leaves of it: a masked identity card, a number Excel spoiled.
READ_AS_TYPED: Final = frozenset({"chinese_name", "phone", "chinese_id_card", "id", "email", "chinese_address"})
CHANGED_AT: Final = ("legacy_updated_at", "updated_at")
SLICE: Final = 200_000


@dataclass(frozen=True)
class PartReader:
    """A mapping part that defines members, over its staged table. `compiled`: None while the target's columns are not known."""

    part: Part
    system: MemberSystem
    table: StagedTable
    compiled: CompiledPart | None
    lookups: Mapping[str, pl.DataFrame]
    columns: Sequence[str]
    comparison_set: ComparisonSet

    def standardise(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Records without a number of staged rows (`columns` of them), with the hash of each row."""
        made = standardise_rows(rows, self.part, self.system, self.comparison_set, self.compiled, self.lookups)
        return made.with_columns(rows.select(self.columns).hash_rows().alias(ROW))


@dataclass(frozen=True)
class StagedMembers:
    """Records without a number, a frame for each chunk of the stage, and the content hashes of the chunks, by part."""

    frames: list[pl.DataFrame]
    chunks: Mapping[str, Sequence[str]]


def read_staged_members(
    settings: Settings,
    mapping: DataMapping,
    comparison_set: ComparisonSet,
    targets: Mapping[str, Sequence[TargetColumn]] | None,
    progress: Progress,
) -> StagedMembers:
    """Everybody who is staged.

    A chunk that was standardised before by the same rules is taken from where it was kept.
    """
    kept = Standardised(settings, mapping, comparison_set, None if targets is None else dict(targets))
    with open_stage(settings) as stage:
        readers = open_readers(stage, mapping, comparison_set, targets)
        progress.start(STANDARDISE, sum(reader.table.rows for reader in readers))
        frames = []
        for reader in readers:
            for chunk in reader.table.chunks:
                frames.append(read_chunk(stage, reader, chunk, kept))
                progress.advance(STANDARDISE, frames[-1].height)
    kept.forget_others()
    progress.finish(STANDARDISE)
    return StagedMembers(frames, chunks_of(readers))


def read_chunk(stage: Stage, reader: PartReader, chunk: StagedChunk, kept: Standardised) -> pl.DataFrame:
    """One chunk, as it was kept or standardised now."""
    done = kept.read(reader.part, chunk)
    if done is None:
        done = pl.concat(reader.standardise(rows) for rows in stage.read(chunk, reader.columns, rows=SLICE))
        kept.keep(reader.part, chunk, done)
    return done


def chunks_of(readers: Iterable[PartReader]) -> dict[str, list[str]]:
    """The content hashes of the chunks of each part."""
    return {reader.part.name: [chunk.sha256 for chunk in reader.table.chunks] for reader in readers}


def open_readers(
    stage: Stage, mapping: DataMapping, comparison_set: ComparisonSet, targets: Mapping[str, Sequence[TargetColumn]] | None
) -> tuple[PartReader, ...]:
    """A reader for each part that defines members. Raises RefusedError when there is none, or one is not staged whole."""
    parts = [(part, part.defines_member) for part in mapping.parts if part.defines_member is not None]
    if not parts:
        raise RefusedError("No part of the mapping defines members.", 'Write members = "..." into the parts that do.')
    return tuple(open_reader(stage, part, system, comparison_set, targets) for part, system in parts)


def open_reader(
    stage: Stage,
    part: Part,
    system: MemberSystem,
    comparison_set: ComparisonSet,
    targets: Mapping[str, Sequence[TargetColumn]] | None,
) -> PartReader:
    """A reader for one of them."""
    table = whole_table(stage, part)
    columns = None if targets is None else targets.get(part.target)
    compiled = None if columns is None else compile_members(stage, part, table, columns)
    lookups = {} if compiled is None else read_lookups(stage, compiled)
    wanted = needed_columns(part, system, table, comparison_set, compiled)
    return PartReader(part, system, table, compiled, lookups, wanted, comparison_set)


def whole_table(stage: Stage, part: Part) -> StagedTable:
    """The staged table of a part. Raises RefusedError unless it is staged whole."""
    staged = {str(table.name): table for table in stage.tables()}
    table = staged.get(str(part.source))
    if table is None or not table.complete:
        state = "not staged" if table is None else "not staged to its end"
        raise RefusedError(f"{part.source} is {state}.", f"Run: membershift stage --table {part.source}")
    return table


def compile_members(stage: Stage, part: Part, table: StagedTable, columns: Sequence[TargetColumn]) -> CompiledPart:
    """The part as load runs it, to know which rows it rejects."""
    schemas = {lookup.name: stage.table(lookup.table).schema for lookup in part.lookups}
    return compile_part(part, table.schema, columns, schemas)


def read_lookups(stage: Stage, compiled: CompiledPart) -> dict[str, pl.DataFrame]:
    """The small tables that the part reads beside its rows."""
    return {
        lookup.name: read_whole(stage, stage.table(lookup.table), compiled.lookup_columns[lookup.name])
        for lookup in compiled.part.lookups
    }


def needed_columns(
    part: Part, system: MemberSystem, table: StagedTable, comparison_set: ComparisonSet, compiled: CompiledPart | None
) -> list[str]:
    """Staged columns to read, in the table's order."""
    used = {system.key, *part.key, *(compiled.source_columns if compiled is not None else ())}
    wanted = {system.since, *CHANGED_AT, *(field.source for field in comparison_set.fields)}
    used |= {source for column in part.columns if column.target in wanted for source in column.sources}
    return [name for name in table.schema.names if name in used]


def standardise_rows(
    frame: pl.DataFrame,
    part: Part,
    system: MemberSystem,
    comparison_set: ComparisonSet,
    compiled: CompiledPart | None,
    lookups: Mapping[str, pl.DataFrame],
) -> pl.DataFrame:
    """One slice: who each record is, and its standardised fields."""
    mapped = {column.target: column for column in part.columns}
    changed = next((name for name in CHANGED_AT if name in mapped), None)
    head = frame.select(
        system=pl.lit(system.name),
        source_id=system_key(system, frame.schema[system.key]),
        accepted=accepted_rows(frame, compiled, lookups),
        registered_at=moment(frame, mapped[system.since]),
        updated_at=moment(frame, mapped[changed]) if changed is not None else pl.lit(None, pl.Datetime("us")),
    ).cast({name: kind for name, kind in RECORD.items() if name != "record"})
    values = {
        field.source: frame.select(typed_or_read(frame, mapped[field.source], field.kind)).to_series()
        for field in comparison_set.fields
        if field.source in mapped
    }
    return pl.concat([head, standardise(values, frame.height, comparison_set.fields)], how="horizontal")


def accepted_rows(frame: pl.DataFrame, compiled: CompiledPart | None, lookups: Mapping[str, pl.DataFrame]) -> pl.Series:
    """Which rows load would take. The member a row refers to as its own id is not known yet, and stands in as any id."""
    everyone = pl.Series([True], dtype=pl.Boolean).new_from_index(0, frame.height)
    if compiled is None:
        return everyone
    any_member = pl.Series([1], dtype=pl.Int64).new_from_index(0, frame.height)
    members = {reference.target_column: any_member for reference in compiled.member_references}
    kept = compiled.apply(frame, members, lookups).kept
    return everyone if kept is None else kept


def moment(frame: pl.DataFrame, column: ColumnMapping) -> pl.Expr:
    """A time of the record, as the mapping reads it."""
    return read_value(frame, column).cast(pl.Datetime("us"))


def typed_or_read(frame: pl.DataFrame, column: ColumnMapping, kind: str) -> pl.Expr:
    """A field's value: as typed where its kind reads that, otherwise as the mapping's transform gives it."""
    as_typed = kind in READ_AS_TYPED and len(column.sources) == 1 and column.sources[0] in frame.columns
    return pl.col(column.sources[0]) if as_typed else read_value(frame, column)


def read_value(frame: pl.DataFrame, column: ColumnMapping) -> pl.Expr:
    """What the mapping's transform makes of the column's sources."""
    inputs = [Input(pl.col(source), frame.schema[source]) for source in column.sources]
    return TRANSFORMS[column.transform].build(inputs, column.args).alias(column.target)
