"""What is in the legacy databases: tables, columns, keys, indexes, foreign keys, sizes. Read-only and cheap: metadata alone."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from etl.errors import SourceError, UsageError
from etl.names import SourceTable
from etl.source import catalog_sql
from etl.source.catalog_sql import in_database

Row = tuple[Any, ...]


class Asks(Protocol):
    """Whatever can send a small query and give back its rows."""

    def query(self, sql: str, params: Sequence[object] = ()) -> list[Row]: ...


@dataclass(frozen=True)
class Column:
    """A column as SQL Server declares it, alias types resolved to their base type.

    `max_length` is in bytes, -1 for (max); `code_page` is that of the collation, for text only; `default` is T-SQL.
    """

    name: str
    type_name: str
    max_length: int
    precision: int
    scale: int
    nullable: bool
    collation: str | None = None
    code_page: int | None = None
    is_identity: bool = False
    is_computed: bool = False
    is_rowversion: bool = False
    default: str | None = None


@dataclass(frozen=True)
class Index:
    """An index; `columns` are its key columns in order, `kind` is clustered, nonclustered, columnstore..."""

    name: str
    columns: tuple[str, ...]
    included: tuple[str, ...]
    unique: bool
    primary: bool
    filtered: bool
    kind: str


@dataclass(frozen=True)
class ForeignKey:
    """A declared foreign key. `trusted` is False where it is disabled or was added without checking the rows."""

    name: str
    columns: tuple[str, ...]
    references: SourceTable
    referenced_columns: tuple[str, ...]
    trusted: bool = True


@dataclass(frozen=True)
class Table:
    """A user table. `key` is the primary key, else the first unique index over columns that allow no NULL, else empty.

    `rows` and `bytes` (all indexes included) are the server's own estimates.
    """

    name: SourceTable
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    indexes: tuple[Index, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    rows: int = 0
    bytes: int = 0
    change_tracking: bool = False

    @cached_property
    def by_name(self) -> Mapping[str, Column]:
        """Columns by their exact name."""
        return {column.name: column for column in self.columns}

    @cached_property
    def schema_hash(self) -> str:
        """Changes when anything does that decides what a staged row looks like: columns, their types and collations, the key."""
        facts = [
            [c.name, c.type_name, c.max_length, c.precision, c.scale, c.nullable, c.collation, c.is_computed, c.is_rowversion]
            for c in self.columns
        ]
        return hashlib.sha256(json.dumps([str(self.name), facts, self.key]).encode()).hexdigest()


@dataclass(frozen=True)
class Catalog:
    """The tables that were asked for, by name, in the order of their names."""

    tables: Mapping[SourceTable, Table]


def read_catalog(source: Asks, databases: Sequence[str], tables: Iterable[SourceTable] | None = None) -> Catalog:
    """Describe every user table of `databases`, or of the whole server's user databases when empty; or only `tables`.

    Raises SourceError for a database that is not there or not open to this login, UsageError for an unknown table.
    """
    wanted = None if tables is None else tuple(tables)
    names = tuple(dict.fromkeys(table.database for table in wanted)) if wanted is not None else tuple(databases)
    found: dict[SourceTable, Table] = {}
    for database in open_databases(source, names):
        found.update(_read_database(source, database))
    if wanted is not None:
        found = _pick(found, wanted)
    return Catalog(tables=dict(sorted(found.items())))


def open_databases(source: Asks, wanted: Sequence[str] = ()) -> tuple[str, ...]:
    """The user databases this login may enter, in the server's own spelling; only `wanted` (any case) when given."""
    present = {str(row[0]).lower(): str(row[0]) for row in source.query(catalog_sql.DATABASES)}
    missing = [name for name in wanted if name.lower() not in present]
    if missing:
        raise SourceError(
            f"The source has no database {', '.join(missing)} that this login may enter.",
            f"Check [source] databases (there are: {', '.join(present.values()) or 'none'}) and grant the login access "
            "(CREATE USER ... FOR LOGIN ...) where it is missing.",
        )
    return tuple(present[name.lower()] for name in wanted) if wanted else tuple(present.values())


def _pick(found: Mapping[SourceTable, Table], wanted: Sequence[SourceTable]) -> dict[SourceTable, Table]:
    """The wanted tables. Names match in any case, as they do on most servers; where two differ in nothing else, exactly."""
    by_lower = {str(name).lower(): table for name, table in found.items()}
    picked: dict[SourceTable, Table] = {}
    for name in wanted:
        table = found.get(name) or by_lower.get(str(name).lower())
        if table is None:
            near = difflib.get_close_matches(str(name).lower(), by_lower, n=1)
            hint = f"Did you mean {by_lower[near[0]].name}? " if near else ""
            raise UsageError(
                f"The source has no table {name} that this login may see.", f"{hint}Check the name, or grant SELECT on it."
            )
        picked[table.name] = table
    return picked


def _read_database(source: Asks, database: str) -> dict[SourceTable, Table]:
    """All tables of one database, by a handful of set queries whatever their number."""
    heads = {
        int(object_id): (SourceTable(database, schema, name), int(rows), int(size), bool(tracked))
        for object_id, schema, name, rows, size, tracked in source.query(in_database(catalog_sql.TABLES, database))
    }
    columns = _read_columns(source, database)
    indexes = _read_indexes(source, database)
    foreign_keys = _read_foreign_keys(source, database, {object_id: head[0] for object_id, head in heads.items()})
    return {
        name: Table(
            name=name,
            columns=tuple(columns[object_id]),
            key=find_key(columns[object_id], indexes[object_id]),
            indexes=tuple(indexes[object_id]),
            foreign_keys=tuple(foreign_keys[object_id]),
            rows=rows,
            bytes=size,
            change_tracking=tracked,
        )
        for object_id, (name, rows, size, tracked) in heads.items()
    }


def _read_columns(source: Asks, database: str) -> defaultdict[int, list[Column]]:
    columns: defaultdict[int, list[Column]] = defaultdict(list)
    for row in source.query(in_database(catalog_sql.COLUMNS, database)):
        object_id, name, type_name, length, precision, scale, nullable, collation, code_page, identity, computed, default = row
        columns[int(object_id)].append(
            Column(
                name=name,
                type_name=str(type_name).lower(),
                max_length=int(length),
                precision=int(precision),
                scale=int(scale),
                nullable=bool(nullable),
                collation=collation,
                code_page=None if code_page is None else int(code_page),
                is_identity=bool(identity),
                is_computed=bool(computed),
                is_rowversion=str(type_name).lower() in ("timestamp", "rowversion"),
                default=default,
            )
        )
    return columns


def _read_indexes(source: Asks, database: str) -> defaultdict[int, list[Index]]:
    members: dict[tuple[int, int], list[Row]] = defaultdict(list)
    for row in source.query(in_database(catalog_sql.INDEXES, database)):
        members[int(row[0]), int(row[1])].append(row)
    indexes: defaultdict[int, list[Index]] = defaultdict(list)
    for (object_id, _), rows in sorted(members.items()):
        _, _, name, kind, unique, primary, filtered, _, _, _ = rows[0]
        key_rows = sorted((row for row in rows if not row[9]), key=lambda row: int(row[8]))
        indexes[object_id].append(
            Index(
                name=str(name),
                columns=tuple(str(row[7]) for row in key_rows),
                included=tuple(str(row[7]) for row in rows if row[9]),
                unique=bool(unique),
                primary=bool(primary),
                filtered=bool(filtered),
                kind=catalog_sql.INDEX_KINDS.get(int(kind), "other"),
            )
        )
    return indexes


def _read_foreign_keys(source: Asks, database: str, names: Mapping[int, SourceTable]) -> defaultdict[int, list[ForeignKey]]:
    parts: dict[tuple[int, str], list[Row]] = defaultdict(list)
    for row in source.query(in_database(catalog_sql.FOREIGN_KEYS, database)):
        parts[int(row[0]), str(row[1])].append(row)
    foreign_keys: defaultdict[int, list[ForeignKey]] = defaultdict(list)
    for (object_id, name), rows in sorted(parts.items()):
        references = names.get(int(rows[0][2]))
        if references is None:  # a table this login may not see
            continue
        rows.sort(key=lambda row: int(row[3]))
        foreign_keys[object_id].append(
            ForeignKey(
                name=name,
                columns=tuple(str(row[4]) for row in rows),
                references=references,
                referenced_columns=tuple(str(row[5]) for row in rows),
                trusted=not rows[0][6] and not rows[0][7],
            )
        )
    return foreign_keys


def find_key(columns: Sequence[Column], indexes: Sequence[Index]) -> tuple[str, ...]:
    """What names a row: the primary key, else the first unique index without filter whose columns allow no NULL, else nothing.

    >>> a = Column("a", "int", 4, 10, 0, nullable=False)
    >>> find_key([a], [Index("u", ("a",), (), unique=True, primary=False, filtered=False, kind="nonclustered")])
    ('a',)
    >>> find_key([a], [])
    ()
    """
    never_null = {column.name for column in columns if not column.nullable}
    for index in sorted(indexes, key=lambda index: not index.primary):
        if index.columns and index.unique and not index.filtered and never_null.issuperset(index.columns):
            return index.columns
    return ()
