"""What is there: databases, tables, and how changes to each table could be captured. Metadata only."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from etl.assess.model import DatabaseFacts, TableFacts
from etl.names import SourceTable
from etl.source.catalog import Asks, Column, Table

DATABASES: Final = """
SELECT d.name, d.collation_name, CAST(COLLATIONPROPERTY(d.collation_name, 'CodePage') AS int), d.snapshot_isolation_state,
       d.is_read_committed_snapshot_on, c.database_id, c.retention_period, c.retention_period_units_desc
FROM sys.databases AS d
LEFT JOIN sys.change_tracking_databases AS c ON c.database_id = d.database_id
ORDER BY d.name"""

TIMES: Final = frozenset({"datetime", "smalldatetime", "datetime2", "datetimeoffset"})
CHANGED: Final = re.compile(
    r"^(last_?)?(upd(ate)?d?|modif(y|ied)|chang(e|ed)|edit(ed)?)_?(at|on|time|date|datetime|utc|ts)?$"
    r"|^last_?(update|modified|change)_?(at|on|time|date)?$|^(更新|修改)(时间|日期)$",
    re.IGNORECASE,
)
"""Names of columns that say when a row last changed."""


def read_databases(source: Asks, wanted: Sequence[str]) -> tuple[DatabaseFacts, ...]:
    """Facts of the databases in `wanted` (any case)."""
    names = {name.lower() for name in wanted}
    facts: list[DatabaseFacts] = []
    for name, collation, page, snapshot, committed, tracked, period, unit in source.query(DATABASES):
        if str(name).lower() in names:
            facts.append(
                DatabaseFacts(
                    name=str(name),
                    collation=str(collation or ""),
                    code_page=int(page or 0) or 936,
                    snapshot_isolation=int(snapshot or 0) == 1,
                    read_committed_snapshot=bool(committed),
                    change_tracking=tracked is not None,
                    retention=None if tracked is None else f"{period} {str(unit or 'DAYS').lower()}",
                )
            )
    return tuple(facts)


def describe_table(table: Table, mapped: frozenset[SourceTable]) -> TableFacts:
    """One row of the inventory."""
    rowversion = next((column.name for column in table.columns if column.is_rowversion), None)
    changed = last_changed_column(table.columns)
    if table.change_tracking and table.key:
        change_source = "change_tracking"
    elif rowversion is not None and table.key:
        change_source = "rowversion"
    elif changed is not None and table.key:
        change_source = "column"
    else:
        change_source = "none"
    return TableFacts(
        name=table.name,
        rows=table.rows,
        bytes=table.bytes,
        columns=len(table.columns),
        key=table.key,
        identity=next((column.name for column in table.columns if column.is_identity), None),
        collations=tuple(sorted({column.collation for column in table.columns if column.collation})),
        computed=tuple(column.name for column in table.columns if column.is_computed),
        change_tracking=table.change_tracking,
        rowversion=rowversion,
        last_changed=changed,
        change_source=change_source,
        mapped=table.name in mapped,
    )


def last_changed_column(columns: Sequence[Column]) -> str | None:
    """The column that, by its name and type, says when a row last changed.

    >>> last_changed_column([Column("UpdatedAt", "datetime", 8, 23, 3, False), Column("Update", "int", 4, 10, 0, False)])
    'UpdatedAt'
    """
    return next((column.name for column in columns if column.type_name in TIMES and CHANGED.match(column.name)), None)
