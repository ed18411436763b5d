"""membershift load rejects retry: rows in quarantine go through the mapping once more, read from the stage by their keys.

What depends on members that were missing follows in the same run: rows that wait for them, and rows that were loaded without.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Final

import polars as pl

from etl.load.batch import Batch, Counts, count_reasons, sum_counts
from etl.load.loader import Loader, open_loader
from etl.load.lock import hold_load_lock
from etl.load.members import plan_accepted, plan_members, plan_members_dry
from etl.load.model import ReasonCount
from etl.load.part import LoadPart
from etl.load.prepare import Prepared, prepare_load
from etl.load.ranges import Rows
from etl.load.refill import UNKNOWN_MEMBER, Refilled, imported_without_member, refill_members
from etl.load.rejects import LIMITS, RejectFilter, count_rejects, open_keys
from etl.mapping.load_mapping import load_mapping
from etl.mapping.model import Part
from etl.progress import Progress
from etl.settings import Settings
from etl.stage.read import open_stage

NOTHING_TO_REFILL: Final = Refilled()


@dataclass(frozen=True)
class RetriedPart:
    """One part: `waiting` keys in quarantine, of which the stage has `staged`; what became of those, or would in a dry run.

    `refilled`: rows that had been loaded without their member. `merged`: their member is one with others by now.
    """

    part: str
    target: str
    waiting: int
    staged: int
    loaded: int
    unchanged: int
    rejected: int
    reasons: tuple[ReasonCount, ...] = ()
    refilled: Refilled = NOTHING_TO_REFILL
    merged: int = 0

    @property
    def unstaged(self) -> int:
        """Rows without their member that only `reconcile repair` can mend: the stage does not have them any more."""
        return self.refilled.noted - self.refilled.staged


@dataclass(frozen=True)
class RetryResult:
    """Outcome of `retry_rejects`, for parts with anything to do. `left_out`: parts that were not asked for, with what a retry of
    them would do now that their members are there. `files`: imported files with rows that have no member, and how many: only the
    file tells which of them have one by now."""

    executed: bool
    parts: tuple[RetriedPart, ...]
    seconds: float
    left_out: tuple[RetriedPart, ...] = ()
    files: tuple[tuple[str, int], ...] = ()

    @property
    def loaded(self) -> int:
        """Rows that left the quarantine."""
        return sum(part.loaded + part.unchanged + part.merged for part in self.parts)

    @property
    def rejected(self) -> int:
        """Rows that stay in it."""
        return sum(part.rejected for part in self.parts)

    @property
    def filled(self) -> int:
        """Rows that got their member."""
        return sum(part.refilled.filled for part in self.parts)


def retry_rejects(settings: Settings, tables: tuple[str, ...], progress: Progress, *, execute: bool) -> RetryResult:
    """Load the rows in quarantine that the mapping as it is now lets through, and give rows that were loaded without a member
    theirs; without `execute` only count them.

    Raises what `run_load` raises.
    """
    began = time.monotonic()
    if not execute:
        with prepare_load(settings, tables, accept_mapping=True) as prepared:
            parts = tuple(preview_part(prepared, part) for part in prepared.parts)
        return RetryResult(False, tuple(part for part in parts if has_work(part)), time.monotonic() - began)
    with hold_load_lock(settings) as lock:
        with (
            prepare_load(settings, tables, accept_mapping=True) as prepared,
            open_loader(prepared, "load rejects retry", lock.keep, progress) as loader,
        ):
            parts = tuple(retry_part(prepared, part, loader, progress) for part in prepared.parts)
            others = dependants(prepared)
            files = imported_without_member(prepared)
        left_out = preview_left_out(settings, others)
    members = any(part.loaded for part, defines in zip(parts, prepared.parts, strict=True) if defines.system is not None)
    told = tuple(part for part in parts if has_work(part))
    return RetryResult(True, told, time.monotonic() - began, left_out, files if members else ())


def has_work(part: RetriedPart) -> bool:
    """Whether there is anything to tell of a part."""
    return part.waiting > 0 or part.refilled.noted > 0


def preview_part(prepared: Prepared, part: LoadPart) -> RetriedPart:
    """What a retry of one part would come to. Its members count as far as the mapping accepts them: rows of others would stay."""
    waiting = open_keys(prepared.connection, prepared.state_schema, part.name)
    if part.system is not None:
        plan_members_dry(prepared, part)
    counts, staged = Counts(), 0
    for batch in waiting_batches(part, waiting, prepared.settings.load.batch_rows):
        staged += batch.rows.size
        good, merged = batch.outcome.rows.height, batch.outcome.merged
        rejected, reasons = batch.rows.size - good - merged, count_reasons(batch.outcome.rejects)
        counts = sum_counts(counts, Counts(good, 0, rejected, merged=merged, reasons=reasons))
    if part.system is not None and waiting:
        plan_accepted(prepared, part)
    return retried(part, len(waiting), staged, counts, refill_members(prepared, part))


def retry_part(prepared: Prepared, part: LoadPart, loader: Loader, progress: Progress) -> RetriedPart:
    """Members first get the ids they would have got; then every row is loaded or rejected anew, and its old lines are settled.
    Last, rows that were loaded without a member get the one that is there now."""
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
    return retried(part, len(waiting), staged, counts, refill_members(prepared, part, progress, loader.writers[0].connection))


def dependants(prepared: Prepared) -> tuple[str, ...]:
    """Parts that were not asked for and have findings on members in quarantine that a part just retried defines."""
    assert prepared.mapping is not None
    chosen = {part.name for part in prepared.parts}
    systems = {part.system.name for part in prepared.parts if part.system is not None}
    found = count_rejects(prepared.connection, prepared.state_schema, RejectFilter(reason=UNKNOWN_MEMBER, settled=True))
    concerned = {part for part, _, _ in found}
    return tuple(
        part.name
        for part in prepared.mapping.parts
        if part.name in concerned - chosen and systems & {column.member for column in part.columns}
    )


def preview_left_out(settings: Settings, names: tuple[str, ...]) -> tuple[RetriedPart, ...]:
    """What a retry of these parts would do. Parts that are not staged any more cannot be looked at."""
    with open_stage(settings) as stage:
        staged = {str(table.name) for table in stage.tables() if table.complete}
    mapping = load_mapping(settings.mapping, settings.config_dir)
    here = tuple(name for name in names if readable(mapping.part(name), staged))
    if not here:
        return ()
    with prepare_load(settings, here, accept_mapping=True) as prepared:
        parts = tuple(preview_part(prepared, part) for part in prepared.parts)
    return tuple(part for part in parts if part.loaded or part.refilled.filled)


def readable(part: Part, staged: Collection[str]) -> bool:
    """Whether all that a part reads is staged."""
    return {str(part.source), *(str(lookup.table) for lookup in part.lookups)} <= set(staged)


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


def retried(part: LoadPart, waiting: int, staged: int, counts: Counts, refilled: Refilled) -> RetriedPart:
    """The counts of a part as a result."""
    reasons = tuple(ReasonCount(*reason) for reason in counts.reasons)
    return RetriedPart(
        part.name, part.table, waiting, staged, counts.loaded, counts.unchanged, counts.rejected, reasons, refilled, counts.merged
    )
