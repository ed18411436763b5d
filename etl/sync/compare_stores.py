"""Compare the rows of some stores on both sides: all of them, or those that may have changed since they were found to agree."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final

import polars as pl

from etl.load.sql import name_list, places, sql
from etl.names import bracket
from etl.reconcile.actual import select
from etl.reconcile.by_key import LookupNow
from etl.reconcile.expected import Expectation, read_lookups
from etl.reconcile.members import Corrections
from etl.reconcile.plan import PART, SOURCE, PartPlan, TablePlan
from etl.reconcile.rows import Comparison
from etl.reconcile.second_look import Now
from etl.source.connect import Source
from etl.source.ranges import literal
from etl.source.versions import Versions, changes_lost, was_changed
from etl.sync.capture.rows import SYNC_INDEX
from etl.sync.capture.sweep import STORE
from etl.sync.compare_some import compare_page
from etl.sync.forward.read_changes import read_tracked
from etl.sync.model import DELETED, KEY, OURS, VERSION
from etl.target.bulk import BulkConnection

CHANGES: Final = 20_000
"""Changed rows that are read at a time."""


def proceed() -> None:
    """Where a comparison may take as long as it does."""


@dataclass(frozen=True)
class Whole:
    """All rows of some stores in one table. `keys`: those of the target's rows."""

    comparison: Comparison
    keys: pl.DataFrame


@dataclass(frozen=True)
class Moment:
    """A moment on both sides. `at`: what the target's statements before it changed was committed (its clock, UTC, without zone).
    `versions`: of Change Tracking, by legacy database; None where that is off."""

    at: datetime
    versions: Mapping[str, int | None]


def compare_whole(now: Now, plan: TablePlan, stores: Sequence[str], check: Callable[[], None] = proceed) -> Whole:
    """All rows of the stores, of both sides, in a table that says whose its rows are. `check` is called now and then, and may
    raise."""
    statement = sql("{select} WHERE store_code IN ({marks})", {}, select=select(now.schema, plan), marks=places(len(stores)))
    frames = [pl.DataFrame(schema=plan.schema)]
    for frame in now.target.read_frame(statement, plan.schema, tuple(stores)):
        frames.append(frame)
        check()
    actual = blanked(plan, pl.concat(frames))
    expected = [nothing(plan)]
    for part in parts_of_stores(plan):
        for frame in legacy_rows(now, plan, part, in_stores(part, stores)):
            expected.append(frame)
            check()
    return Whole(compare_page(now, plan, pl.concat(expected, how="diagonal"), actual), actual.select(plan.key))


def compare_since(
    now: Now,
    source: Source,
    plan: TablePlan,
    stores: Sequence[str],
    since: Moment,
    known: pl.DataFrame | None,
    check: Callable[[], None] = proceed,
) -> Comparison | None:
    """Rows of the stores that changed since a moment, on either side. `known`: keys of the rows that agreed after it, where all
    were compared; None where they were not. `check` is called now and then, and may raise.

    None where that does not tell everything, so that all have to be compared: Change Tracking is off or has forgotten, rows were
    deleted, rows of the target came or went without a time that says so, or a table changed that others are looked up in.
    """
    parts = parts_of_stores(plan)
    versions = [since.versions.get(part.part.source.database) for part in parts]
    if not parts or not all(map(partial(tells_changes, source), parts, versions)):
        return None
    actual = blanked(plan, changed_rows(now, plan, stores, since.at))
    if known is not None and not same_but(known, read_keys(now.target, now.schema, plan, stores), actual, plan.key):
        return None
    expected = [nothing(plan)]
    for part, version in zip(parts, versions, strict=True):
        assert version is not None, "tells_changes looked"
        expected += list(changed_legacy_rows(now, plan, part, version, check))
    return compare_page(now, plan, of_stores(pl.concat(expected, how="diagonal"), stores, known, plan.key), actual)


def of_stores(rows: pl.DataFrame, stores: Sequence[str], known: pl.DataFrame | None, key: Sequence[str]) -> pl.DataFrame:
    """Rows that are the stores' now, or were when they were compared: one that has left them is still to have left the target.

    >>> rows = pl.DataFrame({"id": [1, 2, 3], "store_code": ["S1", "S2", "S2"]})
    >>> of_stores(rows, ["S1"], pl.DataFrame({"id": [2]}), ["id"])["id"].to_list()
    [1, 2]
    """
    mine = rows.filter(pl.col(STORE).is_in(list(stores)).fill_null(False))
    if known is None:
        return mine
    on = list(key)
    left = rows.join(known, on=on, how="semi").join(mine.select(on), on=on, how="anti")
    return pl.concat([mine, left])


def tells_stores(plan: TablePlan) -> bool:
    """Whether rows of both sides say whose they are."""
    return STORE in plan.schema and bool(parts_of_stores(plan))


def parts_of_stores(plan: TablePlan) -> tuple[PartPlan, ...]:
    """Parts whose legacy rows say whose they are."""
    return tuple(part for part in plan.parts if legacy_store(part) is not None)


def legacy_store(part: PartPlan) -> str | None:
    """The legacy column that says whose a row is."""
    try:
        sources = part.part.column(STORE).sources
    except KeyError:
        return None
    return sources[0] if len(sources) == 1 and sources[0] in part.table.by_name else None


def in_stores(part: PartPlan, stores: Sequence[str]) -> str:
    """T-SQL: the row is one of these stores'."""
    column = legacy_store(part)
    assert column is not None, "asked before"
    codes = ", ".join(literal(part.table.by_name[column], store.encode("utf-16-le")) for store in stores)
    return f"{bracket(column)} IN ({codes})"


def legacy_rows(now: Now, plan: TablePlan, part: PartPlan, where: str) -> Iterator[pl.DataFrame]:
    """What the legacy rows that `where` (T-SQL) selects make, in frames."""
    expectation: Expectation = now.expectation(plan, Corrections(LookupNow(now.target, now.schema)))
    with now.open_source(part.part.source.database) as source:
        for batch in expectation.read(source, part, read_lookups(source, part, now.batch_rows), now.batch_rows, where):
            yield batch.rows.select(*plan.schema.names(), PART, SOURCE)


def changed_legacy_rows(
    now: Now, plan: TablePlan, part: PartPlan, version: int, check: Callable[[], None]
) -> Iterator[pl.DataFrame]:
    """What the legacy rows with a change after a version make. They are joined to the changes, never looked up one by one: of all
    rows of a big table, few have changed."""
    expectation: Expectation = now.expectation(plan, Corrections(LookupNow(now.target, now.schema)))
    after: str | None = None
    with now.open_source(part.part.source.database) as source:
        beside = read_lookups(source, part, now.batch_rows)
        while True:
            read = read_tracked(source, part, version, after, CHANGES)
            rows = read.filter(~pl.col(DELETED)).drop(KEY, DELETED, OURS, VERSION)
            yield expectation.expect(part, rows, beside).rows.select(*plan.schema.names(), PART, SOURCE)
            check()
            if read.height < CHANGES:
                return
            after = str(read[KEY][-1])


def tells_changes(source: Source, part: PartPlan, version: int | None) -> bool:
    """Whether Change Tracking tells all that happened to a part's rows since a version, and they are all still there."""
    name = part.part.source
    if version is None or not part.table.change_tracking or changes_lost(source, name, version):
        return False
    changes = f"CHANGETABLE(CHANGES {bracket(name.schema)}.{bracket(name.name)}, {int(version)})"
    deleted = " ".join(("SELECT TOP (1) 1 FROM", changes, "AS c WHERE c.SYS_CHANGE_OPERATION = 'D'"))
    if source.query(deleted, database=name.database):
        return False
    return all(was_changed(source, table, Versions(version, None)) is False for _, table in part.lookups)


def changed_rows(now: Now, plan: TablePlan, stores: Sequence[str], at: datetime) -> pl.DataFrame:
    """Rows of the stores that the target changed since."""
    statement = sql(
        "{select} FORCE INDEX ({index}) WHERE updated_at >= %s AND store_code IN ({marks})",
        {"index": SYNC_INDEX},
        select=select(now.schema, plan),
        marks=places(len(stores)),
    )
    return pl.concat([pl.DataFrame(schema=plan.schema), *now.target.read_frame(statement, plan.schema, (at, *stores))])


def read_keys(target: BulkConnection, schema: str, plan: TablePlan, stores: Sequence[str]) -> pl.DataFrame:
    """Keys of all rows of the stores on the target."""
    types = {name: plan.schema[name] for name in plan.key}
    names = {"schema": schema, "table": plan.target}
    statement = "SELECT {columns} FROM {schema}.{table} WHERE store_code IN ({marks})"
    made = sql(statement, names, columns=name_list(plan.key), marks=places(len(stores)))
    return pl.concat([pl.DataFrame(schema=types), *target.read_frame(made, types, tuple(stores))])


def same_but(known: pl.DataFrame, there: pl.DataFrame, changed: pl.DataFrame, key: Sequence[str]) -> bool:
    """Whether all known rows are there, and all others are among the changed ones.

    >>> known, there = pl.DataFrame({"id": [1, 2]}), pl.DataFrame({"id": [1, 2, 3]})
    >>> [same_but(known, there, pl.DataFrame({"id": [new]}), ["id"]) for new in (3, 2)]
    [True, False]
    """
    on = list(key)
    gone = known.join(there, on=on, how="anti")
    new = there.join(known, on=on, how="anti").join(changed, on=on, how="anti")
    return gone.is_empty() and new.is_empty()


def blanked(plan: TablePlan, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows of the target without what no legacy row can hold."""
    return rows if plan.born is None else plan.born.blanked(rows)


def nothing(plan: TablePlan) -> pl.DataFrame:
    """No row of the legacy side."""
    return pl.DataFrame(schema={**plan.schema, PART: pl.UInt8, SOURCE: pl.String})
