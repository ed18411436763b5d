"""What is kept of rows that were not carried over: lines of the quarantine for those that the mapping refuses, dead letters for
those that the target refuses; settled once the row is through."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import polars as pl

from etl.load.rejects import LIMITS, open_keys, settle, write_rejects
from etl.mapping.outcome import FINDING_SCHEMA
from etl.reconcile.plan import PartPlan, TablePlan
from etl.reconcile.quarantine import key_texts
from etl.sync.dead_letters import settle_dead_letters, write_dead_letters
from etl.sync.forward.transform import Transformed
from etl.sync.forward.work import Work
from etl.sync.model import DeadLetter
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


def keep_letters(work: Work, through: Iterable[str], letters: Sequence[DeadLetter]) -> int:
    """Keep letters of legacy rows that could not be carried over; settle those of the part's rows that are `through`, or whose
    story is told elsewhere now. Inside the caller's transaction. Returns how many are kept."""
    target, state, name = work.context.target, work.context.plan.state_schema, work.part.part.name
    if name in work.context.open_letters:
        settle_dead_letters(target, state, "forward", name, through)
    work.context.open_letters.update(letter.part for letter in letters)
    return write_dead_letters(target, state, letters)
