"""The crosswalk as forward changes it: entries of newcomers, entries that end, and what deduplication's registry says of both."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

import polars as pl

from etl.dedupe.changes import MATCHED
from etl.load.allocate import ALLOCATOR, first_id
from etl.load.crosswalk import DEDUPE
from etl.load.sql import places, sql
from etl.target.bulk import BulkConnection
from etl.target.columns import text_of

LINKED_BY: Final = "sync"
NO_RUN: Final = 0
KEYS_A_QUERY: Final = 500
ENTRY_SCHEMA: Final = pl.Schema(
    [
        ("system", pl.String()),
        ("source_id", pl.String()),
        ("member_id", pl.Int64()),
        ("valid_from", pl.Datetime("us")),
        ("linked_by", pl.String()),
    ]
)
"""Entries of the crosswalk."""


def entries_of(connection: BulkConnection, schema: str, members: Iterable[int]) -> pl.DataFrame:
    """Every entry that leads to one of these members (ENTRY_SCHEMA)."""
    found: list[tuple[object, ...]] = []
    wanted = sorted(set(members))
    for first in range(0, len(wanted), KEYS_A_QUERY):
        some = wanted[first : first + KEYS_A_QUERY]
        statement = sql(
            "SELECT source, source_id, member_id, valid_from, linked_by FROM {schema}.member_source WHERE member_id IN ({ids})",
            {"schema": schema},
            ids=places(len(some)),
        )
        found += [(text_of(a), text_of(b), int(c), d, text_of(e)) for a, b, c, d, e in connection.query(statement, some)]
    return pl.DataFrame(found, schema=ENTRY_SCHEMA, orient="row")


def add_entries(connection: BulkConnection, schema: str, entries: pl.DataFrame) -> None:
    """Add entries inside the caller's transaction; a legacy id that has one keeps it."""
    for some in entries.iter_slices(KEYS_A_QUERY):
        statement = sql(
            "INSERT INTO {schema}.member_source (source, source_id, member_id, valid_from, linked_by, updated_at, synced_at) "
            "VALUES {rows} ON DUPLICATE KEY UPDATE source = VALUES(source)",
            {"schema": schema},
            rows=", ".join(["(%s, %s, %s, %s, %s, NOW(6), NOW(6))"] * some.height),
        )
        connection.execute(statement, [value for row in some.select(list(ENTRY_SCHEMA)).iter_rows() for value in row])


def end_entries(connection: BulkConnection, schema: str, system: str, source_ids: Sequence[str]) -> None:
    """Take entries away, inside the caller's transaction; the registry's history of them stays."""
    wanted = sorted(set(source_ids))
    for first in range(0, len(wanted), KEYS_A_QUERY):
        some = wanted[first : first + KEYS_A_QUERY]
        statement = sql(
            "DELETE FROM {schema}.member_source WHERE source = %s AND source_id IN ({ids})",
            {"schema": schema},
            ids=places(len(some)),
        )
        connection.execute(statement, (system, *some))


def join_records(connection: BulkConnection, schema: str, state_schema: str, there: pl.DataFrame, arrived: pl.DataFrame) -> None:
    """Note that arrivals are persons already known, as deduplication notes it, inside the caller's transaction.

    `there`: the members' entries so far, `arrived`: the new ones (both ENTRY_SCHEMA). An entry that stood alone until now gets
    the event that makes its member one of several records.
    """
    alone = there.filter(pl.col("linked_by") != DEDUPE)
    for system, source_id in alone.select("system", "source_id").iter_rows():
        statement = sql(
            "UPDATE {schema}.member_source SET linked_by = %s, synced_at = NOW(6), updated_at = NOW(6) "
            "WHERE source = %s AND source_id = %s",
            {"schema": schema},
        )
        connection.execute(statement, (DEDUPE, system, source_id))
    at = datetime.now(UTC).replace(tzinfo=None)
    events = [("create", row) for row in alone.iter_rows(named=True)] + [("merge", row) for row in arrived.iter_rows(named=True)]
    for kind, row in events:
        statement = sql(
            "INSERT INTO {state}.merge_event (run_id, kind, member_id, system, source_id, reason, at, by_whom) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
            {"state": state_schema},
        )
        named = (NO_RUN, kind, row["member_id"], row["system"], row["source_id"], MATCHED, at, LINKED_BY)
        connection.execute(statement, named)


def take_ids(connection: BulkConnection, schema: str, state_schema: str, member_table: str, count: int) -> range:
    """Numbers of the allocator that nobody else gets, in a transaction of their own: one that is not used is harmless."""
    if not count:
        return range(0)
    with connection.transaction():
        names = {"state": state_schema, "schema": schema, "table": member_table}
        standing = connection.query(
            sql("SELECT next_id FROM {state}.id_allocator WHERE name = %s FOR UPDATE", names), (ALLOCATOR,)
        )
        if standing:
            first = int(standing[0][0])
        else:
            first = first_id(int(connection.scalar(sql("SELECT MAX(member_id) FROM {schema}.{table}", names)) or 0))
        connection.execute(
            sql(
                "INSERT INTO {state}.id_allocator (name, next_id) VALUES (%s, %s) "
                "ON DUPLICATE KEY UPDATE next_id = VALUES(next_id)",
                names,
            ),
            (ALLOCATOR, first + count),
        )
    return range(first, first + count)
