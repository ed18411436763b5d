"""Everything a load needs before its first row: mapping, stage, connections, live columns, and what is settled already."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import polars as pl

from etl.dedupe.runs import require_no_half_run
from etl.load.checkpoint import Covered, read_covered, settled_rows
from etl.load.crosswalk import Crosswalk
from etl.load.part import LoadPart
from etl.load.preflight import (
    choose_parts,
    require_members_first,
    require_same_mapping,
    require_staged,
    require_state_tables,
    require_tables,
)
from etl.load.runs import Run, read_runs
from etl.load.staged import MappedTransform, StageChunk, fingerprint_of
from etl.load.target_keys import read_unique_keys
from etl.mapping.compile import compile_part, polars_schema
from etl.mapping.load_mapping import load_mapping
from etl.mapping.model import Mapping as MappingModel
from etl.mapping.model import Part
from etl.personal_files import make_private_folder
from etl.settings import Settings
from etl.stage.read import Stage, StagedTable, open_stage
from etl.target.bulk import BulkConnection
from etl.target.columns import TargetColumn, read_target_columns
from etl.target.connect import connect_bulk


@dataclass(frozen=True)
class Live:
    """The target as it is: columns and unique keys of every table of the business schema."""

    columns: Mapping[str, tuple[TargetColumn, ...]]
    keys: Mapping[str, tuple[tuple[str, ...], ...]]


@dataclass(frozen=True)
class Prepared:
    """A load ready to begin. `parts` are in load order; `covered` says what of each is settled. `mapping`: None for a table
    that is moved as it is."""

    settings: Settings
    mapping: MappingModel | None
    connection: BulkConnection
    crosswalk: Crosswalk
    folder: Path
    runs: tuple[Run, ...]
    parts: tuple[LoadPart, ...]
    covered: Mapping[str, Covered]
    notes: tuple[str, ...]

    @property
    def schema(self) -> str:
        """The business schema."""
        return self.settings.target.schema_name

    @property
    def state_schema(self) -> str:
        """Our own schema."""
        return self.settings.target.state_schema

    def settled(self, part: LoadPart) -> int:
        """Rows of a part that earlier runs settled."""
        return settled_rows(self.covered[part.name], part.chunk_sizes)


@contextmanager
def prepare_load(settings: Settings, tables: Sequence[str], *, accept_mapping: bool) -> Iterator[Prepared]:
    """Check what must hold and open what is needed.

    Raises RefusedError, UsageError, ConfigurationError or TargetError, each with its remedy, before anything is written.
    """
    mapping = load_mapping(settings.mapping, settings.config_dir)
    chosen = choose_parts(mapping, tables)
    with open_stage(settings) as stage, open_target_side(settings) as (connection, live, folder):
        require_no_half_run(connection, settings.target.state_schema)
        staged = require_staged(stage, chosen)
        require_tables(live.columns, settings.target.schema_name, [part.target for part in chosen])
        crosswalk = Crosswalk(connection, settings.target.schema_name, folder)
        parts = tuple(build_part(settings, part, stage, staged, live, crosswalk) for part in chosen)
        covered = {part.name: read_covered(connection, settings.target.state_schema, part.name) for part in parts}
        runs = read_runs(connection, settings.target.state_schema)
        require_members_first(mapping, chosen, members_loaded(settings, connection, mapping, stage))
        notes = [] if accept_mapping else [changed_mapping(part, covered[part.name], runs) for part in parts]
        yield Prepared(
            settings, mapping, connection, crosswalk, folder, runs, parts, covered, tuple(note for note in notes if note)
        )


@contextmanager
def open_target_side(settings: Settings) -> Iterator[tuple[BulkConnection, Live, Path]]:
    """A connection, what the target looks like, and a folder for scratch files that goes away afterwards."""
    folder = make_private_folder(settings.state_dir / f"load-{uuid4().hex[:12]}")
    connection = connect_bulk(settings.target)
    try:
        require_state_tables(read_target_columns(connection, settings.target.state_schema), settings.target.state_schema)
        schema = settings.target.schema_name
        yield connection, Live(read_target_columns(connection, schema), read_unique_keys(connection, schema)), folder
    finally:
        connection.close()
        shutil.rmtree(folder, ignore_errors=True)


def build_part(
    settings: Settings, part: Part, stage: Stage, staged: Mapping[str, StagedTable], live: Live, crosswalk: Crosswalk
) -> LoadPart:
    """A mapping part over its staged table, ready to run."""
    table = staged[str(part.source)]
    beside = {lookup.name: staged[str(lookup.table)] for lookup in part.lookups}
    schemas = {name: looked_up.schema for name, looked_up in beside.items()}
    compiled = compile_part(part, table.schema, live.columns[part.target], schemas)
    lookups = {name: read_whole(stage, looked_up, compiled.lookup_columns[name]) for name, looked_up in beside.items()}
    return LoadPart(
        name=part.name,
        schema=settings.target.schema_name,
        table=part.target,
        source=str(part.source),
        columns=compiled.target_columns,
        keys=live.keys.get(part.target, ()),
        transform=MappedTransform(compiled, crosswalk, lookups),
        chunks=tuple(StageChunk(stage, chunk) for chunk in table.chunks),
        fingerprint=fingerprint_of(compiled),
        personal=part.personal,
        system=part.defines_member,
    )


def read_whole(stage: Stage, table: StagedTable, columns: Sequence[str]) -> pl.DataFrame:
    """All rows of a small staged table."""
    frames = [frame for chunk in table.chunks for frame in stage.read(chunk, columns)]
    return pl.concat([pl.DataFrame(schema=polars_schema(table.schema)).select(columns), *frames])


def members_loaded(settings: Settings, connection: BulkConnection, mapping: MappingModel, stage: Stage) -> frozenset[str]:
    """Parts that define members and whose staged rows are all settled."""
    staged = {str(table.name): table for table in stage.tables()}
    done = []
    for part in mapping.parts:
        table = staged.get(str(part.source))
        if part.defines_member is not None and table is not None and table.complete:
            covered = read_covered(connection, settings.target.state_schema, part.name)
            if settled_rows(covered, [(chunk.sha256, chunk.rows) for chunk in table.chunks]) == table.rows:
                done.append(part.name)
    return frozenset(done)


def changed_mapping(part: LoadPart, covered: Covered, runs: tuple[Run, ...]) -> str | None:
    """Refuse, or tell, that the part's mapping changed since its load was begun."""
    settled = settled_rows(covered, part.chunk_sizes)
    return require_same_mapping(runs, part.name, part.fingerprint, begun=settled > 0, complete=settled == part.rows)
