"""The registry as it is on the target: crosswalk, members, and how long they are known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import polars as pl

from etl.dedupe.registry import AGE_SCHEMA, CROSSWALK_SCHEMA
from etl.errors import RefusedError
from etl.load.sql import name_list, places, sql
from etl.target.bulk import BulkConnection
from etl.target.columns import read_target_columns

IDS_A_QUERY: Final = 2_000


def require_registry_tables(connection: BulkConnection, state_schema: str) -> None:
    """Refuse a target that is older than deduplication. Raises RefusedError."""
    missing = {"merge_event", "decision", "golden_field", "dedupe_run"} - set(read_target_columns(connection, state_schema))
    if missing:
        raise RefusedError(
            f"{state_schema} has no table {', '.join(sorted(missing))}.",
            "Run `membershift schema up --execute`: it adds what is missing.",
        )


def read_crosswalk(connection: BulkConnection, schema: str, table: str = "member_source") -> pl.DataFrame:
    """Every entry of the crosswalk (CROSSWALK_SCHEMA)."""
    statement = sql("SELECT source, source_id, member_id, linked_by FROM {schema}.{table}", {"schema": schema, "table": table})
    frames = connection.read_frame(statement, dict(CROSSWALK_SCHEMA))
    return pl.concat([pl.DataFrame(schema=CROSSWALK_SCHEMA), *frames])


def read_ages(connection: BulkConnection, schema: str, table: str, ids: pl.Series) -> pl.DataFrame:
    """Since when these members are known (AGE_SCHEMA)."""
    return read_members(connection, schema, table, ids, dict(AGE_SCHEMA))


def read_members(
    connection: BulkConnection, schema: str, table: str, ids: pl.Series, types: Mapping[str, pl.DataType]
) -> pl.DataFrame:
    """The columns `types` of the members with these ids that are on the target."""
    columns = tuple(types)
    found = [pl.DataFrame(schema=dict(types))]
    for some in ids.unique().sort().to_frame("id").iter_slices(IDS_A_QUERY):
        statement = sql(
            "SELECT {columns} FROM {schema}.{table} WHERE member_id IN ({ids})",
            {"schema": schema, "table": table},
            columns=name_list(columns),
            ids=places(some.height),
        )
        found += connection.read_frame(statement, types, some["id"].to_list())
    return pl.concat(found)
