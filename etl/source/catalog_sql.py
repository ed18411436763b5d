"""The catalog queries, for SQL Server 2012 and later. {db} stands for a database; each sees only what the login may see."""

from __future__ import annotations

from typing import Final

from etl.names import bracket

INDEX_KINDS: Final = {
    1: "clustered",
    2: "nonclustered",
    3: "xml",
    4: "spatial",
    5: "clustered columnstore",
    6: "columnstore",
    7: "hash",
}
"""sys.indexes.type."""

DATABASES: Final = (
    "SELECT name FROM sys.databases WHERE name NOT IN (N'master', N'tempdb', N'model', N'msdb')"
    " AND state = 0 AND HAS_DBACCESS(name) = 1 ORDER BY name"
)

TABLES: Final = """
SELECT t.object_id, s.name, t.name,
       COALESCE((SELECT SUM(p.rows) FROM {db}.sys.partitions AS p WHERE p.object_id = t.object_id AND p.index_id < 2), 0),
       COALESCE((SELECT SUM(a.used_pages) FROM {db}.sys.partitions AS p
                 JOIN {db}.sys.allocation_units AS a ON a.container_id = p.hobt_id
                 WHERE p.object_id = t.object_id), 0) * CAST(8192 AS bigint),
       CASE WHEN c.object_id IS NULL THEN 0 ELSE 1 END
FROM {db}.sys.tables AS t
JOIN {db}.sys.schemas AS s ON s.schema_id = t.schema_id
LEFT JOIN {db}.sys.change_tracking_tables AS c ON c.object_id = t.object_id
WHERE t.is_ms_shipped = 0
ORDER BY s.name, t.name"""
"""object_id, schema, table, rows, bytes, whether changes are tracked."""

COLUMNS: Final = """
SELECT c.object_id, c.name, COALESCE(b.name, u.name), c.max_length, c.precision, c.scale, c.is_nullable, c.collation_name,
       CAST(COLLATIONPROPERTY(c.collation_name, 'CodePage') AS int), c.is_identity, c.is_computed, d.definition
FROM {db}.sys.columns AS c
JOIN {db}.sys.tables AS t ON t.object_id = c.object_id
LEFT JOIN {db}.sys.types AS b ON b.user_type_id = c.system_type_id AND b.system_type_id = c.system_type_id
LEFT JOIN {db}.sys.types AS u ON u.user_type_id = c.user_type_id
LEFT JOIN {db}.sys.default_constraints AS d ON d.object_id = c.default_object_id
WHERE t.is_ms_shipped = 0
ORDER BY c.object_id, c.column_id"""
"""object_id, name, base type, bytes, precision, scale, nullable, collation, code page, identity, computed, default."""

INDEXES: Final = """
SELECT i.object_id, i.index_id, i.name, i.type, i.is_unique, i.is_primary_key, i.has_filter,
       c.name, k.key_ordinal, k.is_included_column
FROM {db}.sys.indexes AS i
JOIN {db}.sys.tables AS t ON t.object_id = i.object_id
JOIN {db}.sys.index_columns AS k ON k.object_id = i.object_id AND k.index_id = i.index_id
JOIN {db}.sys.columns AS c ON c.object_id = k.object_id AND c.column_id = k.column_id
WHERE t.is_ms_shipped = 0 AND i.type > 0 AND i.is_disabled = 0 AND i.is_hypothetical = 0
ORDER BY i.object_id, i.index_id, k.key_ordinal, k.index_column_id"""
"""object_id, index_id, name, type, unique, primary, filtered, column, its place in the key, whether only included."""

FOREIGN_KEYS: Final = """
SELECT f.parent_object_id, f.name, f.referenced_object_id, k.constraint_column_id, c.name, r.name, f.is_disabled, f.is_not_trusted
FROM {db}.sys.foreign_keys AS f
JOIN {db}.sys.foreign_key_columns AS k ON k.constraint_object_id = f.object_id
JOIN {db}.sys.columns AS c ON c.object_id = k.parent_object_id AND c.column_id = k.parent_column_id
JOIN {db}.sys.columns AS r ON r.object_id = k.referenced_object_id AND r.column_id = k.referenced_column_id
ORDER BY f.parent_object_id, f.name, k.constraint_column_id"""
"""object_id, name, referenced object_id, place, column, referenced column, disabled, not trusted."""


def in_database(sql: str, database: str) -> str:
    """The query for one database.

    >>> in_database("SELECT name FROM {db}.sys.tables", "crm")
    'SELECT name FROM [crm].sys.tables'
    """
    return sql.replace("{db}", bracket(database))
