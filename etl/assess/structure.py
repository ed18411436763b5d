"""Pitfalls that the catalog alone shows: nothing of the data is read for these, except how far an IDENTITY has come."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from etl.assess.model import Finding, TableFacts
from etl.names import SourceTable, bracket
from etl.source.catalog import Asks, Column, Table
from etl.source.extract import left_out

TEXT_FORM: Final = {"xml": "nvarchar(max)", "geography": "WKT", "geometry": "WKT", "hierarchyid": "/1/2/"}
IDENTITY_LIMITS: Final = {"tinyint": 255, "smallint": 2**15 - 1, "int": 2**31 - 1, "bigint": 2**63 - 1, "decimal": 2**63 - 1}
IDENTITY_NEAR: Final = 0.8
MAX_NAME: Final = 64  # characters of an identifier on MySQL and TiDB; SQL Server allows 128
MAX_SCALE: Final = 30  # digits behind the point of a DECIMAL on MySQL and TiDB; SQL Server allows 38
MAX_INDEX_BYTES: Final = 3072  # TiDB's default max-index-length, at 4 bytes a character of utf8mb4
MICROSECONDS: Final = 6

IDENTITIES: Final = """
SELECT s.name, o.name, c.name, CONVERT(nvarchar(40), c.last_value), TYPE_NAME(c.system_type_id)
FROM {database}.sys.identity_columns AS c
JOIN {database}.sys.objects AS o ON o.object_id = c.object_id
JOIN {database}.sys.schemas AS s ON s.schema_id = o.schema_id
WHERE c.last_value IS NOT NULL AND o.type = 'U'"""


def check_structure(table: Table, facts: TableFacts) -> Iterator[Finding]:
    """What the declaration of one table promises to be trouble, or worth knowing."""
    if not table.key:
        yield Finding("no_key", "warn", table.name, None)
    elif facts.change_source == "none":
        yield Finding("no_change_source", "warn", table.name, None)
    elif facts.change_source == "column":
        yield Finding("changes_by_column_only", "info", table.name, facts.last_changed)
    if table.key and table.by_name[table.key[0]].type_name == "uniqueidentifier":
        yield Finding("guid_key", "info", table.name, table.key[0])
    for gap in left_out(table):
        if gap.refused:
            yield Finding("refused_type", "bad", table.name, gap.column, values=(("type", table.by_name[gap.column].type_name),))
    for column in table.columns:
        yield from check_column(table, column)
    yield from check_names(table)
    yield from check_indexes(table)
    for foreign_key in table.foreign_keys:
        if not foreign_key.trusted:
            yield Finding(
                "untrusted_foreign_key", "info", table.name, foreign_key.columns[0], values=(("name", foreign_key.name),)
            )


def check_column(table: Table, column: Column) -> Iterator[Finding]:
    """Types that do not exist on the target, or mean something else there."""
    name, kind = column.name, column.type_name
    if column.is_computed:
        yield Finding("computed_column", "info", table.name, name)
        return
    if kind in TEXT_FORM:
        yield Finding("special_type", "warn", table.name, name, values=(("type", kind), ("form", TEXT_FORM[kind])))
    if kind in ("float", "real"):
        yield Finding("float_column", "info", table.name, name)
    if kind in ("datetime2", "datetimeoffset", "time") and column.scale > MICROSECONDS:
        yield Finding("time_cut", "info", table.name, name, values=(("type", f"{kind}({column.scale})"),))
    if kind in ("decimal", "numeric") and column.scale > MAX_SCALE:
        yield Finding("decimal_scale", "bad", table.name, name, values=(("scale", str(column.scale)),))


def check_names(table: Table) -> Iterator[Finding]:
    """Names longer than the target allows."""
    for name in (table.name.name, *(column.name for column in table.columns)):
        if len(name) > MAX_NAME:
            column = None if name == table.name.name else name
            yield Finding("long_name", "warn", table.name, column, values=(("length", str(len(name))),))


def check_indexes(table: Table) -> Iterator[Finding]:
    """Indexes whose key is longer than TiDB builds by default, taking every character as four bytes as TiDB does."""
    for index in table.indexes:
        size = sum(index_bytes(table.by_name[column]) for column in index.columns if column in table.by_name)
        if size > MAX_INDEX_BYTES:
            yield Finding(
                "index_too_long", "warn", table.name, index.columns[0], values=(("name", index.name), ("bytes", f"{size:,}"))
            )


def index_bytes(column: Column) -> int:
    """Bytes of a column in an index key on the target."""
    if column.type_name in ("nvarchar", "nchar"):
        return column.max_length * 2  # max_length counts two bytes a character
    if column.type_name in ("varchar", "char"):
        return column.max_length * 4
    return max(column.max_length, 0)


def check_identities(source: Asks, tables: Mapping[SourceTable, Table]) -> Iterator[Finding]:
    """IDENTITY columns that have used most of their type."""
    by_lower = {str(name).lower(): name for name in tables}
    for database in dict.fromkeys(name.database for name in tables):
        for schema, name, column, last, kind in source.query(IDENTITIES.format(database=bracket(database))):
            table = by_lower.get(f"{database}.{schema}.{name}".lower())
            limit = IDENTITY_LIMITS.get(str(kind).lower())
            if table is not None and limit is not None and int(last) >= IDENTITY_NEAR * limit:
                share = f"{100 * int(last) / limit:.0f}"
                values = (("last", f"{int(last):,}"), ("type", str(kind)), ("percent", share))
                yield Finding("identity_near_limit", "warn", table, str(column), values=values)
