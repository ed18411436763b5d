"""What is kept of rows that the mapping refuses: lines of the quarantine, settled once the row is carried over."""

from __future__ import annotations

import polars as pl

from etl.load.rejects import LIMITS, open_keys, settle, write_rejects
from etl.mapping.outcome import FINDING_SCHEMA
from etl.reconcile.plan import PartPlan, TablePlan
from etl.reconcile.quarantine import key_texts
from etl.sync.forward.transform import Transformed
from etl.target.bulk import BulkConnection

SYNC_RUN = 0
"""run_id of lines that no load wrote."""


def quarantine(
    connection: BulkConnection, state_schema: str, plan: TablePlan, part: PartPlan, made: Transformed, gone: pl.Series
) -> int:
    """Put what the mapping refuses into the quarantine; take out what it accepts now, and legacy rows (`gone`) that are no more.
    Inside the caller's transaction. Returns how many rows were refused."""
    name = part.part.name
    if not made.rejects.is_empty():
        findings = made.rejects.select(list(FINDING_SCHEMA))
        write_rejects(
            connection,
            state_schema,
            findings,
            part=name,
            source=str(part.part.source),
            target=plan.target,
            run_id=SYNC_RUN,
        )
    settled = [*made.accepted.to_list(), *(key_texts(part, gone).to_list() if not gone.is_empty() else ())]
    waiting = open_keys(connection, state_schema, name) if settled else frozenset()
    if waiting:
        settle(connection, state_schema, name, [key for key in settled if key[: LIMITS["source_key"]] in waiting])
    return made.rejects["source_key"].n_unique()
