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

from etl.progress import Progress
from etl.reconcile.actual import read_actual_by_key
from etl.reconcile.expected import Expectation, ExpectedBatch, read_lookups
from etl.reconcile.findings import FindingsBuilder
from etl.reconcile.match import Unmatched, without_equals
from etl.reconcile.members import find_wrong_links
from etl.reconcile.plan import PartPlan, TablePlan
from etl.reconcile.quarantine import Quarantine
from etl.reconcile.rows import Ask, Comparison, Limits, Sides, Tally, count
from etl.source.ranges import find_edges, range_column, range_condition

RANGES: Final = 400
"""Ranges a table is cut into, from which the sample is taken."""

LEAST_ROWS: Final = 200


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
    for part in plan.parts:
        for batch in read_sample(sides, plan, part, limits, sample):
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
    return Comparison(plan, tally, found.findings, found.links, equal + found.at_home, time.monotonic() - started, 0)


def read_sample(sides: Sides, plan: TablePlan, part: PartPlan, limits: Limits, sample: Sample) -> Iterator[ExpectedBatch]:
    """Rows of the ranges chosen."""
    expectation = Expectation(plan, sides.crosswalk)
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
