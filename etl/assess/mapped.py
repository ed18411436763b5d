"""What the mapping would reject: its own transforms, run over the rows that are read, against the columns of the target.

Member ids are taken as known, because the crosswalk is not there yet; rows that point at nothing are counted in relations.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from etl.assess.model import Finding
from etl.assess.sampling import Sample
from etl.errors import ConfigurationError
from etl.mapping.compile import CompiledPart, compile_part, polars_schema
from etl.mapping.model import Mapping as DataMapping
from etl.mapping.model import Part
from etl.names import SourceTable
from etl.source.catalog import Table
from etl.source.connect import Source
from etl.source.extract import canonical_schema, select_statement
from etl.target.columns import TargetColumn

TargetTables = Mapping[str, Sequence[TargetColumn]]


@dataclass
class Count:
    """Rows with one reason in one column, and the key of the first."""

    rows: int = 0
    sample_key: str | None = None


class MappedRows:
    """A watcher (etl.assess.scan) that runs one part over every frame and counts what it would reject or change."""

    def __init__(self, compiled: CompiledPart, lookups: Mapping[str, pl.DataFrame]) -> None:
        self.compiled = compiled
        self.lookups = lookups
        self.counts: dict[tuple[str, str, str], Count] = {}

    def see(self, frame: pl.DataFrame, row_keys: pl.Series) -> None:
        """Transform one frame. `row_keys` is not used: the part names rows by its own key."""
        known = {name: keys.is_not_null().replace_strict({True: 1, False: None}, return_dtype=pl.Int64)
                 for name, keys in self.compiled.member_keys(frame).items()}  # fmt: skip
        outcome = self.compiled.apply(frame, known, self.lookups)
        self.count("mapping_reject", outcome.rejects)
        self.count("mapping_note", outcome.notes)

    def count(self, code: str, found: pl.DataFrame) -> None:
        """Add the findings of one frame."""
        groups = found.group_by("column_name", "reason").agg(
            pl.col("source_key").n_unique().alias("rows"), pl.col("source_key").min().alias("key")
        )
        for column, reason, rows, key in groups.iter_rows():
            count = self.counts.setdefault((code, column or "", reason), Count())
            count.rows += rows
            count.sample_key = count.sample_key or key

    def findings(self, sample: Sample, looked_at: int) -> Iterator[Finding]:
        """One for each target column and reason."""
        part = self.compiled.part
        for (code, column, reason), count in sorted(self.counts.items()):
            yield Finding(
                code,
                "bad" if code == "mapping_reject" else "info",
                part.source,
                self.sources_of(column),
                count=count.rows,
                looked_at=looked_at,
                sampled=sample.sampled,
                sample_key=count.sample_key,
                values=(("part", part.name), ("target", column), ("reason", reason)),
            )

    def sources_of(self, target: str) -> str:
        """The source columns behind a target column."""
        try:
            return ", ".join(self.compiled.part.column(target).sources) or target
        except KeyError:
            return target


def mapped_tables(mapping: DataMapping | None) -> frozenset[SourceTable]:
    """The source tables that a mapping reads."""
    return frozenset(mapping.source_tables()) if mapping is not None else frozenset()


def mapped_rows(
    mapping: DataMapping | None, target: TargetTables | None, tables: Mapping[SourceTable, Table], source: Source
) -> tuple[dict[SourceTable, list[MappedRows]], list[Finding]]:
    """A watcher for each part whose source, target and lookups are all there, and a finding for each that fits them not."""
    watchers: dict[SourceTable, list[MappedRows]] = {}
    misfits: list[Finding] = []
    if mapping is None or target is None:
        return watchers, misfits
    for part in mapping.parts:
        needed = [part.source, *(lookup.table for lookup in part.lookups)]
        if part.target not in target or not all(name in tables for name in needed):
            continue
        try:
            watchers.setdefault(part.source, []).append(prepare_part(part, target[part.target], tables, source))
        except ConfigurationError as error:
            values = (("part", part.name), ("problem", error.message), ("remedy", error.remedy))
            misfits.append(Finding("mapping_misfit", "bad", part.source, None, values=values))
    return watchers, misfits


def prepare_part(part: Part, columns: Sequence[TargetColumn], tables: Mapping[SourceTable, Table], source: Source) -> MappedRows:
    """Compile a part and read its lookups, which are small tables."""
    schemas = {lookup.name: canonical_schema(tables[lookup.table]) for lookup in part.lookups}
    compiled = compile_part(part, canonical_schema(tables[part.source]), columns, schemas)
    lookups = {
        lookup.name: read_lookup(source, tables[lookup.table], compiled.lookup_columns[lookup.name]) for lookup in part.lookups
    }
    return MappedRows(compiled, lookups)


def read_lookup(source: Source, table: Table, columns: Sequence[str]) -> pl.DataFrame:
    """The columns of a lookup that its part uses, whole."""
    schema = canonical_schema(table)
    frames = [
        pl.DataFrame(pl.from_arrow(batch)).select(columns)
        for batch in source.arrow_batches(select_statement(table, ordered=False), schema=schema)
    ]
    return pl.concat([polars_schema(schema).to_frame().select(columns), *frames])
