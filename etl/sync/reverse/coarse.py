"""Times of a new record that its type holds more coarsely than the target: rounded so that the golden record keeps its own.

A till's card counts minutes. Where the earliest registration survives, a card that is rounded down would be the earliest, and
move the member's registration by seconds; rounded up it is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta

import polars as pl

from etl.reconcile.expected import SYSTEM
from etl.reconcile.merged import Survive, golden_rows
from etl.reconcile.plan import LINK, TablePlan

NEW = "new"
Image = Callable[[pl.DataFrame], pl.DataFrame]
"""From rows of members to what their new records would make of them, row by row."""


def nudged(
    plan: TablePlan,
    survive: Survive,
    rows: pl.DataFrame,
    systems: Sequence[Sequence[str]],
    steps: Mapping[str, int],
    image: Image,
) -> pl.DataFrame:
    """Rows of members with times that a new record may hold without moving theirs, where there are such times.

    `systems`: for each row the systems in which the member has other records, or will; `steps`: the columns that the new record
    holds more coarsely, with how far apart its values are (microseconds).
    """
    if not steps:
        return rows
    settled = rows
    moved = set(moved_rows(plan, survive, rows, image(rows), systems, steps))
    for half in (1, -1, 2):
        if not moved:
            break
        tried = shifted(rows, moved, {name: half * step // 2 - (half == 2) for name, step in steps.items()})
        left = set(moved_rows(plan, survive, rows, image(tried), systems, steps)) & moved
        fits = pl.Series([at in moved - left for at in range(rows.height)], dtype=pl.Boolean)
        settled = settled.with_columns(pl.when(fits).then(tried[name]).otherwise(settled[name]).alias(name) for name in steps)
        moved = left
    return settled


def shifted(rows: pl.DataFrame, some: set[int], by: Mapping[str, int]) -> pl.DataFrame:
    """Some rows with their times moved by microseconds: the type's own rounding does the rest."""
    chosen = pl.Series([at in some for at in range(rows.height)], dtype=pl.Boolean)
    return rows.with_columns(
        pl.when(chosen).then(pl.col(name) + timedelta(microseconds=amount)).otherwise(pl.col(name)).alias(name)
        for name, amount in by.items()
    )


def moved_rows(
    plan: TablePlan,
    survive: Survive,
    rows: pl.DataFrame,
    images: pl.DataFrame,
    systems: Sequence[Sequence[str]],
    steps: Mapping[str, int],
) -> Iterator[int]:
    """Rows whose golden record would get another time by a record that says what `images` do."""
    (member_id,) = plan.key
    records = []
    for at, others in enumerate(systems):
        for number, system in enumerate(others):
            records.append(as_record(plan, rows[at], system, f"there{number}"))
        if others:
            records.append(as_record(plan, images[at], NEW, NEW))
    if not records:
        return
    golden = {row[member_id]: row for row in golden_rows(plan, survive, pl.concat(records)).iter_rows(named=True)}
    for at, row in enumerate(rows.iter_rows(named=True)):
        said = golden.get(row[member_id])
        if said is not None and any(said[name] != row[name] for name in steps):
            yield at


def as_record(plan: TablePlan, row: pl.DataFrame, system: str, link: str) -> pl.DataFrame:
    """A member's row as one of its records."""
    return row.select(*plan.schema.names(), pl.lit(system).alias(SYSTEM), pl.lit(link).alias(LINK))
