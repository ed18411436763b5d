"""Dirty rows of the target brought to the legacy side, a batch a transaction; a batch that fails is halved until the bad row
stands alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import polars as pl

from etl.reconcile.expected import read_lookups
from etl.source.errors import CAUSES, LOST_NUMBERS, ServerError
from etl.sync.base import RowBase
from etl.sync.model import KEY, DeadLetter, DirtyRows
from etl.sync.plan import SyncTable
from etl.sync.reverse.attempt import Page, attempt
from etl.sync.reverse.born import ensure_records
from etl.sync.reverse.delete import delete_rows
from etl.sync.reverse.inverse import PartInverse, invert_part
from etl.sync.reverse.locate import parts_of, sorted_into_parts
from etl.sync.reverse.model import ReverseContext, Reversed
from etl.sync.reverse.proof import Reason
from etl.sync.reverse.records import Records

__all__ = ["delete_rows", "reverse_rows"]

LOCK_NUMBERS: Final = frozenset({1205, 1222, 3960})
DUPLICATE_KEYS: Final = frozenset({2601, 2627})
OUTPUT_REFUSED: Final = 334
"""The table has triggers that the login may not see: its rows are numbered one by one, as those of others with triggers."""
UNREACHABLE: Final = frozenset({20002, 20008, 20009, 20012, 20013, 20014})
"""There is no server: nothing can be done until there is one."""

ALL_REFUSED: Final = 20
SHORT_WAIT_MS: Final = 100
BLOCKED_A_PAGE: Final = 12
"""Halving 500 rows down to the one that is blocked takes nine."""

REFUSED: Final = "refused_by_server"
LOOKUP_ROWS: Final = 50_000


def reverse_rows(context: ReverseContext, dirty: DirtyRows, bases: Mapping[str, RowBase]) -> Reversed:
    """Send a page of dirty rows. `bases`: what both sides last had in common, of tables of mode "both".

    Nothing is noted on the target but crosswalk entries of new records: the caller marks rows and writes bases, so that doing all
    of this again is harmless. Raises ServerError for what is no matter of single rows: a right that is missing, a table that is
    gone; and where the server cannot be reached at all.
    """
    table, result = dirty.table, Reversed()
    if table.rules.mode == "source" or dirty.rows.is_empty():
        result.later.update(dict.fromkeys(dirty.rows[KEY], "source_only"))
        return result
    page = open_page(context, table, bases)
    rows = dirty.rows.sort(KEY)
    rows = without_missing_records(page, rows, result)
    for some in rows.iter_slices(context.batch_rows):
        send(page, some, result)
    stop_if_everything_fails(page, dirty.rows)
    return result


def open_page(context: ReverseContext, table: SyncTable, bases: Mapping[str, RowBase]) -> Page:
    """What all batches of a page share."""
    inverses = tuple(invert_part(part, context.plan.mapping.time_zone) for part in table.plan.parts)
    beside = {
        part.part.name: read_lookups_of(context, inverse)
        for part, inverse in zip(table.plan.parts, inverses, strict=True)
        if part.lookups
    }
    return Page(context, table, inverses, bases, Records(context.target, context.plan.schema), beside)


def read_lookups_of(context: ReverseContext, inverse: PartInverse) -> Mapping[str, pl.DataFrame]:
    """The small tables beside a part."""
    with context.source.snapshot(inverse.part.part.source.database, pooled=True) as snapshot:
        return read_lookups(snapshot.session, inverse.part, LOOKUP_ROWS)


def without_missing_records(page: Page, rows: pl.DataFrame, result: Reversed) -> pl.DataFrame:
    """Rows that refer to members need the members' records in the system that they refer to: those that lack one get it first.
    Rows whose member cannot have one are dead letters."""
    wanted = dict(references(page, rows))
    if not wanted:
        return rows
    page.records.read({member for members in wanted.values() for member in members})
    failed = ensure_records(page.context, page.records, wanted, page.beside)
    if not failed:
        return rows
    bad = pl.Series([False] * rows.height)
    for system in wanted:
        for column in reference_columns(page, system):
            bad = bad | rows[column].is_in(list(failed)).fill_null(False)
    lost = rows.filter(bad)
    for at, row in enumerate(lost.iter_rows(named=True)):
        member = next(row[name] for system in wanted for name in reference_columns(page, system) if row[name] in failed)
        bury(page, lost[at], failed[member], result)
    return rows.filter(~bad)


def references(page: Page, rows: pl.DataFrame) -> Iterator[tuple[str, set[int]]]:
    """Members that rows refer to, by the system whose id stands for them."""
    wanted: dict[str, set[int]] = {}
    if page.table.plan.defines_members:
        return
    for inverse, mine in sorted_into_parts(page.table, page.inverses, rows, {}):
        for column in inverse.members:
            system = inverse.part.part.column(column).member
            if system is not None and mine:
                wanted.setdefault(system, set()).update(int(one) for one in rows[mine][column].drop_nulls())
    yield from wanted.items()


def reference_columns(page: Page, system: str) -> list[str]:
    """Columns that name members by a system's ids."""
    return [
        column for inverse in page.inverses for column in inverse.members if inverse.part.part.column(column).member == system
    ]


def send(page: Page, rows: pl.DataFrame, result: Reversed, *, again: bool = True, wait_ms: int | None = None) -> None:
    """One batch; in halves where it fails because of a row. A key that is there already may be that of another sync that does the
    same: looked at once more, its row is found. A row that cannot be inserted because somebody holds its place is found in the
    same way, without waiting long again; a table that is held whole is not searched. Raises ServerError for what is no matter of
    rows."""
    try:
        attempt(page, rows, result, page.context.lock_wait_ms if wait_ms is None else wait_ms)
    except ServerError as error:
        if error.number in UNREACHABLE:
            raise
        if error.number in LOCK_NUMBERS and rows.height > 1 and len(page.blocked) < BLOCKED_A_PAGE:
            page.blocked.append(error)
            half = rows.height // 2
            send(page, rows[:half], result, again=again, wait_ms=SHORT_WAIT_MS)
            send(page, rows[half:], result, again=again, wait_ms=SHORT_WAIT_MS)
        elif waits(error):
            result.later.update(dict.fromkeys(rows[KEY], "lost" if is_lost(error) else "locked"))
        elif error.number in CAUSES:
            raise
        elif error.number == OUTPUT_REFUSED and again:
            page.context.triggers.update(dict.fromkeys((part.part.source for part in page.table.plan.parts), True))
            send(page, rows, result, again=False, wait_ms=wait_ms)
        elif error.number in DUPLICATE_KEYS and again:
            send(page, rows, result, again=False, wait_ms=wait_ms)
        elif rows.height > 1:
            half = rows.height // 2
            send(page, rows[:half], result, again=again, wait_ms=wait_ms)
            send(page, rows[half:], result, again=again, wait_ms=wait_ms)
        else:
            bury(page, rows, Reason(REFUSED, f"SQL Server error {error.number}"), result)
            page.errors.append(error)


def stop_if_everything_fails(page: Page, rows: pl.DataFrame) -> None:
    """When every row of a page is refused in the same way, something else is wrong than values: thousands of dead letters would
    hide it. Raises the server's error."""
    errors = page.errors
    if len(errors) == rows.height >= ALL_REFUSED and len({error.number for error in errors}) == 1:
        raise errors[0]


def waits(error: ServerError) -> bool:
    """Whether trying the same again later may help."""
    return error.transient or is_lost(error) or error.number in LOCK_NUMBERS


def is_lost(error: ServerError) -> bool:
    """The connection went: what was under way is there, or it is not."""
    return error.number is None or error.number in LOST_NUMBERS


def bury(page: Page, rows: pl.DataFrame, why: Reason, result: Reversed) -> None:
    """Dead letters for rows."""
    parts = parts_of(page.table, page.inverses, rows)
    for at, key in enumerate(rows[KEY]):
        result.dead.append(DeadLetter("reverse", parts[at], key, why.code, why.detail))
