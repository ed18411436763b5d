"""Reconcile: compare source and target row by row, look again at what differs, and say what is wrong."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path

import polars as pl

from etl.dedupe.runs import require_no_half_run
from etl.load.target_keys import read_unique_keys
from etl.mapping.load_mapping import load_mapping
from etl.progress import Progress
from etl.reconcile.born import read_born
from etl.reconcile.by_key import LookupNow
from etl.reconcile.copies import find_copies
from etl.reconcile.crosswalk import find_extra_entries
from etl.reconcile.differences import ReconcileResult, TableResult, summarise
from etl.reconcile.expected import ReadsArrow
from etl.reconcile.findings import Rows
from etl.reconcile.imported import Imported, unrecorded_files
from etl.reconcile.member_ids import MemberIds
from etl.reconcile.members import Corrections
from etl.reconcile.merged import Merged, read_survive
from etl.reconcile.outcome import Examined, describe_crosswalk, describe_table
from etl.reconcile.plan import TablePlan, choose_tables, plan_tables, source_tables
from etl.reconcile.record import record_rows
from etl.reconcile.registry import Registry, anything_merged
from etl.reconcile.rows import Comparison, Limits, Sides, compare_rows
from etl.reconcile.sample import Sample, compare_sample
from etl.reconcile.second_look import Now, look_again
from etl.settings import Settings
from etl.source.catalog import read_catalog
from etl.source.connect import Source, open_source
from etl.target.bulk import BulkConnection
from etl.target.columns import read_target_columns
from etl.target.connect import connect_bulk
from etl.target.snapshot import Snapshot, consistent_snapshot

KEPT_ROWS = 100_000
"""Differing rows of each kind held in memory, to be looked at again or repaired; all are counted."""

UniqueKeys = dict[str, tuple[tuple[str, ...], ...]]


@dataclass(frozen=True)
class ReconcileRequest:
    """What to compare: target tables of the mapping, all when empty. `second_look_s`: how long to wait before differences are
    looked at again, 0 for not at all; None takes [reconcile] second_look_s. `sample`: only about this share of each table."""

    tables: tuple[str, ...] = ()
    second_look_s: float | None = None
    sample: float | None = None


@dataclass(frozen=True)
class Compared:
    """Everything a comparison found, with the rows themselves: for repair. `result` is what is told."""

    examined: tuple[Examined, ...]
    result: ReconcileResult


@dataclass(frozen=True)
class Planned:
    """The tables to compare, every unique key of the target, the systems that keep their member ids, and whether deduplication
    joined any members."""

    tables: tuple[TablePlan, ...]
    unique_keys: UniqueKeys
    kept: frozenset[str]
    merged: bool


def run_reconcile(settings: Settings, request: ReconcileRequest, progress: Progress) -> ReconcileResult:
    """Compare rows of the requested tables, and note in the state folder what was found. Changes nothing else.

    Raises SourceError, TargetError, ConfigurationError for a mapping that does not fit, UsageError for an unknown table.
    """
    with open_source(settings.source, progress) as source:
        result = compare(settings, source, request, progress).result
    mapping = load_mapping(settings.mapping, settings.config_dir)
    record_rows(settings, result, (table.target for table in mapping.tables), progress)
    return result


def compare(settings: Settings, source: Source, request: ReconcileRequest, progress: Progress) -> Compared:
    """Compare, look again, and describe what is still different."""
    planned = plan_comparison(settings, source, request.tables)
    limits = Limits(settings.reconcile.batch_rows, KEPT_ROWS, settings.state_dir / "reconcile")
    with consistent_snapshot(settings.target, 3) as snapshot:
        sides = open_sides(settings, source, snapshot, limits, planned)
        if request.sample is None:
            examined = [examine(sides, plan, limits, planned.unique_keys, progress) for plan in planned.tables]
        else:
            examined = [examine_sample(sides, plan, limits, Sample(request.sample), progress) for plan in planned.tables]
        unrecorded = unrecorded_files(sides.asks, settings)
    wait_s = settings.reconcile.second_look_s if request.second_look_s is None else request.second_look_s
    if wait_s and any(differs(one) for one in examined):
        examined = look_twice(settings, source, examined, wait_s, progress)
    told = describe(settings, snapshot.taken_at, snapshot.note or "", examined, request.sample, unrecorded)
    return Compared(tuple(examined), told)


def plan_comparison(settings: Settings, source: Source, tables: Sequence[str]) -> Planned:
    """Read what both sides look like, and compile the mapping against it."""
    mapping = load_mapping(settings.mapping, settings.config_dir)
    catalog = read_catalog(source, settings.source.databases, source_tables(choose_tables(mapping, tables)))
    with connect_bulk(settings.target) as connection:
        require_no_half_run(connection, settings.target.state_schema)
        columns = read_target_columns(connection, settings.target.schema_name)
        merged = anything_merged(connection, settings.target.state_schema)
        plans = plan_tables(mapping, catalog, columns, tables)
        return Planned(
            tables=tuple(as_now(source, merged, plans)),
            unique_keys=read_unique_keys(connection, settings.target.schema_name),
            kept=frozenset(name for name, system in mapping.systems.items() if system.ids == "keep"),
            merged=merged,
        )


def as_now(source: Source, merged: bool, plans: Iterable[TablePlan]) -> Iterator[TablePlan]:
    """The plans with what was born on the target by now, and whether members were ever merged; each read as it is come to."""
    for plan in plans:
        yield replace(plan, redirects=merged and plan.defines_members, born=read_born(source, plan))


def open_sides(settings: Settings, source: Source, snapshot: Snapshot, limits: Limits, planned: Planned) -> Sides:
    """Three connections at one instant of the target, and a way to read the source."""
    stream, entries, asks = snapshot.connections
    members = MemberIds(entries, settings.target.schema_name, limits.folder / "crosswalk", planned.kept)
    return Sides(
        open_source=lambda database: reading(source, database),
        ask=source.query,
        stream=stream,
        asks=asks,
        crosswalk=Corrections(members.lookup),
        kept=members.array_of,
        imported=partial(Imported, settings),
        entries=members.size,
        schema=settings.target.schema_name,
        state_schema=settings.target.state_schema,
        merged=open_merged(settings, entries, limits.folder / "crosswalk", members.lock) if planned.merged else None,
    )


def open_merged(settings: Settings, connection: BulkConnection, folder: Path, lock: threading.RLock) -> Merged:
    """What deduplication joined, as this connection sees it."""
    target = settings.target
    return Merged(Registry(connection, target.schema_name, target.state_schema, folder, lock), read_survive(settings))


@contextmanager
def reading(source: Source, database: str) -> Iterator[ReadsArrow]:
    """A connection that reads one database at one instant, where the database allows it."""
    with source.snapshot(database, pooled=True) as snapshot:
        yield snapshot.session


def examine(sides: Sides, plan: TablePlan, limits: Limits, unique_keys: UniqueKeys, progress: Progress) -> Examined:
    """Compare one table, and find out what its differences mean."""
    comparison = compare_rows(sides, plan, limits, progress)
    sides.crosswalk.correct(comparison.wrong_links)
    findings, copies = find_copies(
        sides.stream, sides.schema, plan, comparison.findings, unique_keys.get(plan.target, ()), limits.batch_rows
    )
    comparison = replace(comparison, findings=findings)
    systems = [part.part.defines_member.name for part in plan.parts if part.part.defines_member is not None]
    sizes = {system: sides.entries(system) for system in systems}
    entries = find_extra_entries(sides, comparison, sizes, limits)
    return Examined(comparison, copies, entries.extra, sizes, imported_entries=entries.imported)


def examine_sample(sides: Sides, plan: TablePlan, limits: Limits, sample: Sample, progress: Progress) -> Examined:
    """Compare a sample of one table."""
    comparison = compare_sample(sides, plan, limits, sample, progress)
    sides.crosswalk.correct(comparison.wrong_links)
    return Examined(comparison, comparison.findings.extra.frame)


def differs(examined: Examined) -> bool:
    """Whether there is anything to look at again."""
    return difference_count(examined.comparison, examined.copies) > 0


def look_twice(
    settings: Settings, source: Source, examined: Sequence[Examined], wait_s: float, progress: Progress
) -> list[Examined]:
    """Wait, then keep what is still different."""
    progress.note(f"Differences found; looking at them again in {wait_s:g} s.")
    time.sleep(wait_s)
    with connect_bulk(settings.target) as target:
        now = now_of(settings, source, target)
        return [again(now, one) if differs(one) else one for one in examined]


def now_of(settings: Settings, source: Source, target: BulkConnection) -> Now:
    """Both sides as they are now."""
    return Now(
        open_source=lambda database: reading(source, database),
        target=target,
        schema=settings.target.schema_name,
        state_schema=settings.target.state_schema,
        batch_rows=settings.reconcile.batch_rows,
        merged=merged_now(settings, target),
    )


def merged_now(settings: Settings, target: BulkConnection) -> Merged | None:
    """What deduplication joined by now; None when it never joined anything."""
    if not anything_merged(target, settings.target.state_schema):
        return None
    return open_merged(settings, target, settings.state_dir / "reconcile" / "crosswalk", threading.RLock())


def again(now: Now, before: Examined, *, find_sources: bool = True) -> Examined:
    """The second look at one table. Copies are extra rows, and looked at as such."""
    comparison, copies = before.comparison, before.copies
    if not copies.is_empty():
        findings = comparison.findings
        rows = copies.select(findings.extra.frame.columns)
        extra = Rows(findings.extra.count + rows.height, pl.concat([findings.extra.frame, rows]))
        comparison = replace(comparison, findings=replace(findings, extra=extra))
    looked = look_again(now, comparison, find_sources=find_sources)
    if not copies.is_empty() and not looked.findings.extra.frame.is_empty():
        key = list(looked.plan.key)
        copies = copies.join(looked.findings.extra.frame, on=key, how="semi")
        still_extra = looked.findings.extra.frame.join(copies, on=key, how="anti")
        extra = Rows(looked.findings.extra.count - copies.height, still_extra)
        looked = replace(looked, findings=replace(looked.findings, extra=extra))
    elif looked.findings.extra.frame.is_empty():
        copies = copies.clear()
    entries = {system: still_there(now, system, rows) for system, rows in before.extra_entries.items()}
    gone = difference_count(before.comparison, before.copies) - difference_count(looked, copies)
    return replace(before, comparison=looked, copies=copies, extra_entries=entries, gone=max(0, gone))


def still_there(now: Now, system: str, entries: pl.DataFrame) -> pl.DataFrame:
    """Crosswalk entries that are as they were."""
    found = LookupNow(now.target, now.schema)(system, entries["source_id"])
    return entries.filter(found.eq_missing(entries["member_id"]))


def difference_count(comparison: Comparison, copies: pl.DataFrame) -> int:
    """How many differences there are."""
    return comparison.findings.count + comparison.tally.refused.count + len(comparison.wrong_links) + copies.height


def describe(
    settings: Settings,
    instant: datetime,
    note: str,
    examined: Sequence[Examined],
    sampled: float | None,
    unrecorded: int,
) -> ReconcileResult:
    """What is told of it all."""
    tables: list[TableResult] = []
    for one in examined:
        tables.append(describe_table(one, settings.reconcile.max_listed))
        crosswalk = describe_crosswalk(one, settings.reconcile.max_listed)
        tables += [crosswalk] if crosswalk is not None else []
    return summarise(tuple(tables), instant, note, sampled, unrecorded)
