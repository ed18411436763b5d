"""Compare a share of a table: ranges of the source's key taken by chance, and the target's rows for them by key.

It costs its share of a full comparison, and finds what is missing or changed in it. Extra rows have no key in the source, so
only a full comparison finds them.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import polars as pl

from etl.progress import Progress
from etl.reconcile.actual import read_actual_by_key
from etl.reconcile.expected import REFUSED_SCHEMA, Expectation, ExpectedBatch, read_lookups
from etl.reconcile.findings import FindingsBuilder
from etl.reconcile.match import Unmatched, without_equals
from etl.reconcile.members import find_wrong_links
from etl.reconcile.merged import read_golden
from etl.reconcile.plan import PartPlan, TablePlan
from etl.reconcile.quarantine import Quarantine
from etl.reconcile.rows import Ask, Comparison, Limits, Sides, Tally, count, with_merged
from etl.source.ranges import find_edges, range_column, range_condition

RANGES: Final = 400
"""Ranges a table is cut into, from which the sample is taken."""

LEAST_ROWS: Final = 200

MEMBERS_AT_ONCE: Final = 50_000
"""Merged members of a sample whose legacy rows are read together."""


@dataclass(frozen=True)
class Sample:
    """`share` of each table, chosen by `seed`."""

    share: float
    seed: int = 1


def compare_sample(sides: Sides, plan: TablePlan, limits: Limits, sample: Sample, progress: Progress) -> Comparison:
    """Compare a sample of one table. Counts are those of the sample."""
    started = time.monotonic()
    quarantine = Quarantine(sides.asks, sides.state_schema, plan)
    tally, equal = Tally(), 0
    builder = FindingsBuilder(plan.key, limits.kept, quarantine.flags)
    progress.start(plan.target, round(sum(part.table.rows for part in plan.parts) * sample.share))
    for batch in read_samples(sides, plan, limits, sample):
        count(batch, tally, limits.kept, quarantine)
        actual = read_actual_by_key(sides.asks, sides.schema, plan, batch.rows)
        tally.target_rows += actual.height
        left = without_equals(batch.rows, actual, plan.key, plan.compared, in_step=False)
        equal += left.dropped
        builder.add(Unmatched(left.expected, left.actual))
        progress.advance(plan.target, batch.read)
    findings = builder.finish()
    tally.in_quarantine += findings.in_quarantine
    found = find_wrong_links(plan, findings, tally.wrong_links.frame, quarantine.flags)
    progress.finish(plan.target)
    return Comparison(
        plan, tally, found.findings, with_merged(sides, found.links), equal + found.at_home, time.monotonic() - started, 0
    )


def read_samples(sides: Sides, plan: TablePlan, limits: Limits, sample: Sample) -> Iterator[ExpectedBatch]:
    """Rows of the ranges chosen of every part, then the golden records of the merged members met there, whole."""
    met: list[pl.Series] = []
    for part in plan.parts:
        for batch in read_sample(sides, plan, part, limits, sample):
            yield batch
            if batch.aside is not None:
                met.append(batch.aside[plan.key[0]])
    if sides.merged is not None and met:
        expectation = Expectation(plan, sides.crosswalk, home=sides.merged.registry.home)
        for members in pl.concat(met).unique().to_frame().iter_slices(MEMBERS_AT_ONCE):
            for rows in read_golden(sides.merged, sides.open_source, expectation, members[plan.key[0]], limits.batch_rows):
                yield ExpectedBatch(plan.parts[0], 0, rows, pl.DataFrame(schema=REFUSED_SCHEMA), None, golden=True)


def read_sample(sides: Sides, plan: TablePlan, part: PartPlan, limits: Limits, sample: Sample) -> Iterator[ExpectedBatch]:
    """Rows of the ranges chosen."""
    expectation = Expectation(plan, sides.crosswalk, home=None if sides.merged is None else sides.merged.registry.home)
    with sides.open_source(part.part.source.database) as source:
        beside = read_lookups(source, part, limits.batch_rows)
        for where in chosen_ranges(sides.ask, part, sample):
            yield from expectation.read(source, part, beside, limits.batch_rows, where)


def chosen_ranges(ask: Ask, part: PartPlan, sample: Sample) -> list[str]:
    """T-SQL conditions of the ranges to read; a table too small to cut, or without a key that can be cut, is read whole."""
    column = range_column(part.table)
    edges = find_edges(ask, part.table, max(LEAST_ROWS, part.table.rows // RANGES))
    if column is None or not edges:
        return [""]
    ranges = list(zip([None, *edges], [*edges, None], strict=True))
    chosen = random.Random(sample.seed).sample(ranges, max(1, round(len(ranges) * sample.share)))
    return [range_condition(column.name, low, high) for low, high in chosen]
