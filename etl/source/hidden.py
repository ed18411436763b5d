"""Tables that the server shows this login other than they are, since SQL Server 2016: columns behind a dynamic data mask, rows
behind a row-level security policy. Both read without an error, and a move of what is shown would be proved equal to itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from etl.names import SourceTable, bracket
from etl.source.catalog import Asks

FIRST_VERSION: Final = 13
"""SQL Server 2016. Earlier servers have neither, nor the views that tell."""

VERSION: Final = "SELECT CONVERT(nvarchar(128), SERVERPROPERTY('ProductVersion'))"
MASKED: Final = """
SELECT s.name, t.name, c.name
FROM {db}.sys.masked_columns AS c
JOIN {db}.sys.tables AS t ON t.object_id = c.object_id
JOIN {db}.sys.schemas AS s ON s.schema_id = t.schema_id
WHERE c.is_masked = 1
  AND COALESCE(HAS_PERMS_BY_NAME({name} + N'.' + QUOTENAME(s.name) + N'.' + QUOTENAME(t.name), N'OBJECT', N'UNMASK'),
               HAS_PERMS_BY_NAME({name}, N'DATABASE', N'UNMASK'), 0) = 0
ORDER BY s.name, t.name, c.name"""
"""schema, table, column. UNMASK is a right on the whole database, and since 2022 on single objects too: NULL before that."""

FILTERED: Final = """
SELECT DISTINCT s.name, t.name, p.name
FROM {db}.sys.security_policies AS p
JOIN {db}.sys.security_predicates AS f ON f.object_id = p.object_id
JOIN {db}.sys.tables AS t ON t.object_id = f.target_object_id
JOIN {db}.sys.schemas AS s ON s.schema_id = t.schema_id
WHERE p.is_enabled = 1 AND f.predicate_type = 0
ORDER BY s.name, t.name, p.name"""
"""schema, table, policy. Only those that the login may see: it needs VIEW DEFINITION for it."""


def masked_columns(source: Asks, databases: Iterable[str]) -> dict[SourceTable, list[str]]:
    """Columns of which this login sees a mask instead of the values, by table."""
    return ask(source, databases, MASKED)


def filtered_tables(source: Asks, databases: Iterable[str]) -> dict[SourceTable, list[str]]:
    """Tables of which a policy may hide rows from this login, with the policies' names."""
    return ask(source, databases, FILTERED)


def ask(source: Asks, databases: Iterable[str], sql: str) -> dict[SourceTable, list[str]]:
    """Rows of (schema, table, what) gathered by table; none on a server that has no such thing."""
    found: dict[SourceTable, list[str]] = {}
    if not hides_anything(source):
        return found
    for database in databases:
        name = "N'" + bracket(database).replace("'", "''") + "'"
        for schema, table, what in source.query(sql.replace("{db}", bracket(database)).replace("{name}", name)):
            found.setdefault(SourceTable(database, str(schema), str(table)), []).append(str(what))
    return found


def hides_anything(source: Asks) -> bool:
    """Whether the server is recent enough for masks and policies."""
    version = str(source.query(VERSION)[0][0] or "0")
    return int(version.split(".")[0]) >= FIRST_VERSION
