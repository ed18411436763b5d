"""Ids for persons who have none that could be kept: a block of the load's allocator, found again after a kill."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Final

import polars as pl

from etl.dedupe.runs import DedupeRecord, read_dedupe_runs
from etl.load.allocate import Block, plan_allocated
from etl.load.crosswalk import keep_ids
from etl.load.key_index import build_index
from etl.load.sql import sql
from etl.target.bulk import BulkConnection

BLOCK: Final = "dedupe"


def allocate_ids(
    connection: BulkConnection,
    schema: str,
    state_schema: str,
    folder: Path,
    keys: pl.Series,
    largest_kept: int,
    record: DedupeRecord | None,
) -> pl.Series:
    """A new member id for each of `keys` (String, distinct, sorted). Without `record` (a dry run) nothing is reserved."""
    numbered, _ = plan_allocated(
        connection,
        state_schema,
        folder / "new-ids",
        lambda: [keys],
        build_index(folder / "no-ids", 1, ()),
        system=BLOCK,
        noted=unused_block(connection, schema, state_schema),
        largest_kept=largest_kept,
        record=record,
    )
    return numbered.index.lookup(keys)


def unused_block(connection: BulkConnection, schema: str, state_schema: str) -> Block | None:
    """The block that the newest run reserved, if no member came of it: that run was cut short."""
    for run in read_dedupe_runs(connection, state_schema):
        noted = run.details.get("blocks", {}).get(BLOCK)
        if noted is None:
            continue
        block = Block(int(noted[0]), int(noted[1]))
        used = connection.scalar(
            sql("SELECT COUNT(*) FROM {schema}.member WHERE member_id >= %s AND member_id < %s", {"schema": schema}),
            (block.first, block.first + block.count),
        )
        return None if int(used) else block
    return None


def largest_kept_id(records: pl.DataFrame, kept_systems: Collection[str]) -> int:
    """The largest id that a system keeps; 0 when there is none."""
    kept = keep_ids(records.filter(pl.col("system").is_in(list(kept_systems)))["source_id"])
    largest = kept.max()
    return largest if isinstance(largest, int) else 0
