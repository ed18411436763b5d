"""The crosswalk's entries of some records and of everybody they share a member with: a few queries instead of the whole table."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import polars as pl

from etl.dedupe.registry import CROSSWALK_SCHEMA
from etl.dedupe.target_state import IDS_A_QUERY
from etl.load.crosswalk import keep_ids
from etl.load.sql import places, sql
from etl.target.bulk import BulkConnection

COLUMNS: Final = "source, source_id, member_id, linked_by FROM {schema}.member_source"
BY_KEY: Final = f"SELECT {COLUMNS} WHERE source = %s AND source_id IN ({{keys}})"
# Of a long list TiDB thinks that reading the table is cheaper, which takes a hundred times as long. MariaDB reads a comment.
BY_MEMBER: Final = f"SELECT /*+ USE_INDEX(linked, ix_member) */ {COLUMNS} AS linked WHERE member_id IN ({{ids}})"


def read_entries(connection: BulkConnection, schema: str, records: pl.DataFrame, kept_systems: Collection[str]) -> pl.DataFrame:
    """Entries (CROSSWALK_SCHEMA) of `records` (system, source_id), and all entries of the members these lead to, or could give
    their id to (`kept_systems`: systems whose ids become member ids)."""
    own = [pl.DataFrame(schema=CROSSWALK_SCHEMA)]
    for (system,), of_system in records.group_by("system", maintain_order=True):
        for some in of_system.select("source_id").iter_slices(IDS_A_QUERY):
            statement = sql(BY_KEY, {"schema": schema}, keys=places(some.height))
            own += connection.read_frame(statement, dict(CROSSWALK_SCHEMA), (system, *some["source_id"].to_list()))
    entries = pl.concat(own)
    kept = keep_ids(records.filter(pl.col("system").is_in(list(kept_systems)))["source_id"]).drop_nulls()
    ids = pl.concat([entries["member_id"], kept.cast(pl.Int64).alias("member_id")]).unique().sort()
    shared = [pl.DataFrame(schema=CROSSWALK_SCHEMA)]
    for some in ids.to_frame().iter_slices(IDS_A_QUERY):
        statement = sql(BY_MEMBER, {"schema": schema}, ids=places(some.height))
        shared += connection.read_frame(statement, dict(CROSSWALK_SCHEMA), some["member_id"].to_list())
    return pl.concat([entries, *shared]).unique(["system", "source_id"]).sort("system", "source_id")
