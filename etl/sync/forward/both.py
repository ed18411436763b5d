"""Tables that both sides change: what the legacy side has is merged into what the target has, column by column.

The rule is etl/sync/merge.py. A page is one transaction: position, crosswalk, rows, what both sides have in common, conflicts.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import polars as pl

from etl.load.crosswalk import DEDUPE
from etl.sync.base import RowBase, forget_bases, read_bases, write_bases
from etl.sync.capture.marks import LOCK_WAIT, LOCKED
from etl.sync.conflicts import DELETED as ROW_DELETED
from etl.sync.conflicts import FoundConflict, of_merge, write_conflicts
from etl.sync.forward.append import POISON, InTheWay, why
from etl.sync.forward.context import MEMBERS
from etl.sync.forward.crosswalk import add_entries, end_entries, join_records
from etl.sync.forward.gather_members import gather_members
from etl.sync.forward.gather_rows import gather_rows
from etl.sync.forward.held_rows import HELD, RowHeldError, held_keys
from etl.sync.forward.later_changes import put_off
from etl.sync.forward.lineage import renew_lineage
from etl.sync.forward.merged_rows import Merging, merge_row
from etl.sync.forward.positions import Reached, move
from etl.sync.forward.record import keep_letters, quarantine
from etl.sync.forward.singly import OneRow, write_singly
from etl.sync.forward.transform import Ensure
from etl.sync.forward.upsert import count_rows, delete_rows, read_rows, upsert, upsert_dirty
from etl.sync.forward.wanted import Wanted
from etl.sync.forward.work import Work
from etl.sync.model import KEY, OURS, Counts, DeadLetter
from etl.target.errors import ServerError
from etl.target.retry import with_retries

WriteRows = Callable[[Work, Mapping[str, OneRow]], dict[str, int]]
"""Writes rows by key; returns the errors of those that the target does not take."""


@dataclass(frozen=True)
class MergedPage:
    """`later`: keys of rows that wait for the next round. `failed`: why the target does not take others (error numbers)."""

    conflicts: list[FoundConflict]
    later: set[str]
    failed: dict[str, int]


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
    """Write what a page comes to, in a transaction that is done again where that helps: all rows at once, and where the target
    does not take one of them, one by one. Rows that an application holds for longer than a second are left out."""
    retries = work.context.settings.target.retries
    write, without_held = write_at_once, False
    while True:
        page = partial(write_page, work, wanted, seen, to, write, without_held=without_held)
        try:
            return with_retries(page, retries=retries)
        except RowHeldError:
            without_held = True
        except InTheWay:
            write = write_singly
        except ServerError as error:
            if error.number not in POISON or write is write_singly:
                raise
            write = write_singly


def write_page(
    work: Work, wanted: Wanted, seen: Reached | None, to: Reached | None, write: WriteRows, *, without_held: bool = False
) -> Counts:
    """The transaction."""
    target, state = work.context.target, work.context.plan.state_schema
    counts = Counts()
    with target.transaction():
        target.execute(LOCK_WAIT)
        if seen is not None and to is not None and not move(target, state, seen, to):
            return counts
        follow_crosswalk(work, wanted)
        conflicts = delete_gone(work, wanted, counts)
        merged = merge_page(work, wanted, counts, write, without_held=without_held)
        counts.conflicts = write_conflicts(target, state, [*conflicts, *merged.conflicts])
        refused = quarantine(target, state, work.plan, work.part, wanted.made, wanted.gone_legacy)
        through = set(wanted.changed) - set(legacy_of(work, wanted, merged.later))
        counts.dead = refused + keep_letters(work, through, [*letters_of(work, wanted, merged.failed), *wanted.letters])
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


def merge_page(work: Work, wanted: Wanted, counts: Counts, write: WriteRows, *, without_held: bool) -> MergedPage:
    """Merge every wanted row with the target's, both locked with what they had in common, and write what comes of it."""
    target, state = work.context.target, work.context.plan.state_schema
    plan, kept = work.plan, work.table.kept
    rows = wanted.rows.sort(KEY)
    held = held_keys(work, rows) if without_held and not rows.is_empty() else set[str]()
    rows = rows.filter(~pl.col(KEY).is_in(list(held)))
    there = lock_there(work, rows, without_held=without_held)
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
    chosen = {key: merged for key, merged in outcomes.items() if merged is not None and key not in later}
    failed = write(work, {key: OneRow(one.values, key in there, one.in_step) for key, one in chosen.items() if one.write})
    conflicts: list[FoundConflict] = []
    changed: dict[str, RowBase] = {}
    for row in rows.iter_rows(named=True):
        key = str(row[KEY])
        merged = chosen.get(key)
        if merged is None or key in failed:
            continue
        conflicts += of_merge("forward", plan.target, key, merged.conflicts, values_of(work, row), merged.before)
        if merged.base != bases.get(key):
            changed[key] = merged.base
        counts.written += merged.write
        counts.unchanged += not merged.write
    counts.held += len(outcomes) - len(chosen)
    write_bases(target, state, plan.target, kept, changed)
    return MergedPage(conflicts, later, failed | dict.fromkeys(held, HELD))


def lock_there(work: Work, rows: pl.DataFrame, *, without_held: bool) -> dict[str, dict[str, Any]]:
    """Those of the rows that the target has, locked. Raises RowHeldError where an application holds one and those were not left
    out; ServerError."""
    try:
        found = read_rows(work.context.target, work.context.plan.schema, work.plan, rows)
    except ServerError as error:
        if without_held or error.number not in LOCKED:
            raise
        raise RowHeldError from error
    return {row[KEY]: row for row in found.iter_rows(named=True)}


def write_at_once(work: Work, rows: Mapping[str, OneRow]) -> dict[str, int]:
    """All rows in few statements. Raises InTheWay when a unique value beside the key is held by another row, ServerError."""
    target, schema, plan = work.context.target, work.context.plan.schema, work.plan
    in_step, dirty = (
        pl.DataFrame([row.values for row in rows.values() if row.in_step is stepped], schema=plan.schema)
        for stepped in (True, False)
    )
    upsert(target, schema, plan, in_step, guarded=False)
    upsert_dirty(target, schema, plan, dirty)
    if len(work.context.unique_keys.get(plan.target, ())) > 1:
        written = pl.concat([in_step, dirty])
        if count_rows(target, schema, plan, written) != written.height:
            raise InTheWay  # the server took another row's unique value for this row's key, and changed that row: undo it
    return {}


def letters_of(work: Work, wanted: Wanted, failed: Mapping[str, int]) -> list[DeadLetter]:
    """A letter for each row that the target does not take, by a legacy row that it is made of: one that changed, if any did."""
    mine = wanted.origins.filter(pl.col(KEY).is_in(list(failed))).with_columns(
        (pl.col("part") == work.part.part.name).alias("here"), pl.col("legacy").is_in(wanted.changed.implode()).alias("changed")
    )
    first = mine.sort("here", "changed", descending=True, maintain_order=True).unique(KEY, keep="first", maintain_order=True)
    return [
        DeadLetter("forward", part, legacy, *why(failed[key]))
        for key, part, legacy in first.select(KEY, "part", "legacy").iter_rows()
    ]


def legacy_of(work: Work, wanted: Wanted, keys: Collection[str]) -> list[str]:
    """The part's legacy rows that these target rows are made of."""
    if not keys:
        return []
    mine = wanted.origins.filter(pl.col(KEY).is_in(list(keys)) & (pl.col("part") == work.part.part.name))
    return mine["legacy"].to_list()


def values_of(work: Work, row: dict[str, Any]) -> dict[str, Any]:
    """The mapped columns of a row."""
    return {name: row[name] for name in work.plan.schema}
