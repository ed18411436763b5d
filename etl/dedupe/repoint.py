"""Rows of dependent tables follow their member: every mapped column that holds a member id, from retired ids to survivors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import polars as pl

from etl.load.sql import places, sql
from etl.mapping.model import Mapping
from etl.target.bulk import BulkConnection

IDS_A_STATEMENT: Final = 500


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
    return sum(
        connection.execute(
            sql(
                "UPDATE {schema}.{table} SET {column} = CASE {column} {cases} END WHERE {column} IN ({ids})",
                {"schema": schema, "table": table, "column": column},
                cases=" ".join(["WHEN %s THEN %s"] * some.height),
                ids=places(some.height),
            ),
            [*(value for row in some.select("member_id", "survivor").rows() for value in row), *some["member_id"].to_list()],
        )
        for some in in_statements(retired)
    )


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
        connection.execute(
            sql(
                "UPDATE {schema}.{table} SET merged_into = CASE merged_into {when} END WHERE merged_into IN ({ids})",
                names, when=when, ids=places(len(ids)),
            ),
            [*cases, *ids],
        )  # fmt: skip
