"""Tables that both sides change: what the legacy side has is merged into what the target has, column by column.

The rule is etl/sync/merge.py. A page is one transaction: position, crosswalk, rows, what both sides have in common, conflicts.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import polars as pl

from etl.load.crosswalk import DEDUPE
from etl.sync.base import RowBase, forget_bases, read_bases, write_bases
from etl.sync.conflicts import DELETED as ROW_DELETED
from etl.sync.conflicts import FoundConflict, of_merge, write_conflicts
from etl.sync.dead_letters import write_dead_letters
from etl.sync.forward.context import MEMBERS
from etl.sync.forward.crosswalk import add_entries, end_entries, join_records
from etl.sync.forward.gather_members import gather_members
from etl.sync.forward.gather_rows import gather_rows
from etl.sync.forward.later_changes import put_off
from etl.sync.forward.lineage import renew_lineage
from etl.sync.forward.merged_rows import Merging, merge_row
from etl.sync.forward.positions import Reached, move
from etl.sync.forward.record import quarantine
from etl.sync.forward.transform import Ensure
from etl.sync.forward.upsert import delete_rows, read_rows, upsert, upsert_dirty
from etl.sync.forward.wanted import Wanted
from etl.sync.forward.work import Work
from etl.sync.model import KEY, OURS, Counts
from etl.target.retry import with_retries


def apply_both(work: Work, changes: pl.DataFrame, ensure: Ensure | None, seen: Reached | None, to: Reached | None) -> Counts:
    """Merge one page of changes (read_changes.py) into the target, and move the position, if any, from `seen` to `to`.

    Safe to be done again. Raises ServerError, RefusedError.
    """
    with MEMBERS:
        persons = work.part.part.defines_member is not None
        wanted = gather_members(work, changes) if persons else gather_rows(work, changes, ensure)
        counts = apply_wanted(work, wanted, seen, to)
    counts.own = int(changes[OURS].sum())
    return counts


def apply_wanted(work: Work, wanted: Wanted, seen: Reached | None, to: Reached | None) -> Counts:
    """Write what a page comes to, in a transaction that is done again where that helps."""
    return with_retries(partial(write_page, work, wanted, seen, to), retries=work.context.settings.target.retries)


def write_page(work: Work, wanted: Wanted, seen: Reached | None, to: Reached | None) -> Counts:
    """The transaction."""
    target, state = work.context.target, work.context.plan.state_schema
    counts = Counts()
    with target.transaction():
        if seen is not None and to is not None and not move(target, state, seen, to):
            return counts
        follow_crosswalk(work, wanted)
        conflicts = delete_gone(work, wanted, counts) + merge_page(work, wanted, counts)
        counts.conflicts = write_conflicts(target, state, conflicts)
        refused = quarantine(target, state, work.plan, work.part, wanted.made, wanted.gone_legacy)
        counts.dead = refused + write_dead_letters(target, state, wanted.letters)
    return counts


def follow_crosswalk(work: Work, wanted: Wanted) -> None:
    """Entries of newcomers, of records that are gone, and of persons already known; where golden values come from."""
    target, schema, state = work.context.target, work.context.plan.schema, work.context.plan.state_schema
    system = work.part.part.defines_member
    if system is None:
        return
    end_entries(target, schema, system.name, wanted.ended)
    add_entries(target, schema, wanted.joined)
    matched = wanted.joined.filter(pl.col("linked_by") == DEDUPE)
    if not matched.is_empty():
        there = wanted.known.filter(pl.col("member_id").is_in(matched["member_id"].implode()))
        join_records(target, schema, state, there, matched)
    renew_lineage(target, state, wanted.told, wanted.merged)


def delete_gone(work: Work, wanted: Wanted, counts: Counts) -> list[FoundConflict]:
    """Delete rows that no legacy row stands for any more; those changed on the target since stay, as conflicts."""
    if wanted.gone.is_empty():
        return []
    target, plan, state = work.context.target, work.plan, work.context.plan.state_schema
    dirty = read_rows(target, work.context.plan.schema, plan, wanted.gone, dirty=True)
    counts.deleted = delete_rows(target, work.context.plan.schema, plan, wanted.gone, guarded=True)
    forget_bases(target, state, plan.target, wanted.gone[KEY].to_list())
    return [
        FoundConflict("forward", plan.target, str(row[KEY]), (ROW_DELETED,), "target", "target", None, values_of(work, row))
        for row in dirty.iter_rows(named=True)
    ]


def merge_page(work: Work, wanted: Wanted, counts: Counts) -> list[FoundConflict]:
    """Merge every wanted row with the target's, both locked with what they had in common, and write what comes of it."""
    target, schema, state = work.context.target, work.context.plan.schema, work.context.plan.state_schema
    plan, kept = work.plan, work.table.kept
    rows = wanted.rows.sort(KEY)
    there = {row[KEY]: row for row in read_rows(target, schema, plan, rows).iter_rows(named=True)}
    bases = read_bases(target, state, plan.target, kept, rows[KEY].to_list(), lock=True)
    merging = Merging(work.table, work.context.limits.clock_allowance)
    outcomes = {
        str(row[KEY]): merge_row(merging, row, there.get(row[KEY]), bases.get(row[KEY]), wanted.returned.get(row[KEY], {}))
        for row in rows.iter_rows(named=True)
    }
    at_risk = {
        key
        for key, merged in outcomes.items()
        if merged is not None and key in there and (merged.write or merged.base != bases.get(key))
    }
    later = put_off(work.context, wanted.sources, at_risk) if at_risk else set()
    conflicts: list[FoundConflict] = []
    in_step: list[dict[str, Any]] = []
    dirty: list[dict[str, Any]] = []
    changed: dict[str, RowBase] = {}
    for row in rows.iter_rows(named=True):
        key = str(row[KEY])
        merged = outcomes[key]
        if merged is None or key in later:
            counts.held += 1
            continue
        conflicts += of_merge("forward", plan.target, key, merged.conflicts, values_of(work, row), merged.before)
        if merged.write:
            (in_step if merged.in_step else dirty).append(merged.values)
        if merged.base != bases.get(key):
            changed[key] = merged.base
        counts.written += merged.write
        counts.unchanged += not merged.write
    names = plan.schema
    upsert(target, schema, plan, pl.DataFrame(in_step, schema=names), guarded=False)
    upsert_dirty(target, schema, plan, pl.DataFrame(dirty, schema=names))
    write_bases(target, state, plan.target, kept, changed)
    return conflicts


def values_of(work: Work, row: dict[str, Any]) -> dict[str, Any]:
    """The mapped columns of a row."""
    return {name: row[name] for name in work.plan.schema}
