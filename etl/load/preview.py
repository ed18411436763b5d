"""What a load would do, without doing it: rows per part, and what a sample of them would come to."""

from __future__ import annotations

import time
from typing import Final

import polars as pl

from etl.load.batch import count_reasons
from etl.load.members import plan_members_dry
from etl.load.model import LoadResult, ReasonCount, TableLoad
from etl.load.part import LoadPart
from etl.load.prepare import Prepared
from etl.load.ranges import cut
from etl.load.work import pending_work

SAMPLE_ROWS: Final = 5_000
SAMPLE_PLACES: Final = 5
"""A sample is taken at this many places, spread over the chunks of a part."""


def preview_load(prepared: Prepared) -> LoadResult:
    """Count and sample every part. Reads the stage and the target, and changes nothing."""
    began = time.monotonic()
    for part in prepared.parts:
        if part.system is not None:
            plan_members_dry(prepared, part)
    return LoadResult(
        executed=False,
        tables=tuple(preview_part(prepared, part) for part in prepared.parts),
        seconds=time.monotonic() - began,
        notes=prepared.notes,
    )


def preview_part(prepared: Prepared, part: LoadPart) -> TableLoad:
    """One part: what is pending, and the outcome of transforming a sample of it."""
    began = time.monotonic()
    sampled = loaded = noted = merged = 0
    rejects: list[pl.DataFrame] = []
    for frame in sample(prepared, part):
        outcome = part.transform.apply(frame)
        sampled += frame.height
        loaded += outcome.rows.height
        noted += outcome.notes.height
        merged += outcome.merged
        rejects.append(outcome.rejects)
    reasons = count_reasons(pl.concat(rejects)) if rejects else ()
    return TableLoad(
        part=part.name,
        target=part.table,
        source=part.source,
        staged=part.rows,
        before=prepared.settled(part),
        loaded=loaded,
        rejected=sampled - loaded - merged,
        noted=noted,
        merged=merged,
        sampled=sampled,
        seconds=time.monotonic() - began,
        reasons=tuple(ReasonCount(*reason) for reason in reasons),
    )


def sample(prepared: Prepared, part: LoadPart) -> list[pl.DataFrame]:
    """Up to SAMPLE_ROWS pending rows, from chunks spread over the part."""
    pending = pending_work(part, prepared.covered[part.name])
    chosen = pending[:: max(1, -(-len(pending) // SAMPLE_PLACES))]
    frames: list[pl.DataFrame] = []
    for work in chosen:
        for _, frame in cut(work.chunk.read(part.transform.source_columns), work.wanted, SAMPLE_ROWS // len(chosen)):
            frames.append(frame)
            break
    return frames
