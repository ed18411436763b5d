"""Tables whose rows one side makes and the other copies: "append" and "source". A page is one transaction with its position.

A row that changed on the target meanwhile is left as it is ("append": reverse sends it) or overwritten ("source"), and kept as a
conflict either way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import polars as pl

from etl.reconcile.describe import same
from etl.reconcile.match import equal_pairs
from etl.reconcile.plan import TablePlan
from etl.sync.conflicts import DELETED as ROW_DELETED
from etl.sync.conflicts import FoundConflict, write_conflicts
from etl.sync.forward.held_rows import HELD
from etl.sync.forward.positions import Reached, move
from etl.sync.forward.record import keep_letters, quarantine
from etl.sync.forward.transform import LEGACY, Ensure, Transformed, born_keys, target_keys, transform
from etl.sync.forward.unique import Shift, find_shift, replace_one_by_one
from etl.sync.forward.upsert import count_rows, delete_rows, read_rows, upsert
from etl.sync.forward.wanted import no_keys
from etl.sync.forward.work import Work
from etl.sync.merge import Side
from etl.sync.model import DELETED, KEY, OURS, Counts, DeadLetter
from etl.target.errors import ServerError
from etl.target.retry import with_retries

POISON: Final = frozenset({1048, 1062, 1264, 1265, 1292, 1366, 1406, 1690, 3819, 4025, 8025})
"""Errors about one row's values: the others of its page go on without it."""


class InTheWay(Exception):
    """A unique value of a row of this page is held by another row."""


@dataclass(frozen=True)
class Page:
    """What a page of changes comes to. `rows`: to be written, `gone`: keys of rows to be deleted, `gone_legacy`: legacy keys that
    are gone, `letters`: rows that stand for the same target row as another. `changed`: keys of all legacy rows that changed."""

    made: Transformed
    rows: pl.DataFrame
    gone: pl.DataFrame
    gone_legacy: pl.Series
    letters: tuple[DeadLetter, ...]
    own: int
    changed: pl.Series = field(default_factory=no_keys)


def apply_append(work: Work, changes: pl.DataFrame, ensure: Ensure | None, seen: Reached | None, to: Reached | None) -> Counts:
    """Bring one page of changes (read_changes.py) to the target, and the position, if any, from `seen` to `to`.

    Safe to be done again. Raises ServerError, RefusedError.
    """
    return apply_page(work, make_page(work, changes, ensure), seen, to)


def apply_page(work: Work, page: Page, seen: Reached | None, to: Reached | None) -> Counts:
    """Write a page: all rows at once, and where one of them is in the way, one by one."""
    retries = work.context.settings.target.retries
    try:
        return with_retries(lambda: write_page(work, page, seen, to, write_rows), retries=retries)
    except InTheWay:
        pass
    except ServerError as error:
        if error.number not in POISON:
            raise
    shift = find_shift(work, page.rows)
    one_by_one = partial(write_shift, shift)
    return with_retries(lambda: write_page(work, page, seen, to, one_by_one), retries=retries)


def make_page(work: Work, changes: pl.DataFrame, ensure: Ensure | None) -> Page:
    """Transform; our own writes are left out, since the target is where they come from."""
    others = changes.filter(~pl.col(OURS))
    born = born_keys(work.session, work.part, others[KEY], there=work.head.born)
    frame = others.filter(~pl.col(DELETED)).drop(KEY)
    made = transform(work.plan, work.part, frame, work.lookup, work.beside, born=born, ensure=ensure)
    gone_legacy = others.filter(DELETED)[KEY]
    gone = target_keys(work.plan, work.part, gone_legacy, work.lookup, born)
    rows = made.rows.unique(KEY, keep="first", maintain_order=True)
    again = made.rows.filter(~pl.col(LEGACY).is_in(rows[LEGACY].implode()))[LEGACY].to_list()
    letters = tuple(
        DeadLetter("forward", work.part.part.name, key, "duplicate_key", "another legacy row makes the same target row")
        for key in again
    )
    if work.again:
        rows = without_same(work, rows)
    return Page(made, rows, gone, gone_legacy, letters, changes.height - others.height, changes[KEY])


def without_same(work: Work, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows that the target does not have as they are."""
    there = read_rows(work.context.target, work.context.plan.schema, work.plan, rows, lock=False)
    same_rows = equal_pairs(rows, there, work.plan.key, work.plan.compared, in_step=False)["e"]
    return rows.with_row_index("__row").filter(~pl.col("__row").is_in(same_rows.implode())).drop("__row")


WriteRows = Callable[[Work, Page], tuple[list[FoundConflict], list[DeadLetter]]]


def write_page(work: Work, page: Page, seen: Reached | None, to: Reached | None, write: WriteRows) -> Counts:
    """One transaction: position, deletes, rows, and what is to be kept of those that were not carried over."""
    target, state = work.context.target, work.context.plan.state_schema
    counts = Counts(own=page.own)
    with target.transaction():
        if seen is not None and to is not None and not move(target, state, seen, to):
            return counts
        conflicts = delete_page(work, page, counts)
        found, letters = write(work, page)
        counts.conflicts = write_conflicts(target, state, [*conflicts, *found])
        refused = quarantine(target, state, work.plan, work.part, page.made, page.gone_legacy)
        counts.dead = refused + keep_letters(work, page.changed, [*letters, *page.letters])
    kept = sum(one.winner == "target" for one in found)
    counts.written = page.rows.height - kept - len(letters)
    return counts


def delete_page(work: Work, page: Page, counts: Counts) -> list[FoundConflict]:
    """Delete the rows whose legacy rows are gone. Those changed on the target stay, as conflicts, unless the source rules."""
    if page.gone.is_empty():
        return []
    target, schema, plan = work.context.target, work.context.plan.schema, work.plan
    from_source = work.table.rules.mode == "source"
    dirty = read_rows(target, schema, plan, page.gone, dirty=True)
    counts.deleted = delete_rows(target, schema, plan, page.gone, guarded=not from_source)
    winner = winner_of(work)
    return [
        FoundConflict("forward", plan.target, str(row[KEY]), (ROW_DELETED,), winner, winner, None, values_of(plan, row))
        for row in dirty.iter_rows(named=True)
    ]


def write_rows(work: Work, page: Page) -> tuple[list[FoundConflict], list[DeadLetter]]:
    """All rows at once. Raises InTheWay when a unique value beside the key is held by another row."""
    if page.rows.is_empty():
        return [], []
    target, schema, plan = work.context.target, work.context.plan.schema, work.plan
    from_source = work.table.rules.mode == "source"
    before = read_rows(target, schema, plan, page.rows, dirty=True) if from_source else None
    upsert(target, schema, plan, page.rows, guarded=not from_source)
    if len(work.context.unique_keys.get(plan.target, ())) > 1 and count_rows(target, schema, plan, page.rows) != page.rows.height:
        raise InTheWay  # the server took another row's unique value for this row's key, and changed that row: undo it
    dirty = read_rows(target, schema, plan, page.rows, dirty=True) if before is None else before
    return conflicts_of(plan, page.rows, dirty, winner_of(work)), []


def write_shift(shift: Shift, work: Work, page: Page) -> tuple[list[FoundConflict], list[DeadLetter]]:
    """The same row by row, with the rows that hold their unique values, so that values may change hands."""
    rows = pl.concat([page.rows.select(shift.rows.columns), shift.rows])
    dirty, failed = replace_one_by_one(work, rows, shift.gone, POISON)
    letters = [
        DeadLetter("forward", work.part.part.name, str(key), *why(number))
        for key, number in page.rows.filter(pl.col(KEY).is_in(list(failed))).select(LEGACY, KEY).iter_rows()
        for number in [failed[str(number)]]
    ]
    return conflicts_of(work.plan, page.rows, dirty, winner_of(work)), letters


def winner_of(work: Work) -> Side:
    """Whose row stays when both sides changed one."""
    return "source" if work.table.rules.mode == "source" else "target"


def why(number: int) -> tuple[str, str]:
    """Reason and detail of a row that the target does not take."""
    if number == 1062:
        return "duplicate_key", "another row of the target holds one of its unique values, and keeps it"
    if number == HELD:
        return "locked", "an application holds the row on the target; it is tried again"
    return "refused_by_target", f"the target refuses its values (error {number})"


def conflicts_of(plan: TablePlan, rows: pl.DataFrame, dirty: pl.DataFrame, winner: Side) -> list[FoundConflict]:
    """Rows that were changed on the target to something else than the legacy side says."""
    if dirty.is_empty():
        return []
    wanted = {row[KEY]: row for row in rows.filter(pl.col(KEY).is_in(dirty[KEY].implode())).iter_rows(named=True)}
    found: list[FoundConflict] = []
    for there in dirty.iter_rows(named=True):
        if (row := wanted.get(there[KEY])) is None:
            continue
        columns = tuple(name for name in plan.compared if not same(row[name], there[name]))
        if columns:
            images = values_of(plan, row), values_of(plan, there)
            found.append(FoundConflict("forward", plan.target, str(there[KEY]), columns, winner, winner, *images))
    return found


def values_of(plan: TablePlan, row: dict[str, Any]) -> dict[str, Any]:
    """The mapped columns of a row."""
    return {name: row[name] for name in plan.schema}
