"""Where the values of golden records come from, renewed in the transaction that writes the records."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from etl.load.sql import places, sql
from etl.target.bulk import BulkConnection

KEYS_A_QUERY = 500


def renew_lineage(connection: BulkConnection, state_schema: str, told: pl.DataFrame, merged: Iterable[int]) -> None:
    """Put `told` (LINEAGE_SCHEMA) in place of what was told of the `merged` members, inside the caller's transaction."""
    members = sorted({*told["member_id"].to_list(), *merged})
    for first in range(0, len(members), KEYS_A_QUERY):
        some = members[first : first + KEYS_A_QUERY]
        forget = sql(
            "DELETE FROM {state}.golden_field WHERE member_id IN ({ids})", {"state": state_schema}, ids=places(len(some))
        )
        connection.execute(forget, some)
    for part in told.iter_slices(KEYS_A_QUERY):
        statement = sql(
            "INSERT INTO {state}.golden_field (member_id, column_name, rule, system, source_id) VALUES {rows}",
            {"state": state_schema},
            rows=", ".join([f"({places(5)})"] * part.height),
        )
        connection.execute(statement, [value for row in part.iter_rows() for value in row])
