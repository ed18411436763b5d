"""New ids for members that had none, from the allocator that load takes its own from."""

from __future__ import annotations

from dataclasses import replace

from etl.dedupe.unmerge_model import SplitGroup
from etl.load.allocate import ALLOCATOR, FIRST_ID
from etl.load.sql import sql
from etl.target.bulk import BulkConnection


def allocate_groups(connection: BulkConnection, state_schema: str, groups: tuple[SplitGroup, ...]) -> tuple[SplitGroup, ...]:
    """The groups, each with an id, inside the caller's transaction."""
    missing = sum(group.member_id is None for group in groups)
    if not missing:
        return groups
    first = take_ids(connection, state_schema, missing)
    numbers = iter(range(first, first + missing))
    return tuple(group if group.member_id is not None else replace(group, member_id=next(numbers)) for group in groups)


def take_ids(connection: BulkConnection, state_schema: str, count: int) -> int:
    """The first of `count` ids nobody has; the allocator goes on behind them."""
    names = {"state": state_schema}
    rows = connection.query(sql("SELECT next_id FROM {state}.id_allocator WHERE name = %s FOR UPDATE", names), (ALLOCATOR,))
    first = int(rows[0][0]) if rows else FIRST_ID
    connection.execute(
        sql(
            "INSERT INTO {state}.id_allocator (name, next_id) VALUES (%s, %s) ON DUPLICATE KEY UPDATE next_id = VALUES(next_id)",
            names,
        ),
        (ALLOCATOR, first + count),
    )
    return first
