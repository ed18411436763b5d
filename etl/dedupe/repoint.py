"""Rows of dependent tables follow their member: every mapped column that holds a member id, from retired ids to survivors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import polars as pl

from etl.load.sql import places, sql
from etl.mapping.model import Mapping
from etl.target.bulk import BulkConnection

IDS_A_STATEMENT: Final = 500
JOINED_IDS: Final = 5_000
"""Ids that one statement joins: before the secondary indexes exist, each statement reads the whole table."""
LEAD: Final = """\
UPDATE {schema}.{table} AS t JOIN ({pairs}) AS moved ON t.{column} = moved.retired SET t.{column} = moved.survivor"""


def member_columns(mapping: Mapping) -> tuple[tuple[str, str], ...]:
    """(table, column) of every column that refers to a member, but for the member table's own id."""
    found = [
        (part.target, column.target)
        for part in mapping.parts
        for column in part.columns
        if column.member is not None and part.defines_member is None
    ]
    return tuple(dict.fromkeys(found))


def repoint(connection: BulkConnection, schema: str, table: str, column: str, retired: pl.DataFrame) -> int:
    """Lead rows from `retired` (member_id, survivor) to the survivors, inside the caller's transaction; return how many."""
    names = {"schema": schema, "table": table, "column": column}
    moved = 0
    for some in retired.select("member_id", "survivor").iter_slices(JOINED_IDS):
        pairs = " UNION ALL ".join(["SELECT %s AS retired, %s AS survivor", *["SELECT %s, %s"] * (some.height - 1)])
        moved += connection.execute(sql(LEAD, names, pairs=pairs), [value for row in some.rows() for value in row])
    return moved


def in_statements(frame: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Pieces small enough for one statement."""
    return frame.iter_slices(IDS_A_STATEMENT)


def retire_members(connection: BulkConnection, schema: str, table: str, retired: pl.DataFrame, sums: tuple[str, ...]) -> None:
    """Mark the rows of retired members, and lead on those that led to them; what adds up has moved to the survivor."""
    for some in in_statements(retired):
        ids = some["member_id"].to_list()
        cases = [value for row in some.select("member_id", "survivor").rows() for value in row]
        names = {"schema": schema, "table": table}
        when = " ".join(["WHEN %s THEN %s"] * len(ids))
        nothing = "".join(sql(", {column} = 0", {"column": column}) for column in sums)
        connection.execute(
            sql(
                "UPDATE {schema}.{table} SET merged_into = CASE member_id {when} END{nothing} WHERE member_id IN ({ids})",
                names, when=when, nothing=nothing, ids=places(len(ids)),
            ),
            [*cases, *ids],
        )  # fmt: skip
    repoint(connection, schema, table, "merged_into", retired)
