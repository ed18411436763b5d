"""Source and target of the retailer without a server: the legacy DDL as it is staged, and the newest target schema."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pyarrow as pa

from etl.mapping.compile import CompiledPart, compile_part
from etl.mapping.load_mapping import load_mapping
from etl.mapping.model import Mapping
from etl.names import SourceTable
from etl.settings import MappingSettings
from etl.source.catalog import Column, Table
from etl.source.extract import canonical_schema
from etl.target.columns import TargetColumn, describe_column
from migrations.schema.tables import TABLES

DDL = Path(__file__).parents[3] / "fixtures" / "data" / "legacy_schema.sql"
BYTE_LIMITS = {"text": 65_535, "mediumtext": 16_777_215, "longtext": 4_294_967_295}


def target_column(name: str, type_name: str, *, nullable: bool = True, default: str | None = None) -> TargetColumn:
    """A target column from its DDL type, as the live catalog would describe it."""
    base = re.sub(r"\(.*\)", "", type_name).lower()
    numbers = [int(number) for number in re.findall(r"\d+", type_name)]
    kind = base.removesuffix(" unsigned")
    length = numbers[0] if numbers and kind.endswith(("char", "binary")) else BYTE_LIMITS.get(kind)
    precision, scale = (numbers[0], numbers[1]) if kind == "decimal" else (None, None)
    fraction = (numbers or [0])[0] if kind in ("datetime", "timestamp", "time") else None
    row = (name, kind, type_name.lower(), length, precision, scale, fraction, "YES" if nullable else "NO", default, "")
    return describe_column(row)


@cache
def target_columns() -> dict[str, tuple[TargetColumn, ...]]:
    """Every target table's columns."""
    return {
        table.name: tuple(
            target_column(column.name, column.type_name, nullable=column.nullable, default=column.default or None)
            for column in table.columns
        )
        for table in TABLES
    }


@cache
def source_tables() -> dict[SourceTable, Table]:
    """The legacy tables, as the catalog would describe them."""
    tables: dict[SourceTable, Table] = {}
    database = ""
    for statement in re.split(r"^GO$", DDL.read_text("utf-8"), flags=re.MULTILINE):
        if use := re.search(r"^USE (\w+)", statement, re.MULTILINE):
            database = use[1]
        elif created := re.search(r"CREATE TABLE dbo\.\[?(\w+)\]? \(\n(.*)\n\);", statement, re.DOTALL):
            columns = [column for line in created[2].splitlines() if (column := read_column(line)) is not None]
            name = SourceTable(database, "dbo", created[1])
            tables[name] = Table(name, tuple(columns), ())
    return tables


def read_column(line: str) -> Column | None:
    """A column of a CREATE TABLE; None for a constraint."""
    found = re.match(r"\s*\[?(\w+)\]? (\w+)(?:\(([^)]*)\))?(.*)", line)
    assert found is not None, line
    name, type_name, numbers, rest = (
        found[1],
        found[2],
        [text.strip() for text in (found[3] or "").split(",") if text.strip()],
        found[4],
    )
    if name == "CONSTRAINT":
        return None
    if type_name == "AS":
        return Column(name, "money", 8, 19, 4, nullable=True, is_computed=True)
    type_name = "timestamp" if type_name == "rowversion" else type_name
    first = -1 if numbers[:1] == ["max"] else int((numbers or ["8"])[0])
    max_length = first * 2 if type_name.startswith("n") and first > 0 else first
    precision, scale = (
        (first, int(numbers[1])) if len(numbers) > 1 else (0, first if type_name.startswith("date") and numbers else 0)
    )
    return Column(
        name, type_name, max_length, precision, scale, nullable="NOT NULL" not in rest, is_rowversion=type_name == "timestamp"
    )


def source_schema(table: SourceTable) -> pa.Schema:
    """The staged schema of a legacy table."""
    return canonical_schema(source_tables()[table])


@cache
def retailer() -> Mapping:
    """The mapping that comes with the program."""
    return load_mapping(MappingSettings())


@cache
def compiled(name: str) -> CompiledPart:
    """A part of the retailer's mapping, ready to run."""
    part = retailer().part(name)
    return compile_part(part, source_schema(part.source), target_columns()[part.target])
