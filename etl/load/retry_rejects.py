"""membershift load rejects retry: rows in quarantine go through the mapping once more, read from the stage by their keys."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import polars as pl

from etl.load.batch import Batch, Counts, count_reasons, sum_counts
from etl.load.loader import Loader, open_loader
from etl.load.lock import hold_load_lock
from etl.load.members import plan_members, plan_members_dry
from etl.load.model import ReasonCount
from etl.load.part import LoadPart
from etl.load.prepare import Prepared, prepare_load
from etl.load.ranges import Rows
from etl.load.rejects import LIMITS, open_keys
from etl.progress import Progress
from etl.settings import Settings


@dataclass(frozen=True)
class RetriedPart:
    """One part: `waiting` keys in quarantine, of which the stage has `staged`; what became of those, or would in a dry run."""

    part: str
    waiting: int
    staged: int
    loaded: int
    unchanged: int
    rejected: int
    reasons: tuple[ReasonCount, ...] = ()


@dataclass(frozen=True)
class RetryResult:
    """Outcome of `retry_rejects`, for parts with anything in quarantine."""

    executed: bool
    parts: tuple[RetriedPart, ...]
    seconds: float

    @property
    def loaded(self) -> int:
        """Rows that left the quarantine."""
        return sum(part.loaded + part.unchanged for part in self.parts)

    @property
    def rejected(self) -> int:
        """Rows that stay in it."""
        return sum(part.rejected for part in self.parts)


def retry_rejects(settings: Settings, tables: tuple[str, ...], progress: Progress, *, execute: bool) -> RetryResult:
    """Load the rows in quarantine that the mapping as it is now lets through; without `execute` only count them.

    Raises what `run_load` raises.
    """
    began = time.monotonic()
    if not execute:
        with prepare_load(settings, tables, accept_mapping=True) as prepared:
            parts = tuple(preview_part(prepared, part) for part in prepared.parts)
    else:
        with (
            hold_load_lock(settings) as lock,
            prepare_load(settings, tables, accept_mapping=True) as prepared,
            open_loader(prepared, "load rejects retry", lock.keep, progress) as loader,
        ):
            parts = tuple(retry_part(prepared, part, loader, progress) for part in prepared.parts)
    return RetryResult(execute, tuple(part for part in parts if part.waiting), time.monotonic() - began)


def preview_part(prepared: Prepared, part: LoadPart) -> RetriedPart:
    """What a retry of one part would come to."""
    waiting = open_keys(prepared.connection, prepared.state_schema, part.name)
    if part.system is not None:
        plan_members_dry(prepared, part)
    counts, staged = Counts(), 0
    for batch in waiting_batches(part, waiting, prepared.settings.load.batch_rows):
        staged += batch.rows.size
        good = batch.outcome.rows.height
        counts = sum_counts(counts, Counts(good, 0, batch.rows.size - good, 0, count_reasons(batch.outcome.rejects)))
    return retried(part, len(waiting), staged, counts)


def retry_part(prepared: Prepared, part: LoadPart, loader: Loader, progress: Progress) -> RetriedPart:
    """Members first get the ids they would have got; then every row is loaded or rejected anew, and its old lines are settled."""
    waiting = open_keys(prepared.connection, prepared.state_schema, part.name)
    counts, staged = Counts(), 0
    if waiting:
        progress.start(part.name, len(waiting))
        if part.system is not None:
            plan_members(prepared, part, loader.record)
        writer = replace(loader.writers[0], waiting=waiting)
        for batch in waiting_batches(part, waiting, prepared.settings.load.batch_rows):
            staged += batch.rows.size
            counts = sum_counts(counts, writer.write(batch, checkpointed=False))
            progress.advance(part.name, batch.rows.size)
        progress.finish(part.name)
    loader.forget_planned(part)
    return retried(part, len(waiting), staged, counts)


def waiting_batches(part: LoadPart, waiting: frozenset[str], batch_rows: int) -> Iterator[Batch]:
    """The staged rows whose keys are in quarantine, transformed, in batches."""
    keys = pl.Series(sorted(waiting), dtype=pl.String).implode()
    if not waiting:
        return
    for chunk in part.chunks:
        for frame in chunk.read(part.transform.source_columns):
            cut = part.transform.source_keys(frame).str.slice(0, LIMITS["source_key"])
            for rows in frame.filter(cut.is_in(keys)).iter_slices(batch_rows):
                if rows.is_empty():
                    continue
                outcome = part.transform.apply(rows)
                names = part.transform.source_keys(rows)
                loaded = names if outcome.kept is None else names.filter(outcome.kept)
                yield Batch(part, chunk.sha256, Rows(0, rows.height), outcome, loaded, names)


def retried(part: LoadPart, waiting: int, staged: int, counts: Counts) -> RetriedPart:
    """The counts of a part as a result."""
    reasons = tuple(ReasonCount(*reason) for reason in counts.reasons)
    return RetriedPart(part.name, waiting, staged, counts.loaded, counts.unchanged, counts.rejected, reasons)
