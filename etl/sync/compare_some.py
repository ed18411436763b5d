"""Compare some rows of the target with the legacy rows that they come from: those that changed lately, or those of a page.

The comparison is reconcile's own: the same transform, the same golden records, a second look at what differs.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import polars as pl

from etl.load.sql import sql
from etl.reconcile.actual import select
from etl.reconcile.differences import ReconcileResult
from etl.reconcile.findings import find
from etl.reconcile.match import Unmatched, without_equals
from etl.reconcile.outcome import Examined
from etl.reconcile.plan import PART, SOURCE, TablePlan
from etl.reconcile.quarantine import Quarantine
from etl.reconcile.rows import Comparison, Tally
from etl.reconcile.run import again, describe
from etl.reconcile.second_look import Now, look_again
from etl.settings import Settings
from etl.target.connect import connect_bulk

PAGE_ROWS: Final = 2_000
SLICE_ROWS: Final = 20_000
MOST_KEPT: Final = 10_000
"""Differing rows of a table that are looked at again and listed; more are counted."""
NOBODY: Final[dict[str, int]] = {}


def compare_page(now: Now, plan: TablePlan, expected: pl.DataFrame, actual: pl.DataFrame) -> Comparison:
    """Rows of the target beside those that legacy rows make (with PART and SOURCE); whatever has no equal among the others is
    looked for by its key before it counts."""
    began = time.monotonic()
    left = without_equals(expected, actual, plan.key, plan.compared, in_step=False)
    limit = expected.height + actual.height + 1
    quarantine = Quarantine(now.target, now.state_schema, plan)
    findings = find([Unmatched(left.expected, left.actual)], plan.key, limit, quarantine.flags)
    equal = actual.height - left.actual.height
    tally = Tally(expected_rows=expected.height, target_rows=actual.height)
    found = Comparison(plan, tally, findings, (), equal, time.monotonic() - began, 0)
    if not findings.count:
        return found
    looked = look_again(now, found, find_sources=True)
    return replace(looked, equal_rows=max(0, actual.height - looked.findings.count))


def compare_changed(now: Now, plan: TablePlan, span: timedelta) -> Comparison:
    """Rows that changed on the target within `span`, with the legacy rows that they come from, slice by slice: of all that agree
    nothing is kept, of those that differ the first MOST_KEPT."""
    statement = sql(
        "{select} FORCE INDEX (ix_sync) WHERE updated_at >= %s AND updated_at < %s", {}, select=select(now.schema, plan)
    )
    began = time.monotonic()
    nothing = pl.DataFrame(schema={**plan.schema, PART: pl.UInt8, SOURCE: pl.String})
    rows, different, kept = 0, 0, pl.DataFrame(schema=plan.schema)
    for slice_of_time in slices(now, plan, span):
        with connect_bulk(now.target.settings) as reader:
            for frame in reader.read_frame(statement, plan.schema, slice_of_time, batch_rows=PAGE_ROWS):
                page = frame if plan.born is None else plan.born.blanked(frame)
                rows += page.height
                found = compare_page(now, plan, nothing, page).findings
                different += found.count
                if found.count and kept.height < MOST_KEPT:
                    keys = pl.concat(one.frame.select(plan.key) for one in (found.changed_actual, found.extra))
                    kept = pl.concat([kept, page.join(keys, on=list(plan.key), how="semi")]).head(MOST_KEPT)
    last = compare_page(now, plan, nothing, kept)
    uncounted = max(0, different - kept.height)
    findings = replace(
        last.findings,
        changed_expected=replace(last.findings.changed_expected, count=last.findings.changed_expected.count + uncounted),
        changed_actual=replace(last.findings.changed_actual, count=last.findings.changed_actual.count + uncounted),
    )
    found_rows = max(0, rows - findings.extra.count)  # each was looked up; a member of several records counts as one
    tally = replace(last.tally, target_rows=rows, source_rows=found_rows, expected_rows=found_rows)
    seconds = time.monotonic() - began
    return replace(last, findings=findings, equal_rows=max(0, rows - findings.count), tally=tally, seconds=seconds)


def slices(now: Now, plan: TablePlan, span: timedelta) -> Iterator[tuple[datetime, datetime]]:
    """Times from `span` ago until now, about SLICE_ROWS rows of the table between each two, so that no read is open for long:
    each row is looked up on the legacy side meanwhile. Rows that change after this began are not in them."""
    bounds = "SELECT NOW(6) - INTERVAL %s SECOND, NOW(6) + INTERVAL 1 SECOND"
    after, upto = now.target.query(bounds, (int(span.total_seconds()),))[0]
    statement = sql(
        "SELECT updated_at FROM {schema}.{table} FORCE INDEX (ix_sync) WHERE updated_at > %s AND updated_at < %s "
        "ORDER BY updated_at LIMIT 1 OFFSET {rows}",
        {"schema": now.schema, "table": plan.target},
        rows=str(SLICE_ROWS),
    )
    while True:
        found = now.target.query(statement, (after, upto))
        yield after, found[0][0] if found else upto
        if not found:
            return
        after = found[0][0]


def told(
    settings: Settings, now: Now, comparisons: Sequence[Comparison], note: str, wait_s: float, looks: int = 1
) -> ReconcileResult:
    """What differs, also at each of `looks` further looks, `wait_s` seconds before each: sync may have brought it meanwhile."""
    examined = [Examined(one, pl.DataFrame(schema=one.plan.schema), {}, NOBODY) for one in comparisons]
    for _ in range(looks if wait_s else 0):
        if not any(one.comparison.findings.count for one in examined):
            break
        time.sleep(wait_s)
        examined = [again(now, one) if one.comparison.findings.count else one for one in examined]
    instant = now.target.scalar("SELECT UTC_TIMESTAMP(6)")
    return describe(settings, instant, note, examined, None, 0)
