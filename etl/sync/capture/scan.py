"""Rows changed since a watermark, in the order in which they were changed, a bounded page at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import polars as pl

from etl.load.sql import name_list, sql
from etl.names import backtick
from etl.sync.capture.rows import DIRTY, UPDATED_AT, microseconds, moment, names_of, read_pages, select_rows
from etl.sync.model import KEY, DirtyRows
from etl.sync.plan import SyncTable
from etl.target.bulk import BulkConnection

PAGE_ROWS: Final = 1_000


def scan_dirty(
    connection: BulkConnection, schema: str, table: SyncTable, since_us: int, page_rows: int = PAGE_ROWS
) -> Iterator[DirtyRows]:
    """Dirty rows with updated_at >= `since_us` (microseconds since 1970, UTC), by (updated_at, key).

    Each page is a statement of its own, so that the connection is free between pages, and a row changed meanwhile comes again at
    its new place. A backlog whose rows share one time (a bulk update) is read faster by `sweep_dirty`. Raises ServerError.
    """
    last: pl.DataFrame | None = None
    while True:
        condition, values = after(table, since_us, last)
        end = None if last is None else page_end(connection, schema, table, condition, values, page_rows)
        if end is not None:
            condition, values = f"{condition} AND {UPDATED_AT} <= %s", (*values, end)
        order = f"{UPDATED_AT}, {name_list(table.plan.key)}"
        statement = select_rows(schema, table, f"{condition} AND {DIRTY} ORDER BY {order} LIMIT {page_rows:d}")
        found = list(read_pages(connection, statement, table, values, page_rows))
        if found:
            page = pl.concat([each.rows for each in found]).unique(KEY, keep="last", maintain_order=True)
            yield DirtyRows(table, page, found[0].captured_at)
            last = page.tail(1)
        if end is None and sum(each.rows.height for each in found) < page_rows:
            return


def page_end(
    connection: BulkConnection, schema: str, table: SyncTable, condition: str, values: Sequence[Any], page_rows: int
) -> str | None:
    """The time of a page's last row, from the index alone; None when no full page is left.

    Without it each page would sort all that is left of a backlog: the square of its size. Only pages behind a full one ask.
    """
    statement = (
        "SELECT updated_at FROM {schema}.{table} FORCE INDEX ({index}) WHERE {condition} AND {dirty} "
        "ORDER BY updated_at LIMIT 1 OFFSET {before}"
    )
    fragments = {"condition": condition, "dirty": DIRTY, "before": str(page_rows - 1)}
    found = connection.scalar(sql(statement, names_of(schema, table), **fragments), values)
    return None if found is None else moment(microseconds(found))


def tables_with_rows(
    connection: BulkConnection, schema: str, since_us: Mapping[str, int], tables: Iterable[SyncTable], which: str = DIRTY
) -> tuple[SyncTable, ...]:
    """Which of the tables have a dirty row (or what `which` says) at or after their watermark, asked in one statement: what a
    quiet round costs.

    Raises ServerError.
    """
    asked = tuple(tables)
    if not asked:
        return ()
    one = "EXISTS (SELECT 1 FROM {schema}.{table} FORCE INDEX ({index}) WHERE updated_at >= %s AND {which})"
    questions = ", ".join(sql(one, names_of(schema, table), which=which) for table in asked)
    answers = connection.query(f"SELECT {questions}", tuple(moment(since_us[table.name]) for table in asked))[0]
    return tuple(table for table, answer in zip(asked, answers, strict=True) if int(answer))


def after(table: SyncTable, since_us: int, last: pl.DataFrame | None) -> tuple[str, tuple[Any, ...]]:
    """Where the next page begins: at the watermark, or behind the last row of the page before."""
    if last is None:
        return f"{UPDATED_AT} >= %s", (moment(since_us),)
    at = moment(microseconds(last[UPDATED_AT][0]))
    key = last.select(table.plan.key).row(0)
    behind, values = greater_key(table.plan.key, key)
    return f"{UPDATED_AT} >= %s AND ({UPDATED_AT} > %s OR {behind})", (at, at, *values)


def greater_key(names: Sequence[str], values: Sequence[Any], sign: str = ">") -> tuple[str, tuple[Any, ...]]:
    """The condition of a key greater (or less) than `values`, written out: row comparisons keep planners from using ranges.

    >>> greater_key(("a", "b"), (1, 2))
    ('(`a` > %s OR (`a` = %s AND (`b` > %s)))', (1, 1, 2))
    """
    first, value = backtick(names[0]), values[0]
    if len(names) == 1:
        return f"({first} {sign} %s)", (value,)
    rest, others = greater_key(names[1:], values[1:], sign)
    return f"({first} {sign} %s OR ({first} = %s AND {rest}))", (value, value, *others)
