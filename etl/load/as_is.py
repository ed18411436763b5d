"""membershift load --as-is: a table without a mapping becomes a table of the same columns, types, key and indexes, row by row."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import polars as pl

from etl.errors import RefusedError, UsageError
from etl.load.as_is_ddl import AsIsTable, describe_table
from etl.load.checkpoint import read_covered, settled_rows
from etl.load.crosswalk import Crosswalk
from etl.load.model import LoadRequest, LoadResult, TableLoad
from etl.load.part import LoadPart
from etl.load.prepare import Prepared, open_target_side
from etl.load.staged import StageChunk
from etl.mapping.findings import key_text
from etl.mapping.outcome import FINDING_SCHEMA, TransformOutcome
from etl.settings import Settings
from etl.source.catalog import read_catalog
from etl.source.connect import open_source
from etl.source.extract import DAMAGED_SUFFIX
from etl.stage.read import StagedTable, open_stage
from etl.target.columns import TargetColumn, read_target_columns
from etl.target.connect import connect_bulk
from etl.target.errors import ServerError


@dataclass(frozen=True)
class AsIsTransform:
    """Staged columns as they are, in the target's types. Damaged text is the one thing that cannot be moved."""

    columns: tuple[TargetColumn, ...]
    flags: tuple[str, ...]
    key: tuple[str, ...]

    @property
    def source_columns(self) -> tuple[str, ...]:
        """Every staged column."""
        return (*(column.name for column in self.columns), *self.flags)

    @property
    def systems(self) -> tuple[str, ...]:
        """None: ids stay what they are."""
        return ()

    @property
    def member_columns(self) -> tuple[str, ...]:
        """None."""
        return ()

    def source_keys(self, frame: pl.DataFrame) -> pl.Series:
        """The key as text; nothing for a table that has none."""
        return key_text(frame, self.key) if self.key else pl.Series([""] * frame.height, dtype=pl.String)

    def apply(self, frame: pl.DataFrame) -> TransformOutcome:
        """All rows but those with damaged text."""
        damaged = pl.any_horizontal(pl.lit(False), *(pl.col(flag).fill_null(False) for flag in self.flags))
        kept = frame.select(~damaged).to_series()
        good = frame if kept.all() else frame.filter(kept)
        rows = good.select(pl.col(column.name).cast(column.polars_type()) for column in self.columns)
        nothing = pl.DataFrame(schema=FINDING_SCHEMA)
        return TransformOutcome(rows, nothing if kept.all() else self.damages(frame.filter(~kept)), nothing, kept)

    def damages(self, bad: pl.DataFrame) -> pl.DataFrame:
        """A finding for each damaged text."""
        keyed = bad.with_columns(self.source_keys(bad).alias("__key"))
        found = [
            keyed.filter(pl.col(flag)).select(
                pl.col("__key").alias("source_key"),
                pl.lit(flag.removesuffix(DAMAGED_SUFFIX)).alias("column_name"),
                pl.lit("damaged_text").alias("reason"),
                pl.lit("***").alias("masked_value"),
                pl.lit("half a surrogate pair").alias("detail"),
            )
            for flag in self.flags
        ]
        return pl.concat(found)


def plan_as_is(settings: Settings, request: LoadRequest) -> AsIsTable:
    """What the table becomes, by the source's catalog. Raises SourceError, UsageError, RefusedError for a type nothing holds."""
    if request.as_is is None:
        raise UsageError("No table was named.", "Use --as-is database.schema.table.")
    if request.tables or request.canary:
        raise UsageError("--as-is moves one table, whole.", "Leave --table and --canary out.")
    with open_source(settings.source) as source:
        catalog = read_catalog(source, (request.as_is.database,), (request.as_is,))
    name = request.as_name or f"{request.as_is.database}_{request.as_is.name}".lower()
    with connect_bulk(settings.target, "") as connection:
        return describe_table(catalog.tables[request.as_is], settings.target.schema_name, name, is_tidb=connection.is_tidb)


def preview_as_is(settings: Settings, plan: AsIsTable) -> LoadResult:
    """What a load would do."""
    with open_stage(settings) as stage, open_target_side(settings) as (connection, live, _):
        staged = require_staged_table(stage.tables(), plan)
        refuse_other_columns(plan, live.columns.get(plan.name))
        covered = read_covered(connection, settings.target.state_schema, plan.part_name)
        before = settled_rows(covered, [(chunk.sha256, chunk.rows) for chunk in staged.chunks])
    load = TableLoad(part=plan.part_name, target=plan.name, source=str(plan.source), staged=staged.rows, before=before)
    return LoadResult(executed=False, tables=(load,), seconds=0.0, statements=plan.statements, notes=plan.notes)


def create_table(settings: Settings, plan: AsIsTable) -> None:
    """Create the table unless it is there with the same columns. Raises RefusedError when it is there with others."""
    with open_stage(settings) as stage:
        require_staged_table(stage.tables(), plan)
    with connect_bulk(settings.target, "") as connection:
        live = read_target_columns(connection, settings.target.schema_name)
        refuse_other_columns(plan, live.get(plan.name))
        if plan.name not in live:
            connection.execute(plan.create)


@contextmanager
def prepare_as_is(settings: Settings, plan: AsIsTable) -> Iterator[Prepared]:
    """The table as the one part of a load."""
    with open_stage(settings) as stage, open_target_side(settings) as (connection, live, folder):
        staged = require_staged_table(stage.tables(), plan)
        by_name = {column.name: column for column in live.columns[plan.name]}
        columns = tuple(by_name[name] for name in plan.columns)
        flags = tuple(name for name in staged.schema.names if name.endswith(DAMAGED_SUFFIX))
        part = LoadPart(
            name=plan.part_name,
            schema=settings.target.schema_name,
            table=plan.name,
            source=str(plan.source),
            columns=columns,
            keys=live.keys.get(plan.name, ()),
            transform=AsIsTransform(columns, flags, plan.key),
            chunks=tuple(StageChunk(stage, chunk) for chunk in staged.chunks),
            fingerprint=hashlib.sha256(plan.create.encode()).hexdigest(),
            # without a mapping nothing says what is personal, so nothing of the table is ever shown
            personal=dict.fromkeys(plan.columns, "text"),
        )
        covered = {part.name: read_covered(connection, settings.target.state_schema, part.name)}
        crosswalk = Crosswalk(connection, settings.target.schema_name, folder)
        yield Prepared(settings, None, connection, crosswalk, folder, (), (part,), covered, ())


def create_indexes(settings: Settings, plan: AsIsTable) -> tuple[str, ...]:
    """Add the secondary indexes that are not there yet; return a sentence for each that cannot be."""
    notes: list[str] = []
    with connect_bulk(settings.target) as connection:
        there = {
            str(row[0]).lower()
            for row in connection.query(
                "SELECT DISTINCT INDEX_NAME FROM INFORMATION_SCHEMA.STATISTICS WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s",
                (settings.target.schema_name, plan.name),
            )
        }
        for index in plan.indexes:
            if index.name.lower() in there:
                continue
            try:
                connection.execute(index.statement)
            except ServerError as error:
                if error.transient:
                    raise
                notes.append(f"Index {index.name} could not be made: {error.message}")
    return tuple(notes)


def require_staged_table(tables: list[StagedTable], plan: AsIsTable) -> StagedTable:
    """The staged table. Raises RefusedError unless it is complete and of the shape the source has now."""
    staged = next((table for table in tables if table.name == plan.source), None)
    if staged is None or not staged.complete:
        raise RefusedError(f"{plan.source} is not staged to its end.", f"Run: membershift stage --table {plan.source}")
    if staged.schema_hash != plan.schema_hash:
        raise RefusedError(
            f"{plan.source} has other columns now than when it was staged.", f"Run: membershift stage --restart {plan.source}"
        )
    return staged


def refuse_other_columns(plan: AsIsTable, live: tuple[TargetColumn, ...] | None) -> None:
    """Raise RefusedError when a table of this name is there with other columns."""
    if live is not None and tuple(column.name for column in live) != plan.columns:
        raise RefusedError(
            f"The target has a table {plan.name} with other columns than {plan.source}.", "Choose another name with --as NAME."
        )
