"""Rows that point at nothing: declared foreign keys nobody checked, and foreign keys that only the names of columns betray."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from etl.assess.model import Finding
from etl.assess.personal_names import personal_kind
from etl.assess.sampling import Sample
from etl.names import SourceTable, bracket
from etl.source.catalog import Asks, Column, Table

FAMILIES: Final = {
    **dict.fromkeys(("tinyint", "smallint", "int", "bigint"), "number"),
    **dict.fromkeys(("char", "varchar", "nchar", "nvarchar"), "text"),
    "uniqueidentifier": "guid",
}
"""Types that can point at each other."""

KEY_COLLATION: Final = "Latin1_General_100_BIN2"
"""Of keys shown as text: there since SQL Server 2008, whatever the server's own collation."""


@dataclass(frozen=True)
class Relation:
    """`columns` of `child` name a row of `parent` by `parent_columns`. `declared`: the foreign key's name, None when guessed."""

    child: SourceTable
    columns: tuple[str, ...]
    parent: SourceTable
    parent_columns: tuple[str, ...]
    declared: str | None = None


def find_relations(tables: Mapping[SourceTable, Table]) -> tuple[Relation, ...]:
    """Every relation between `tables` worth checking. A foreign key that the server enforces has no orphans and is left out."""
    found: list[Relation] = []
    for table in tables.values():
        covered: set[str] = set()
        for foreign_key in table.foreign_keys:
            covered.update(foreign_key.columns)
            if not foreign_key.trusted and foreign_key.references in tables:
                found.append(
                    Relation(
                        table.name, foreign_key.columns, foreign_key.references, foreign_key.referenced_columns, foreign_key.name
                    )
                )
        for column in table.columns:
            parent = None if column.name in covered else guess_parent(table, column, tables)
            if parent is not None:
                found.append(Relation(table.name, (column.name,), parent.name, parent.key))
    return tuple(found)


def guess_parent(child: Table, column: Column, tables: Mapping[SourceTable, Table]) -> Table | None:
    """The table whose single-column key `column` names: the key's name ("StoreCode"), or the table's and "Id" ("StoreId").

    The child's own database is looked at first; elsewhere the name must lead to one table only.
    """
    if column.is_computed or child.key == (column.name,):
        return None
    fitting = [
        table
        for table in tables.values()
        if table.name != child.name and len(table.key) == 1 and names_key(column.name, table) and same_family(column, table)
    ]
    near = [table for table in fitting if table.name.database == child.name.database]
    for candidates in (near, fitting):
        if len(candidates) == 1:
            return candidates[0]
    return None


def names_key(column: str, parent: Table) -> bool:
    """Whether a column's name is that of the parent's key, with or without the parent's name before it."""
    key, table, wanted = parent.key[0].lower(), parent.name.name.lower(), column.replace("_", "").lower()
    generic = key in ("id", "no", "code", "key", "guid", "uuid")
    spelled = {f"{table}{key}", f"{table.rstrip('s')}{key}"} if generic else {key.replace("_", "")}
    return wanted in spelled


def same_family(column: Column, parent: Table) -> bool:
    """Whether both sides are numbers, or both text, or both GUIDs."""
    family = FAMILIES.get(column.type_name)
    return family is not None and family == FAMILIES.get(parent.by_name[parent.key[0]].type_name)


def orphan_statement(relation: Relation, tables: Mapping[SourceTable, Table], sample: Sample) -> str:
    """T-SQL: how many child rows point at nothing, and the least key among them."""
    child, parent = tables[relation.child], tables[relation.parent]
    pairs = list(zip(relation.columns, relation.parent_columns, strict=True))
    given = " AND ".join(f"c.{bracket(column)} IS NOT NULL" for column in relation.columns)
    same = " AND ".join(f"p.{bracket(theirs)} = {child_value(child, mine, parent, theirs)}" for mine, theirs in pairs)
    key = f"MIN({key_text(child, 'c')})" if child.key else "CAST(NULL AS nvarchar(1))"
    return (
        f"SELECT COUNT_BIG(*), {key} FROM {child.name.quoted} AS c{sample.clause} WHERE {given} "  # noqa: S608 - quoted names only
        f"AND NOT EXISTS (SELECT 1 FROM {parent.name.quoted} AS p WHERE {same})"
    )


def child_value(child: Table, mine: str, parent: Table, theirs: str) -> str:
    """The child's column, in the parent's collation where they differ: the server does not compare them otherwise (error 468)."""
    wanted = parent.by_name[theirs].collation
    differs = wanted is not None and child.by_name[mine].collation != wanted
    return f"c.{bracket(mine)} COLLATE {wanted}" if differs else f"c.{bracket(mine)}"


def key_text(table: Table, alias: str) -> str:
    """T-SQL that shows the key of `table` as text, parts joined by a bar; a part that is personal by its name is not shown.

    Text is put into one collation: MIN refuses what is joined from columns of several (error 468). Bytes are shown in
    hexadecimal.
    """
    return " + N'|' + ".join(key_part(table, table.by_name[name], alias) for name in table.key)


def key_part(table: Table, column: Column, alias: str) -> str:
    """One column of a key as text."""
    value = f"{alias}.{bracket(column.name)}"
    if personal_kind(column.name, table.name.name):
        return "N'***'"
    style = ", 1" if column.type_name in ("binary", "varbinary") else ""
    return f"(CONVERT(nvarchar(400), {value}{style}) COLLATE {KEY_COLLATION})"


def check_orphans(source: Asks, relation: Relation, tables: Mapping[SourceTable, Table], sample: Sample) -> Iterator[Finding]:
    """Ask the server about one relation."""
    count, key = source.query(orphan_statement(relation, tables, sample))[0]
    if count:
        parent = f"{relation.parent}({', '.join(relation.parent_columns)})"
        yield Finding(
            "orphan",
            "bad",
            relation.child,
            ", ".join(relation.columns),
            count=int(count),
            looked_at=sample.rows,
            sampled=sample.sampled,
            sample_key=None if key is None else str(key),
            values=(("parent", parent), ("declared", relation.declared or "")),
        )
