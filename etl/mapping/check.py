"""`mapping check`: does every part fit the columns that are really there, on both sides?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from etl.errors import ConfigurationError
from etl.mapping.compile import compile_part
from etl.mapping.model import Mapping as TableMappings
from etl.mapping.model import Part
from etl.names import SourceTable
from etl.settings import Settings
from etl.source.catalog import read_catalog
from etl.source.connect import open_source
from etl.source.extract import DAMAGED_SUFFIX, OFFSET_SUFFIX, canonical_schema
from etl.stage.read import open_stage
from etl.target.columns import TargetColumn

SYNC_COLUMNS: Final = frozenset({"updated_at", "synced_at"})
"""Columns that change capture keeps: no mapping fills them."""


@dataclass(frozen=True)
class PartCheck:
    """One part. `unread`: source columns no column is made of. `unfilled`: target columns left to the server.

    `problem` and `remedy` are the first mistake; empty when the part is sound.
    """

    name: str
    source: str
    target: str
    columns: int
    unread: tuple[str, ...] = ()
    unfilled: tuple[str, ...] = ()
    problem: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class MappingCheck:
    """Every part. `staged`: whether source columns were read from the stage alone; else the source server was asked."""

    mapping: str
    folder: str
    staged: bool
    parts: tuple[PartCheck, ...]

    @property
    def problems(self) -> int:
        """How many parts have a mistake."""
        return sum(bool(part.problem) for part in self.parts)


def check_mapping(settings: Settings, mapping: TableMappings, targets: Mapping[str, Sequence[TargetColumn]]) -> MappingCheck:
    """Check each part against the stage, or against the source where a table is not staged, and against `targets`.

    Raises SourceError or TargetError when a server that is needed cannot be read.
    """
    schemas = staged_schemas(settings)
    missing = [table for table in mapping.source_tables() if table not in schemas]
    if missing:
        schemas |= live_schemas(settings, missing)
    parts = tuple(check_part(part, schemas, targets) for part in mapping.parts)
    return MappingCheck(mapping.name, str(mapping.folder), not missing, parts)


def staged_schemas(settings: Settings) -> dict[SourceTable, pa.Schema]:
    """Columns of what is staged; nothing when nothing is."""
    try:
        with open_stage(settings) as stage:
            return {table.name: table.schema for table in stage.tables()}
    except ConfigurationError:
        return {}


def live_schemas(settings: Settings, tables: Sequence[SourceTable]) -> dict[SourceTable, pa.Schema]:
    """Columns of tables of the source, as they would be staged."""
    with open_source(settings.source) as source:
        catalog = read_catalog(source, settings.source.databases, tables)
    return {name: canonical_schema(table) for name, table in catalog.tables.items()}


def check_part(part: Part, schemas: Mapping[SourceTable, pa.Schema], targets: Mapping[str, Sequence[TargetColumn]]) -> PartCheck:
    """Compile one part and say what it leaves out."""
    found = PartCheck(part.name, str(part.source), part.target, len(part.columns))
    target = targets.get(part.target)
    if target is None:
        return told(found, f"{part.place}: the target has no table {part.target}.", "Run `membershift schema up`, or correct it.")
    beside = {lookup.name: schemas[lookup.table] for lookup in part.lookups}
    try:
        compiled = compile_part(part, schemas[part.source], target, beside)
    except ConfigurationError as error:
        return told(found, error.message, error.remedy)
    mapped = {column.target for column in part.columns}
    return PartCheck(
        part.name,
        str(part.source),
        part.target,
        len(part.columns),
        unread=tuple(
            name
            for name in schemas[part.source].names
            if name not in compiled.source_columns and not name.endswith((DAMAGED_SUFFIX, OFFSET_SUFFIX))
        ),
        unfilled=tuple(
            column.name
            for column in target
            if column.name not in mapped and not column.has_default and column.name not in SYNC_COLUMNS
        ),
    )


def told(found: PartCheck, problem: str, remedy: str) -> PartCheck:
    """A part with a mistake."""
    return PartCheck(found.name, found.source, found.target, found.columns, problem=problem, remedy=remedy)
