"""Compare one table row by row: transform(source, read anew) against the target, through the crosswalk."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import polars as pl

from etl.progress import Progress
from etl.reconcile.actual import has_keys, read_actual
from etl.reconcile.claims import Claims, Links
from etl.reconcile.expected import REFUSED_SCHEMA, Expectation, ExpectedBatch, ReadsArrow, ids_are_kept, read_lookups
from etl.reconcile.findings import Findings, Rows, find, tell_duplicates
from etl.reconcile.imported import Imported
from etl.reconcile.match import Matcher
from etl.reconcile.member_ids import KeptIds
from etl.reconcile.members import NO_LINKS, Corrections, WrongLink, find_wrong_links
from etl.reconcile.merged import Aside, Merged
from etl.reconcile.plan import PART, PartPlan, TablePlan
from etl.reconcile.quarantine import Quarantine
from etl.reconcile.spill import Spill, partitions_for
from etl.reconcile.streams import Background
from etl.target.bulk import BulkConnection

OpenSource = Callable[[str], AbstractContextManager[ReadsArrow]]
"""From the name of a database to a connection that reads it, at one instant where the server allows it."""


Ask = Callable[[str], Sequence[Sequence[Any]]]
"""Rows of a small question to the source."""


ASIDE_BYTES: Final = 32 * 2**20
"""How much of the rows of merged members may wait in memory."""


@dataclass(frozen=True)
class Sides:
    """Where both sides are read. `stream` and `asks` are connections to the target at one instant, each used by one thread;
    `crosswalk`, `kept`, `entries` and `merged` share a third one, and may be used by several. `merged` is None where nothing was
    ever merged."""

    open_source: OpenSource
    ask: Ask
    stream: BulkConnection
    asks: BulkConnection
    crosswalk: Corrections
    kept: Callable[[str], KeptIds | None]
    imported: Callable[[TablePlan], Imported]
    entries: Callable[[str], int]
    schema: str
    state_schema: str
    merged: Merged | None = None


@dataclass(frozen=True)
class Limits:
    """`batch_rows` are read at a time, `kept` rows of each kind of difference are held in memory, `folder` is for what must
    wait on disk."""

    batch_rows: int
    kept: int
    folder: Path


@dataclass
class Tally:
    """What was counted while both sides streamed by. `set_aside` rows of merged members made `golden` records."""

    source_rows: int = 0
    expected_rows: int = 0
    target_rows: int = 0
    in_quarantine: int = 0
    set_aside: int = 0
    golden: int = 0
    claims: Claims = field(default_factory=Claims)
    links_present: dict[str, int] = field(default_factory=dict)
    wrong_links: Rows = field(default_factory=lambda: Rows(0, NO_LINKS))
    refused: Rows = field(default_factory=lambda: Rows(0, pl.DataFrame(schema={**REFUSED_SCHEMA, PART: pl.UInt8()})))


@dataclass(frozen=True)
class Comparison:
    """What comparing one table found. `tally.refused` are rows the mapping refuses now, which are not in quarantine."""

    plan: TablePlan
    tally: Tally
    findings: Findings
    wrong_links: tuple[WrongLink, ...]
    equal_rows: int
    seconds: float
    spilled_bytes: int


def compare_rows(sides: Sides, plan: TablePlan, limits: Limits, progress: Progress) -> Comparison:
    """Compare one table in full. Raises SourceError or TargetError when a side cannot be read."""
    started = time.monotonic()
    quarantine = Quarantine(sides.asks, sides.state_schema, plan)
    tally = Tally()
    rows = sum(part.table.rows for part in plan.parts)
    progress.start(plan.target, rows)
    with Spill(limits.folder, plan.key, partitions_for(rows)) as spill, ThreadPoolExecutor(1, "crosswalk") as beside:
        matcher = Matcher(plan.key, plan.compared, spill)
        claimed = [(part, beside.submit(sides.kept, system)) for part, system in kept_systems(plan)]
        meet(sides, plan, limits, matcher, tally, quarantine, progress)
        settle_claims(sides, claimed, tally, limits.kept)
        findings = find(matcher.finish(), plan.key, limits.kept, quarantine.flags, sides.imported(plan).flags)
        tally.in_quarantine += findings.in_quarantine
        if matcher.equal:
            findings = tell_duplicates(findings, lambda rows: has_keys(sides.asks, sides.schema, plan, rows), nothing_there)
        found = find_wrong_links(plan, findings, tally.wrong_links.frame, quarantine.flags)
        links = with_merged(sides, found.links)
        progress.finish(plan.target)
        equal = matcher.equal + found.at_home
        return Comparison(plan, tally, found.findings, links, equal, time.monotonic() - started, spill.bytes_written)


def with_merged(sides: Sides, links: tuple[WrongLink, ...]) -> tuple[WrongLink, ...]:
    """Wrong entries, with a mark on those that should lead to a merged member."""
    if sides.merged is None:
        return links
    home = sides.merged.registry.home
    homes = [home(link.system, pl.Series([link.source_id], dtype=pl.String))[0] for link in links]
    return tuple(replace(link, merged=at == link.right) for link, at in zip(links, homes, strict=True))


def kept_systems(plan: TablePlan) -> Iterator[tuple[PartPlan, str]]:
    """Parts whose members keep their ids, with their systems."""
    for part in plan.parts:
        if part.part.defines_member is not None and ids_are_kept(part):
            yield part, part.part.defines_member.name


def settle_claims(sides: Sides, claimed: Sequence[tuple[PartPlan, Future[KeptIds | None]]], tally: Tally, kept: int) -> None:
    """Check the crosswalk entries that were left for when it has been read."""
    for part, reading in claimed:
        system = part.part.defines_member
        assert system is not None, "only parts that define members have links"
        known = reading.result()
        count_links(part, tally.claims.settle(part.number, known, partial(sides.crosswalk, system.name)), tally, kept)


def nothing_there(rows: pl.DataFrame) -> pl.Series:
    """A key of the target is unique: a further row of one cannot be there."""
    return pl.repeat(False, rows.height, dtype=pl.Boolean, eager=True)


def meet(
    sides: Sides, plan: TablePlan, limits: Limits, matcher: Matcher, tally: Tally, quarantine: Quarantine, progress: Progress
) -> None:
    """Read both sides at once and let equal rows leave. The side of which fewer rows wait is taken next, so that two streams
    in one order stay beside each other."""
    with (
        Background(lambda: read_all_expected(sides, plan, limits, tally.claims), f"expected {plan.target}") as expected,
        Background(lambda: read_actual(sides.stream, sides.schema, plan, limits.batch_rows), f"actual {plan.target}") as actual,
    ):
        while not (expected.ended and actual.ended):
            wants_expected = matcher.waiting_rows("expected") <= matcher.waiting_rows("actual")
            if actual.ended or (wants_expected and not expected.ended):
                batch = expected.take()
                if batch is not None:
                    count(batch, tally, limits.kept, quarantine)
                    matcher.add("expected", batch.rows)
                    progress.advance(plan.target, batch.read)
            else:
                rows = actual.take()
                if rows is not None:
                    tally.target_rows += rows.height
                    matcher.add("actual", rows)


def read_all_expected(sides: Sides, plan: TablePlan, limits: Limits, claims: Claims) -> Iterator[ExpectedBatch]:
    """Every row that the target should hold, part by part; golden records of merged members last."""
    if sides.merged is None or not plan.defines_members:
        expectation = Expectation(plan, sides.crosswalk, claims)
        for part in plan.parts:
            yield from read_part(sides, expectation, part, limits.batch_rows)
        return
    expectation = Expectation(plan, sides.crosswalk, claims, sides.merged.registry.home)
    spill = Spill(limits.folder, plan.key, partitions_for(sum(part.table.rows for part in plan.parts)))
    with Aside(plan, sides.merged.survive, spill, ASIDE_BYTES) as aside:
        for part in plan.parts:
            for batch in read_part(sides, expectation, part, limits.batch_rows):
                if batch.aside is not None:
                    aside.add(batch.aside)
                yield batch
        for rows in aside.golden():
            yield ExpectedBatch(plan.parts[0], 0, rows, pl.DataFrame(schema=REFUSED_SCHEMA), None, golden=True)


def read_part(sides: Sides, expectation: Expectation, part: PartPlan, batch_rows: int) -> Iterator[ExpectedBatch]:
    """Every row of one part, at one instant of its database."""
    with sides.open_source(part.part.source.database) as source:
        beside = read_lookups(source, part, batch_rows)
        yield from expectation.read(source, part, beside, batch_rows)


def count(batch: ExpectedBatch, tally: Tally, kept: int, quarantine: Quarantine) -> None:
    """Add up one batch; of the rows the mapping refuses, keep those that are not in quarantine."""
    tally.source_rows += batch.read
    tally.expected_rows += batch.rows.height
    tally.set_aside += 0 if batch.aside is None else batch.aside.height
    tally.golden += batch.rows.height if batch.golden else 0
    if not batch.refused.is_empty():
        known = pl.Series(quarantine.holds(batch.part, batch.refused["source_key"].to_list()), dtype=pl.Boolean)
        tally.in_quarantine += int(known.sum())
        number = pl.lit(batch.part.number, pl.UInt8).alias(PART)
        tally.refused = tally.refused.add(batch.refused.filter(~known).with_columns(number), kept)
    if batch.links is not None:
        count_links(batch.part, batch.links, tally, kept)


def count_links(part: PartPlan, links: Links, tally: Tally, kept: int) -> None:
    """Add up crosswalk entries; keep those that are not as they should be."""
    system = part.part.defines_member
    assert system is not None, "only parts that define members have links"
    tally.links_present[system.name] = tally.links_present.get(system.name, 0) + links.present
    number = pl.lit(part.number, pl.UInt8).alias(PART)
    tally.wrong_links = tally.wrong_links.add(links.wrong.with_columns(number), kept)
