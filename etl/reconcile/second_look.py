"""Look at differences again, by key, on both sides as they are now: only those that are still there count.

While the source is written to and changes are on their way to the target, a row is different for a moment without being wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace

import polars as pl

from etl.reconcile.actual import read_actual_by_key
from etl.reconcile.by_key import LookupNow, read_expected_by_key
from etl.reconcile.expected import REFUSED_SCHEMA, Expectation, ExpectedBatch, read_lookups
from etl.reconcile.findings import Findings, Rows, find
from etl.reconcile.legacy_keys import read_expected_of
from etl.reconcile.match import Unmatched, without_equals
from etl.reconcile.members import Corrections, WrongLink
from etl.reconcile.merged import Merged, read_golden
from etl.reconcile.plan import PART, SOURCE, TablePlan
from etl.reconcile.quarantine import Quarantine
from etl.reconcile.rows import Comparison, OpenSource
from etl.target.bulk import BulkConnection


@dataclass(frozen=True)
class Now:
    """Both sides as they are now, for few rows. `merged` is None where nothing was ever merged."""

    open_source: OpenSource
    target: BulkConnection
    schema: str
    state_schema: str
    batch_rows: int
    merged: Merged | None = None

    def expectation(self, plan: TablePlan, crosswalk: Corrections) -> Expectation:
        """What legacy rows should make of themselves on the target."""
        return Expectation(plan, crosswalk, home=None if self.merged is None else self.merged.registry.home)


def look_again(now: Now, before: Comparison, *, find_sources: bool) -> Comparison:
    """The differences of `before` that are still there.

    An extra row may have its legacy row by now: `find_sources` looks for it.
    What `before` counted but did not keep stays counted.
    """
    plan, findings = before.plan, before.findings
    crosswalk = corrections_now(now, before)
    quarantine = Quarantine(now.target, now.state_schema, plan)
    expected, refused = reread(now, plan, crosswalk, legacy_rows(before))
    if find_sources and not findings.extra.frame.is_empty():
        expected = with_sources_of(now, plan, crosswalk, expected, findings.extra.frame)
    expected = with_golden(now, plan, crosswalk, expected, before)
    keys = pl.concat([expected.select(plan.key), *(rows.frame.select(plan.key) for rows in actual_kinds(findings))])
    actual = read_actual_by_key(now.target, now.schema, plan, keys)
    doubled, single = apart(expected, findings.duplicated_expected.frame)
    left = without_equals(single, without_keys_of(actual, doubled, single, plan), plan.key, plan.compared, in_step=False)
    again = find([Unmatched(left.expected, left.actual)], plan.key, plan_limit(before), quarantine.flags)
    still_doubled = without_equals(doubled, actual, plan.key, plan.compared, in_step=False).expected
    still_refused = still_refused_rows(refused, quarantine, plan)
    return replace(
        before,
        findings=with_uncounted(
            replace(again, duplicated_expected=again.duplicated_expected.add(still_doubled, plan_limit(before))), findings
        ),
        wrong_links=tuple(link for link in before.wrong_links if still_wrong(now, link)),
        tally=replace(
            before.tally,
            refused=Rows(still_refused.height + before.tally.refused.count - before.tally.refused.frame.height, still_refused),
        ),
    )


def corrections_now(now: Now, before: Comparison) -> Corrections:
    """The crosswalk as it is, with what was found to be wrong in it put right."""
    crosswalk = Corrections(LookupNow(now.target, now.schema))
    crosswalk.correct(before.wrong_links)
    return crosswalk


def plan_limit(before: Comparison) -> int:
    """No more rows can differ at the second look than were kept from the first, twice: a changed row can come apart."""
    return 2 * (1 + before.findings.count + before.tally.refused.count)


def legacy_rows(before: Comparison) -> pl.DataFrame:
    """PART and SOURCE of every legacy row that has something to do with a difference."""
    findings = before.findings
    kinds = (findings.changed_expected, findings.missing, findings.duplicated_expected, before.tally.refused)
    frames = [rows.frame.select(PART, SOURCE).drop_nulls(PART) for rows in kinds if not rows.frame.is_empty()]
    nothing = pl.DataFrame(schema={PART: pl.UInt8, SOURCE: pl.String})
    return pl.concat([nothing, *frames]).unique()


def actual_kinds(findings: Findings) -> Iterator[Rows]:
    """Kinds of rows that name keys of the target."""
    for rows in (findings.changed_actual, findings.missing, findings.extra, findings.duplicated_expected):
        if not rows.frame.is_empty():
            yield rows


def reread(now: Now, plan: TablePlan, crosswalk: Corrections, legacy: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Target rows of these legacy rows as they are now, and those the mapping refuses."""
    batches = list(reread_batches(now, plan, crosswalk, legacy))
    rows = [batch.rows for batch in batches]
    refused = [batch.refused.with_columns(pl.lit(batch.part.number, pl.UInt8).alias(PART)) for batch in batches]
    return (
        pl.concat([empty_rows(plan), *rows], how="diagonal"),
        pl.concat([pl.DataFrame(schema={**REFUSED_SCHEMA, PART: pl.UInt8}), *refused]),
    )


def reread_batches(now: Now, plan: TablePlan, crosswalk: Corrections, legacy: pl.DataFrame) -> Iterator[ExpectedBatch]:
    """Legacy rows by key, part by part."""
    expectation = now.expectation(plan, crosswalk)
    for part in plan.parts:
        encoded = legacy.filter(pl.col(PART) == part.number)[SOURCE]
        if encoded.is_empty():
            continue
        with now.open_source(part.part.source.database) as source:
            beside = read_lookups(source, part, now.batch_rows)
            yield from read_expected_by_key(source, expectation, part, beside, encoded)


def with_sources_of(
    now: Now, plan: TablePlan, crosswalk: Corrections, expected: pl.DataFrame, extra: pl.DataFrame
) -> pl.DataFrame:
    """Also the legacy rows that make target rows with the keys of `extra`."""
    found = [expected]
    keys = extra.select(plan.key)
    expectation = now.expectation(plan, crosswalk)
    with ExitStack() as stack:
        for part in plan.parts:
            source = stack.enter_context(now.open_source(part.part.source.database))
            beside = read_lookups(source, part, now.batch_rows)
            batches = read_expected_of(source, expectation, part, beside, keys, now.batch_rows)
            found.extend(batch.rows.join(keys, on=list(plan.key), how="semi") for batch in batches)
    return pl.concat(found, how="diagonal").unique([PART, SOURCE], maintain_order=True)


def with_golden(now: Now, plan: TablePlan, crosswalk: Corrections, expected: pl.DataFrame, before: Comparison) -> pl.DataFrame:
    """Also the golden records of the members that differed, or whose rows were extra, from all their legacy rows as they are
    now."""
    if now.merged is None or not plan.defines_members:
        return expected
    findings = before.findings
    kinds = (findings.changed_expected, findings.missing, findings.duplicated_expected)
    golden = [rows.frame.filter(pl.col(PART).is_null()).select(plan.key) for rows in kinds if not rows.frame.is_empty()]
    extra = [findings.extra.frame.select(plan.key)] if not findings.extra.frame.is_empty() else []
    if not golden and not extra:
        return expected
    members = pl.concat([*golden, *extra])[plan.key[0]]
    rows = read_golden(now.merged, now.open_source, now.expectation(plan, crosswalk), members, now.batch_rows)
    return pl.concat([expected, *rows], how="diagonal")


def empty_rows(plan: TablePlan) -> pl.DataFrame:
    """No expected rows, with their columns."""
    return pl.DataFrame(schema={**plan.schema, PART: pl.UInt8, SOURCE: pl.String})


def apart(expected: pl.DataFrame, doubled: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows that were a further row of their key, and all others."""
    if doubled.is_empty():
        return expected.clear(), expected
    on = [PART, SOURCE]
    return expected.join(doubled, on=on, how="semi"), expected.join(doubled, on=on, how="anti")


def without_keys_of(actual: pl.DataFrame, doubled: pl.DataFrame, single: pl.DataFrame, plan: TablePlan) -> pl.DataFrame:
    """The target's rows without those that only a doubled row asked for: these have their equal among other legacy rows."""
    key = list(plan.key)
    only_doubled = doubled.select(key).join(single.select(key), on=key, how="anti")
    return actual.join(only_doubled, on=key, how="anti")


def still_refused_rows(refused: pl.DataFrame, quarantine: Quarantine, plan: TablePlan) -> pl.DataFrame:
    """Rows the mapping refuses that are still not in quarantine."""
    if refused.is_empty():
        return refused
    return refused.filter(~quarantine.flags(refused))


def still_wrong(now: Now, link: WrongLink) -> bool:
    """Whether a crosswalk entry still leads elsewhere."""
    found = LookupNow(now.target, now.schema)(link.system, pl.Series([link.source_id], dtype=pl.String))
    return bool(found[0] != link.right)


def with_uncounted(again: Findings, before: Findings) -> Findings:
    """Add what was counted before but not kept, and so could not be looked at."""

    def total(name: str) -> Rows:
        rows, old = getattr(again, name), getattr(before, name)
        return Rows(rows.count + old.count - old.frame.height, rows.frame)

    return replace(
        again,
        changed_expected=total("changed_expected"),
        changed_actual=total("changed_actual"),
        missing=total("missing"),
        extra=total("extra"),
        duplicated_expected=total("duplicated_expected"),
        duplicated_actual=total("duplicated_actual"),
    )
