"""The member rows that the mapping makes of legacy records, read from the stage: what golden records are made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import polars as pl

from etl.load.prepare import Live, read_whole
from etl.mapping.column_plan import system_key
from etl.mapping.compile import CompiledPart, compile_part
from etl.mapping.model import Mapping, MemberSystem, Part
from etl.stage.read import Stage, StagedTable

FEW: Final = 50_000


@dataclass(frozen=True)
class MemberPart:
    """A mapping part that defines members, over its staged table."""

    compiled: CompiledPart
    table: StagedTable
    system: MemberSystem
    lookups: dict[str, pl.DataFrame]


def open_member_parts(mapping: Mapping, stage: Stage, live: Live) -> tuple[MemberPart, ...]:
    """All parts that define members, in load order."""
    staged = {str(table.name): table for table in stage.tables()}
    return tuple(
        open_member_part(part, part.defines_member, staged, stage, live)
        for part in mapping.parts
        if part.defines_member is not None and str(part.source) in staged
    )


def open_member_part(part: Part, system: MemberSystem, staged: dict[str, StagedTable], stage: Stage, live: Live) -> MemberPart:
    """One of them."""
    table = staged[str(part.source)]
    beside = {lookup.name: staged[str(lookup.table)] for lookup in part.lookups}
    schemas = {name: looked_up.schema for name, looked_up in beside.items()}
    compiled = compile_part(part, table.schema, live.columns[part.target], schemas)
    lookups = {name: read_whole(stage, looked_up, compiled.lookup_columns[name]) for name, looked_up in beside.items()}
    return MemberPart(compiled, table, system, lookups)


def read_member_rows(parts: tuple[MemberPart, ...], stage: Stage, records: pl.DataFrame) -> pl.DataFrame:
    """The rows of these `records` (system, source_id, member_id), with the given member_id.

    Columns of the member table that any part maps, NULL where a part does not map one; and system, source_id, valid_from (since
    when the legacy id is known). Rows that the mapping rejects are left out.
    """
    frames = [frame for part in parts for frame in rows_of_part(part, stage, records)]
    if not frames:
        return pl.DataFrame(schema=row_schema(parts))
    return pl.concat([pl.DataFrame(schema=row_schema(parts)), *frames], how="diagonal")


def row_schema(parts: tuple[MemberPart, ...]) -> pl.Schema:
    """Columns and types of the rows of all parts together."""
    columns: dict[str, pl.DataType] = {
        column.name: column.polars_type() for part in parts for column in part.compiled.target_columns
    }
    beside: dict[str, pl.DataType] = {"system": pl.String(), "source_id": pl.String(), "valid_from": pl.Datetime("us")}
    return pl.Schema({**columns, **beside})


def rows_of_part(part: MemberPart, stage: Stage, records: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Transformed rows of the wanted records of one system."""
    wanted = records.filter(pl.col("system") == part.system.name).select("source_id", "member_id")
    if wanted.is_empty():
        return
    member_column = part.compiled.part.target_key[0]
    for some in wanted_rows(part, stage, wanted):
        outcome = part.compiled.apply(some, anybody(part.compiled, some), part.lookups)
        if outcome.links is None or outcome.rows.is_empty():
            continue
        told = outcome.links.select(pl.lit(part.system.name).alias("system"), "source_id", "valid_from")
        rows = pl.concat([outcome.rows.drop(member_column), told], how="horizontal")
        yield rows.join(wanted.rename({"member_id": member_column}), on="source_id", how="inner", maintain_order="left")


def wanted_rows(part: MemberPart, stage: Stage, wanted: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Staged rows of these records. Few are read on all cores and given at once, many in slices, which bound what follows."""
    columns, ids = part.compiled.source_columns, wanted["source_id"].implode()
    few = wanted.height <= FEW
    found: list[pl.DataFrame] = []
    for chunk in part.table.chunks:
        for frame in [stage.read_chunk(chunk, columns)] if few else stage.read(chunk, columns):
            keys = frame.select(system_key(part.system, frame.schema[part.system.key])).to_series()
            some = frame.filter(keys.is_in(ids))
            if some.height and few:
                found.append(some)
            elif some.height:
                yield some
    if found:
        yield pl.concat(found)


def anybody(compiled: CompiledPart, frame: pl.DataFrame) -> dict[str, pl.Series]:
    """Member ids for the transform to find; the true ones are put in afterwards."""
    return {
        reference.target_column: pl.repeat(0, frame.height, dtype=pl.Int64, eager=True)
        for reference in compiled.member_references
    }
