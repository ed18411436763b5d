"""Points in the source's stream of changes, to be noted before a table is read and compared after."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from etl.names import SourceTable, bracket
from etl.source.catalog import Table
from etl.source.connect import Source

_CURRENT: Final = "SELECT CHANGE_TRACKING_CURRENT_VERSION(), CONVERT(bigint, MIN_ACTIVE_ROWVERSION())"


@dataclass(frozen=True)
class Versions:
    """`change_tracking` is None where the database does not track changes; no write to come is below `row_version`."""

    change_tracking: int | None
    row_version: int | None


def read_versions(source: Source, database: str) -> Versions:
    """The database's versions now. A change committed later is above both."""
    tracking, row_version = source.query(_CURRENT, database=database)[0]
    return Versions(None if tracking is None else int(tracking), None if row_version is None else int(row_version))


def changes_lost(source: Source, name: SourceTable, since: int) -> bool:
    """Whether the server has forgotten changes after version `since` (or tracking was switched off): they cannot be replayed."""
    oldest = source.scalar("SELECT CHANGE_TRACKING_MIN_VALID_VERSION(OBJECT_ID(%s))", (name.quoted,), database=name.database)
    return oldest is None or int(oldest) > since


def was_changed(source: Source, table: Table, versions: Versions) -> bool | None:
    """Whether the table was written to after `versions`; None when nothing on the server can tell."""
    name = table.name.quoted  # numbers are written out: the driver would take a %d in a name for a place of theirs
    if table.change_tracking and versions.change_tracking is not None:
        since = f"CHANGETABLE(CHANGES {name}, {int(versions.change_tracking)})"
        return bool(source.query(" ".join(["SELECT TOP (1) 1 FROM", since, "AS c"]), database=table.name.database))
    counter = next((column.name for column in table.columns if column.is_rowversion), None)
    if counter is None or versions.row_version is None:
        return None
    # Deletes leave no rowversion behind, so only a "yes" is certain.
    newer = f"{bracket(counter)} >= CONVERT(binary(8), CONVERT(bigint, {int(versions.row_version)}))"
    sql = " ".join(["SELECT TOP (1) 1 FROM", name, "WHERE", newer])
    return True if source.query(sql, database=table.name.database) else None
