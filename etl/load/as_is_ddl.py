"""The table that another table becomes when it is moved as it is: its columns, key and indexes as TiDB writes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from etl.errors import RefusedError
from etl.load.sql import name_list
from etl.mapping.types import target_type_for
from etl.names import SourceTable, backtick
from etl.source.catalog import Column, Index, Table

MOST_KEY_BYTES: Final = 3_072
"""Longest key of an index, in bytes; text takes four a character."""


@dataclass(frozen=True)
class AsIsIndex:
    """A secondary index and the statement that makes it."""

    name: str
    statement: str


@dataclass(frozen=True)
class AsIsTable:
    """What a table becomes. `key` are the columns that name a row, empty for a table without any."""

    source: SourceTable
    schema_hash: str
    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    create: str
    indexes: tuple[AsIsIndex, ...]
    notes: tuple[str, ...]

    @property
    def part_name(self) -> str:
        """How checkpoints and rejects call it."""
        return f"{self.name}/as-is"

    @property
    def statements(self) -> tuple[str, ...]:
        """All SQL, in its order."""
        return (self.create, *(index.statement for index in self.indexes))


def describe_table(table: Table, schema: str, name: str, *, is_tidb: bool) -> AsIsTable:
    """The target's form of `table`. Raises RefusedError for a column that loses data whatever type it gets."""
    notes = []
    columns: list[tuple[str, str]] = []
    for column in table.columns:
        made = target_type_for(column)
        if made.ddl is None:
            if not (column.is_computed or column.is_rowversion):
                raise RefusedError(f"{table.name}.{column.name} cannot be moved: {made.refusal}.", "Move the table by a mapping.")
            notes.append(f"{column.name} is left out: {made.refusal}.")
            continue
        columns.append((column.name, made.ddl + ("" if column.nullable else " NOT NULL")))
        columns += [(beside, f"{ddl}{'' if column.nullable else ' NOT NULL'}") for beside, ddl in made.beside]
    names = tuple(column for column, _ in columns)
    fits = bool(table.key) and set(table.key) <= set(names) and key_bytes(table, table.key) <= MOST_KEY_BYTES
    if not fits:
        notes.append("The table gets no primary key: " + ("its key is too long for one." if table.key else "it has none."))
    lines = [f"  {backtick(column)} {ddl}" for column, ddl in columns]
    if fits:
        lines.append(f"  PRIMARY KEY ({name_list(table.key)})" + (" CLUSTERED" if is_tidb else ""))
    create = (
        f"CREATE TABLE {backtick(schema)}.{backtick(name)} (\n" + ",\n".join(lines) + "\n) "
        "DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
    )
    indexes, left = secondary_indexes(table, schema, name, set(names))
    return AsIsTable(table.name, table.schema_hash, name, names, table.key, create, indexes, (*notes, *left))


def secondary_indexes(table: Table, schema: str, name: str, columns: set[str]) -> tuple[tuple[AsIsIndex, ...], tuple[str, ...]]:
    """Indexes beside the key, and a sentence for each that has no counterpart."""
    made: list[AsIsIndex] = []
    notes: list[str] = []
    for index in table.indexes:
        if index.columns == table.key and index.unique:
            continue
        why = why_not(table, index, columns)
        if why is not None:
            notes.append(f"Index {index.name} is left out: {why}.")
            continue
        kind = "UNIQUE INDEX" if index.unique else "INDEX"
        statement = f"CREATE {kind} {backtick(index.name)} ON {backtick(schema)}.{backtick(name)} ({name_list(index.columns)})"
        made.append(AsIsIndex(index.name, statement))
    return tuple(made), tuple(notes)


def why_not(table: Table, index: Index, columns: set[str]) -> str | None:
    """Why an index cannot be made, None when it can."""
    if index.filtered:
        return "it covers only some rows"
    if "columnstore" in index.kind.lower() or not index.columns:
        return f"it is {index.kind}"
    if not set(index.columns) <= columns:
        return "it covers a column that is not moved"
    if key_bytes(table, index.columns) > MOST_KEY_BYTES:
        return "its key is too long"
    return None


def key_bytes(table: Table, columns: tuple[str, ...]) -> int:
    """Longest key over these columns, in bytes."""
    return sum(column_bytes(table.by_name[name]) for name in columns)


def column_bytes(column: Column) -> int:
    """Most bytes a column takes in a key: four for each character, too many when it has no limit."""
    if column.max_length < 0 or column.type_name in ("text", "ntext", "image", "xml"):
        return MOST_KEY_BYTES + 1
    if column.type_name in ("char", "varchar"):
        return column.max_length * 4
    if column.type_name in ("nchar", "nvarchar"):
        return column.max_length * 2
    return max(column.max_length, 8)
