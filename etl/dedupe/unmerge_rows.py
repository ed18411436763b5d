"""What belongs to which record: the stage says which legacy id each row of a dependent table names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

import polars as pl

from etl.dedupe.repoint import member_columns
from etl.load.prepare import Live, read_whole
from etl.load.sql import name_list, places, sql
from etl.mapping.compile import CompiledPart, MemberReference, compile_part
from etl.mapping.model import Mapping as MappingModel
from etl.mapping.model import Part
from etl.progress import Progress
from etl.stage.read import Stage, StagedTable
from etl.target.bulk import BulkConnection

IDS_PER_QUERY: Final = 500
MEMBER: Final = "·member"
TO: Final = "·to"


@dataclass(frozen=True)
class Dependent:
    """A column that refers to members, with its table's key. `rows`: the key, MEMBER (the member now) and TO (the group the row
    goes to, by number within the member)."""

    table: str
    column: str
    key: tuple[str, ...]
    rows: pl.DataFrame


def find_dependents(
    mapping: MappingModel, stage: Stage, live: Live, records: pl.DataFrame, progress: Progress
) -> tuple[Dependent, ...]:
    """Everything staged that refers to `records` (system, source_id, MEMBER, TO), in one pass over the stage."""
    staged = {str(table.name): table for table in stage.tables() if table.complete}
    columns = [(table, column) for table, column in member_columns(mapping) if table in live.columns]
    found: dict[tuple[str, str], list[pl.DataFrame]] = {place: [no_rows(mapping, live, place[0])] for place in columns}
    for part in mapping.parts:
        if part.defines_member is not None or part.target not in {table for table, _ in columns} or not readable(part, staged):
            continue
        compiled = key_columns(compile_over(part, staged, live))
        progress.start(part.name, staged[str(part.source)].rows)
        for column, rows in referring_rows(compiled, part, staged, stage, records, progress):
            empty = found[part.target, column][0]
            found[part.target, column].append(rows.select(pl.col(name).cast(dtype) for name, dtype in empty.schema.items()))
        progress.finish(part.name)
    return tuple(
        Dependent(table, column, keys_of(mapping, table), pl.concat(frames).unique(maintain_order=True))
        for (table, column), frames in found.items()
    )


def no_rows(mapping: MappingModel, live: Live, table: str) -> pl.DataFrame:
    """No rows of a table: its key, MEMBER and TO."""
    types = {column.name: column.polars_type() for column in live.columns[table]}
    return pl.DataFrame(schema={**{name: types[name] for name in keys_of(mapping, table)}, MEMBER: pl.Int64, TO: pl.Int64})


def readable(part: Part, staged: Mapping[str, StagedTable]) -> bool:
    """Whether all that a part reads is staged."""
    return {str(part.source), *(str(lookup.table) for lookup in part.lookups)} <= set(staged)


def keys_of(mapping: MappingModel, table: str) -> tuple[str, ...]:
    """The key of a target table."""
    return next(part.target_key for part in mapping.parts if part.target == table)


def compile_over(part: Part, staged: Mapping[str, StagedTable], live: Live) -> CompiledPart:
    """A part over its staged table."""
    schemas = {lookup.name: staged[str(lookup.table)].schema for lookup in part.lookups}
    return compile_part(part, staged[str(part.source)].schema, live.columns[part.target], schemas)


def key_columns(compiled: CompiledPart) -> CompiledPart:
    """The part as if it made nothing but the target's key and its members; as it is where the key takes a lookup."""
    members = {reference.target_column for reference in compiled.member_references}
    plans = tuple(plan for plan in compiled.plans if plan.mapping.target in {*compiled.part.target_key, *members})
    needed = {name for plan in plans for name in (*plan.mapping.sources, *(flag for _, flag in plan.flags))}
    if not needed <= set(compiled.source_columns):
        return compiled
    return replace(
        compiled,
        part=replace(compiled.part, lookups=()),
        source_columns=tuple(name for name in compiled.source_columns if name in needed | set(compiled.part.key)),
        target_columns=tuple(plan.target for plan in plans),
        lookup_columns={},
        plans=plans,
        rules=(),
    )


def referring_rows(
    compiled: CompiledPart,
    part: Part,
    staged: Mapping[str, StagedTable],
    stage: Stage,
    records: pl.DataFrame,
    progress: Progress,
) -> Iterator[tuple[str, pl.DataFrame]]:
    """(column, its rows) of one part."""
    lookups = {
        lookup.name: read_whole(stage, staged[str(lookup.table)], compiled.lookup_columns[lookup.name])
        for lookup in compiled.part.lookups
    }
    for chunk in staged[str(part.source)].chunks:
        for frame in stage.read(chunk, compiled.source_columns):
            ids = compiled.member_keys(frame)
            for reference in compiled.member_references:
                rows = rows_of(compiled, reference, frame, ids[reference.target_column], records, lookups)
                if rows is not None:
                    yield reference.target_column, rows
            progress.advance(part.name, frame.height)


def rows_of(
    compiled: CompiledPart,
    reference: MemberReference,
    frame: pl.DataFrame,
    ids: pl.Series,
    records: pl.DataFrame,
    lookups: Mapping[str, pl.DataFrame],
) -> pl.DataFrame | None:
    """Keys of the rows of one frame that refer to `records`, with MEMBER and TO; None when no row does."""
    wanted = records.filter(pl.col("system") == reference.system).select("source_id", MEMBER, TO)
    chosen = ids.is_in(wanted["source_id"].implode()).fill_null(False)
    if not chosen.any():
        return None
    rows, ids = frame.filter(chosen), ids.filter(chosen)
    anybody = {one.target_column: pl.repeat(0, rows.height, dtype=pl.Int64, eager=True) for one in compiled.member_references}
    outcome = compiled.apply(rows, anybody, lookups)
    kept = ids if outcome.kept is None else ids.filter(outcome.kept)
    keyed = outcome.rows.select(compiled.part.target_key).with_columns(kept.alias("source_id"))
    return keyed.join(wanted, on="source_id").drop("source_id")


def find_later(
    connection: BulkConnection, schema: str, dependent: Dependent, types: Mapping[str, pl.DataType], members: pl.Series
) -> pl.DataFrame:
    """Rows of these members on the target that no staged row stands for: the key and MEMBER."""
    key = dependent.key
    wanted = {**{name: types[name] for name in key}, MEMBER: pl.Int64()}
    found = [pl.DataFrame(schema=wanted)]
    for some in members.to_frame("id").iter_slices(IDS_PER_QUERY):
        statement = sql(
            "SELECT {key}, {column} FROM {schema}.{table} WHERE {column} IN ({ids})",
            {"schema": schema, "table": dependent.table, "column": dependent.column},
            key=name_list(key), ids=places(some.height),
        )  # fmt: skip
        found += connection.read_frame(statement, wanted, tuple(some["id"]))
    return pl.concat(found).join(dependent.rows.select(*key, MEMBER), on=[*key, MEMBER], how="anti")
