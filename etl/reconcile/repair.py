"""Repair: write the rows that differ as the source has them, only if they are still as they were seen, and compare them again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import polars as pl

from etl.load.rejects import settle
from etl.progress import Progress
from etl.reconcile.differences import ReconcileResult
from etl.reconcile.lineage import lineage_of
from etl.reconcile.outcome import CROSSWALK, Examined
from etl.reconcile.plan import PART, SOURCE
from etl.reconcile.quarantine import key_texts
from etl.reconcile.run import Compared, ReconcileRequest, again, compare, describe, now_of
from etl.reconcile.second_look import Now, legacy_rows
from etl.reconcile.write_rows import ROWS_PER_TRANSACTION, RowWriter, Written
from etl.settings import Settings
from etl.source.connect import Source, open_source
from etl.target.bulk import BulkConnection
from etl.target.connect import connect_bulk
from etl.target.retry import with_retries


@dataclass(frozen=True)
class RepairRequest:
    """What to repair: target tables, all when empty. `delete_extra`: also delete rows that the source does not have."""

    tables: tuple[str, ...] = ()
    delete_extra: bool = False
    execute: bool = False


@dataclass(frozen=True)
class TableRepair:
    """Repair of one table. In a dry run the numbers are what would be written.

    Left alone: `changed_since` rows were no longer as they had been seen; `blocked` rows have a unique value that another row
    holds; `kept_extra` rows nobody asked to delete; of `unclear` rows nobody knows what is right (the mapping refuses the legacy
    row, two legacy rows make one, or a member has no id yet). `left` is how many rows still differ.
    """

    table: str
    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    changed_since: int = 0
    blocked: int = 0
    kept_extra: int = 0
    unclear: int = 0
    left: int = 0


@dataclass(frozen=True)
class RepairResult:
    """Outcome of `run_repair`. `before` is the comparison that was repaired, `after` the one that proves it (None in a dry run),
    `left` how many rows differ now."""

    executed: bool
    tables: tuple[TableRepair, ...]
    before: ReconcileResult
    after: ReconcileResult | None
    left: int


def run_repair(settings: Settings, request: RepairRequest, progress: Progress) -> RepairResult:
    """Compare, repair what differs, compare the same rows again. Without `execute` nothing is written.

    Raises as `run_reconcile` does.
    """
    with open_source(settings.source, progress) as source:
        compared = compare(settings, source, ReconcileRequest(request.tables), progress)
        planned = tuple(repair for one in compared.examined for repair in plan_repair(one, request))
        if not request.execute:
            return RepairResult(False, planned, compared.result, None, compared.result.total_differences)
        with connect_bulk(settings.target) as target:
            now = now_of(settings, source, target)
            done = tuple(repair for one in compared.examined for repair in repair_table(settings, now, one, request, progress))
            after = compare_again(settings, source, target, compared)
    left = {table.table: table.differing for table in after.tables}
    tables = tuple(
        replace(now, kept_extra=before.kept_extra, unclear=before.unclear, left=left[now.table])
        for now, before in zip(done, planned, strict=True)
    )
    return RepairResult(True, tables, compared.result, after, after.total_differences)


def plan_repair(examined: Examined, request: RepairRequest) -> Iterator[TableRepair]:
    """What a repair of one table would write, and of the crosswalk when the table defines members."""
    comparison, findings = examined.comparison, examined.comparison.findings
    extra = findings.extra.count + examined.copies.height
    unknown = missing_rows(examined, known=False).height
    yield TableRepair(
        table=comparison.plan.target,
        inserted=findings.missing.count - unknown,
        updated=findings.changed_expected.count,
        deleted=extra if request.delete_extra else 0,
        kept_extra=0 if request.delete_extra else extra,
        unclear=comparison.tally.refused.count + findings.duplicated_expected.count + unknown,
    )
    if comparison.plan.defines_members:
        links = [link for link in comparison.wrong_links if link.right is not None]
        stray = sum(entries.height for entries in examined.extra_entries.values())
        yield TableRepair(
            table=CROSSWALK,
            inserted=sum(link.found is None for link in links),
            updated=sum(link.found is not None for link in links),
            deleted=stray if request.delete_extra else 0,
            kept_extra=0 if request.delete_extra else stray,
        )


def missing_rows(examined: Examined, *, known: bool) -> pl.DataFrame:
    """Missing rows whose key is known, or those of members that have no id yet: load gives them one."""
    plan, missing = examined.comparison.plan, examined.comparison.findings.missing.frame
    if missing.is_empty() or not plan.defines_members:
        return missing if known else missing.clear()
    has_id = pl.col(plan.key[0]) > 0
    return missing.filter(has_id if known else ~has_id)


def repair_table(
    settings: Settings, now: Now, examined: Examined, request: RepairRequest, progress: Progress
) -> Iterator[TableRepair]:
    """Write the differing rows of one table, and the crosswalk's when it defines members; golden records with their lineage.

    Crosswalk first, since everything follows it; deletes before updates and inserts, since an extra row may hold a unique value.
    """
    comparison, findings = examined.comparison, examined.comparison.findings
    writer = RowWriter(now.target, settings.target.schema_name, comparison.plan, lineage_of(now, comparison))
    names = comparison.plan.schema.names()

    def write(frame: pl.DataFrame, one: Callable[[int, pl.DataFrame], Written]) -> Written:
        """Slice by slice, each a transaction that is done again when that helps."""
        total = Written()
        for first in range(0, frame.height, ROWS_PER_TRANSACTION):
            rows = frame.slice(first, ROWS_PER_TRANSACTION)
            total += with_retries(partial(one, first, rows), retries=settings.target.retries, progress=progress)
            progress.advance(comparison.plan.target, rows.height)
        return total

    progress.start(comparison.plan.target, findings.count)
    links = repair_crosswalk(settings, writer, examined, request, progress)
    extra = [rows.select(names) for rows in (findings.extra.frame, examined.copies) if not rows.is_empty()]
    deleted = write(pl.concat(extra), lambda _, rows: writer.delete(rows)) if extra and request.delete_extra else Written()
    wanted, seen = findings.changed_expected.frame, findings.changed_actual.frame
    updated = write(wanted, lambda first, rows: writer.update(rows, seen.slice(first, ROWS_PER_TRANSACTION)))
    inserted = write(missing_rows(examined, known=True), lambda _, rows: writer.insert(rows))
    progress.finish(comparison.plan.target)
    yield TableRepair(
        table=comparison.plan.target,
        inserted=inserted.rows,
        updated=updated.rows,
        deleted=deleted.rows,
        changed_since=inserted.changed_since + updated.changed_since + deleted.changed_since,
        blocked=inserted.blocked + updated.blocked,
    )
    if comparison.plan.defines_members:
        yield links


def repair_crosswalk(
    settings: Settings, writer: RowWriter, examined: Examined, request: RepairRequest, progress: Progress
) -> TableRepair:
    """Lead wrong entries to the right member; delete those that nothing stands behind, when asked to."""
    repair = TableRepair(CROSSWALK)
    for link in examined.comparison.wrong_links:
        if link.right is None:
            continue
        written = with_retries(partial(writer.link, link), retries=settings.target.retries, progress=progress)
        if not written.rows:
            repair = replace(repair, changed_since=repair.changed_since + 1)
        elif link.found is None:
            repair = replace(repair, inserted=repair.inserted + 1)
        else:
            repair = replace(repair, updated=repair.updated + 1)
    if request.delete_extra:
        for system, entries in examined.extra_entries.items():
            for source_id, member_id in entries.iter_rows():
                deleted = writer.unlink(system, source_id, member_id)
                repair = replace(repair, deleted=repair.deleted + deleted.rows)
    return repair


def compare_again(settings: Settings, source: Source, target: BulkConnection, compared: Compared) -> ReconcileResult:
    """The repaired rows, read anew on both sides; those that agree now leave quarantine."""
    now = now_of(settings, source, target)
    examined = []
    for before in compared.examined:
        after = again(now, before, find_sources=False)
        settle_repaired(settings, target, before, after)
        examined.append(after)
    first = compared.result
    return describe(settings, first.target_instant, first.note, examined, None, first.unrecorded_files)


def settle_repaired(settings: Settings, target: BulkConnection, before: Examined, after: Examined) -> None:
    """Load noted rows that differed on the target and left them to repair: settle those that agree now."""
    plan, wrong = before.comparison.plan, legacy_rows(after.comparison)
    repaired = legacy_rows(before.comparison).join(wrong, on=[PART, SOURCE], how="anti")
    for part in plan.parts:
        rows = repaired.filter(pl.col(PART) == part.number)
        if not rows.is_empty():
            with target.transaction():
                settle(target, settings.target.state_schema, part.part.name, key_texts(part, rows[SOURCE]).to_list())
