"""Conflicts: rows that both sides changed. Each is kept for ever, with both images, the rule and what became of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from etl.errors import UsageError
from etl.load.sql import sql
from etl.sync.images import image_text, read_image
from etl.sync.merge import Conflict, Side, Values
from etl.sync.model import Direction
from etl.target.bulk import BulkConnection
from etl.target.columns import text_of

HIDDEN: Final = "hidden"
"""Rule of a conflict between two records of one person: what stood in one, behind the other, gave way to the member's value."""

DELETED: Final = "deleted"
"""Stands for the columns of a conflict about a row that one side deleted."""
COLUMNS: Final = (
    "conflict_id, direction, table_name, row_key, column_names, rule, winner, source_image, target_image, found_at, settled_at, "
    "settled_by, note"
)


@dataclass(frozen=True)
class FoundConflict:
    """A row that both sides changed. `columns` with their `rule`; `source`, `target`: the whole rows, None where deleted."""

    direction: Direction
    table: str
    key: str
    columns: tuple[str, ...]
    rule: str
    winner: Side
    source: Values | None
    target: Values | None


@dataclass(frozen=True)
class KeptConflict:
    """A row of sync_conflict. Times are UTC."""

    conflict_id: int
    direction: str
    table: str
    key: str
    columns: tuple[str, ...]
    rule: str
    winner: str
    source: Mapping[str, Any]
    target: Mapping[str, Any]
    found_at: datetime
    settled_at: datetime | None
    settled_by: str | None
    note: str | None


def of_merge(
    direction: Direction, table: str, key: str, found: Iterable[Conflict], source: Values, target: Values
) -> list[FoundConflict]:
    """The conflicts of one merged row, columns with the same rule and winner together."""
    groups: dict[tuple[str, Side], list[str]] = {}
    for conflict in found:
        groups.setdefault((conflict.rule, conflict.winner), []).append(conflict.column)
    return [
        FoundConflict(direction, table, key, tuple(columns), rule, winner, source, target)
        for (rule, winner), columns in groups.items()
    ]


def write_conflicts(connection: BulkConnection, state_schema: str, conflicts: Iterable[FoundConflict]) -> int:
    """Keep conflicts, inside the caller's transaction: with the rows as they were decided. Returns how many."""
    found = list(conflicts)
    for one in found:
        insert_conflict(connection, state_schema, one)
    return len(found)


def archive_conflicts(connection: BulkConnection, state_schema: str, conflicts: Iterable[FoundConflict]) -> None:
    """Keep conflicts that ask nothing of anybody, outside of any transaction, before what they tell of is done. One that is kept
    already is not kept again: after a crash it is found anew."""
    known = sql(
        "SELECT 1 FROM {state}.sync_conflict WHERE table_name = %s AND row_key = %s AND rule = %s AND source_image = %s LIMIT 1",
        {"state": state_schema},
    )
    for one in conflicts:
        assert one.source is not None, "a record that gives way is there"
        if not connection.query(known, (one.table, one.key[:200], one.rule, image_text(one.source))):
            insert_conflict(connection, state_schema, one, settled_by="sync")


def insert_conflict(connection: BulkConnection, state_schema: str, one: FoundConflict, settled_by: str | None = None) -> None:
    """One row."""
    statement = sql(
        "INSERT INTO {state}.sync_conflict (direction, table_name, row_key, column_names, rule, winner, source_image, "
        "target_image, found_at, settled_at, settled_by) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, UTC_TIMESTAMP(6), IF(%s IS NULL, NULL, UTC_TIMESTAMP(6)), %s)",
        {"state": state_schema},
    )
    images = (None if image is None else image_text(image) for image in (one.source, one.target))
    names = ", ".join(one.columns)[:1000]
    values = (one.direction, one.table, one.key[:200], names, one.rule, one.winner, *images, settled_by, settled_by)
    connection.execute(statement, values)


def list_conflicts(
    connection: BulkConnection, state_schema: str, *, table: str | None = None, every: bool = False, limit: int = 100
) -> list[KeptConflict]:
    """The newest conflicts first: those that nobody has settled, or `every` one."""
    conditions = ["settled_at IS NULL"] * (not every) + ["table_name = %s"] * (table is not None)
    statement = sql(
        "SELECT {columns} FROM {state}.sync_conflict {where} ORDER BY conflict_id DESC LIMIT %s",
        {"state": state_schema},
        columns=COLUMNS,
        where="WHERE " + " AND ".join(conditions) if conditions else "",
    )
    values = (*([table] if table is not None else []), limit)
    return [kept(row) for row in connection.query(statement, values)]


def count_conflicts(connection: BulkConnection, state_schema: str) -> dict[str, tuple[int, int]]:
    """By table: how many there are, and how many nobody has settled."""
    rows = connection.query(
        sql(
            "SELECT table_name, COUNT(*), SUM(settled_at IS NULL) FROM {state}.sync_conflict GROUP BY table_name",
            {"state": state_schema},
        )
    )
    return {text_of(table): (int(count), int(unsettled)) for table, count, unsettled in rows}


def show_conflict(connection: BulkConnection, state_schema: str, conflict_id: int) -> KeptConflict:
    """One conflict. Raises UsageError when there is none of this number."""
    statement = sql(
        "SELECT {columns} FROM {state}.sync_conflict WHERE conflict_id = %s", {"state": state_schema}, columns=COLUMNS
    )
    rows = connection.query(statement, (conflict_id,))
    if not rows:
        raise UsageError(f"There is no conflict {conflict_id}.", "Run: membershift sync conflicts list")
    return kept(rows[0])


def settle_conflicts(connection: BulkConnection, state_schema: str, conflict_ids: Iterable[int], by_whom: str, note: str) -> int:
    """Note that somebody looked at these and is content with what became of them. Returns how many were open."""
    statement = sql(
        "UPDATE {state}.sync_conflict SET settled_at = UTC_TIMESTAMP(6), settled_by = %s, note = %s "
        "WHERE conflict_id = %s AND settled_at IS NULL",
        {"state": state_schema},
    )
    with connection.transaction():
        return sum(connection.execute(statement, (by_whom[:64], note[:400], one)) for one in conflict_ids)


def kept(row: tuple[Any, ...]) -> KeptConflict:
    """A row of sync_conflict."""
    number, direction, table, key, columns, rule, winner, source, target, found_at, settled_at, settled_by, note = row
    return KeptConflict(
        int(number),
        text_of(direction),
        text_of(table),
        text_of(key),
        tuple(text_of(columns).split(", ")),
        text_of(rule),
        text_of(winner),
        read_image(None if source is None else text_of(source)),
        read_image(None if target is None else text_of(target)),
        found_at,
        settled_at,
        None if settled_by is None else text_of(settled_by),
        None if note is None else text_of(note),
    )
