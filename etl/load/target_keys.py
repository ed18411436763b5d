"""Unique keys and indexes of the live target, from INFORMATION_SCHEMA."""

from __future__ import annotations

from collections import defaultdict

from etl.target.bulk import BulkConnection
from etl.target.columns import text_of


def read_unique_keys(connection: BulkConnection, schema: str) -> dict[str, tuple[tuple[str, ...], ...]]:
    """Unique keys of each table that has any, the primary key first."""
    rows = connection.query(
        "SELECT TABLE_NAME, INDEX_NAME, COLUMN_NAME FROM INFORMATION_SCHEMA.STATISTICS "
        "WHERE TABLE_SCHEMA = %s AND NON_UNIQUE = 0 ORDER BY TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX",
        (schema,),
    )
    indexes: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for table, index, column in rows:
        indexes[text_of(table)][text_of(index)].append(text_of(column))
    return {
        table: tuple(tuple(named[name]) for name in sorted(named, key=lambda name: (name != "PRIMARY", name)))
        for table, named in indexes.items()
    }
