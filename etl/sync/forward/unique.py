"""Unique values that change hands: rows are taken away before they are put back, together with the rows that hold their values.

Two campaigns that exchanged their codes cannot be updated one after the other; and the row that holds a code may be far away in
the order of keys. So holders are looked up, and written as their own legacy rows say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import polars as pl

from etl.load.sql import name_list, sql
from etl.reconcile.expected import Expectation
from etl.reconcile.legacy_keys import read_expected_of
from etl.reconcile.plan import encode_keys
from etl.sync.forward.literals import row_literals
from etl.sync.forward.upsert import delete_rows, insert, read_rows
from etl.sync.forward.work import Work
from etl.sync.model import KEY
from etl.target.errors import ServerError

LONGEST_CHAIN: Final = 20
BATCH_ROWS: Final = 5_000


@dataclass(frozen=True)
class Shift:
    """Rows that hold unique values of a page, as their legacy rows have them now (`rows`: the table's columns and KEY); `gone`:
    those without a legacy row."""

    rows: pl.DataFrame
    gone: pl.DataFrame


def find_shift(work: Work, rows: pl.DataFrame) -> Shift:
    """Holders of the unique values of `rows`, and holders of theirs, until there are no more."""
    plan, columns = work.plan, [*work.plan.schema, KEY]
    known = rows.select(columns)
    found = [known.clear()]
    gone = [known.clear().select(plan.key)]
    fresh = known
    for _ in range(LONGEST_CHAIN):
        holders = find_holders(work, fresh).join(known.select(plan.key), on=list(plan.key), how="anti")
        if holders.is_empty():
            break
        fresh = as_legacy_has(work, holders)
        found.append(fresh)
        gone.append(holders.join(fresh, on=list(plan.key), how="anti"))
        known = pl.concat([known.select(plan.key), holders])
    return Shift(pl.concat(found).unique(KEY, maintain_order=True), pl.concat(gone))


def find_holders(work: Work, rows: pl.DataFrame) -> pl.DataFrame:
    """Keys of target rows that hold a unique value of one of `rows`."""
    plan, target = work.plan, work.context.target
    types = {name: plan.schema[name] for name in plan.key}
    found = [pl.DataFrame(schema=types)]
    for unique in work.context.unique_keys.get(plan.target, ()):
        values = rows.select(unique).drop_nulls() if set(unique) <= set(plan.schema) else rows.select(plan.key).clear()
        if tuple(unique) == plan.key or values.is_empty():
            continue
        statement = sql(
            "SELECT {key} FROM {schema}.{table} WHERE ({unique}) IN ({values})",
            {"schema": work.context.plan.schema, "table": plan.target},
            key=name_list(plan.key),
            unique=name_list(unique),
            values=",".join(row_literals(values, unique).to_list()),
        )
        found += target.read_frame(statement, types)
    return pl.concat(found).unique()


def as_legacy_has(work: Work, keys: pl.DataFrame) -> pl.DataFrame:
    """The rows that the legacy side has for these target keys now, with KEY."""
    plan = work.plan
    expectation = Expectation(plan, work.lookup)
    found = [
        batch.rows.select(plan.schema.names())
        for batch in read_expected_of(work.session, expectation, work.part, work.beside, keys, BATCH_ROWS)
    ]
    rows = pl.concat([pl.DataFrame(schema=plan.schema), *found]).join(keys, on=list(plan.key), how="semi")
    return rows.with_columns(encode_keys(rows.select(plan.key)).alias(KEY))


def replace_one_by_one(
    work: Work, rows: pl.DataFrame, gone: pl.DataFrame, poison: frozenset[int]
) -> tuple[pl.DataFrame, dict[str, int]]:
    """Take rows away and put them back as `rows` says, inside the caller's transaction. Returns the rows that were not in step,
    and the error of each row that the target does not take; of such a row, what was there before stays where it can.

    A row that is not in step is left alone, unless the source rules its table.
    """
    target, schema, plan = work.context.target, work.context.plan.schema, work.plan
    there = read_rows(target, schema, plan, pl.concat([rows.select(plan.key), gone]))
    dirty = there.filter(~pl.col("synced_at").eq_missing(pl.col("updated_at")))
    if work.table.rules.mode != "source":
        rows = rows.join(dirty, on=KEY, how="anti")
        there = there.join(dirty, on=KEY, how="anti")
    delete_rows(target, schema, plan, there.select(plan.key), guarded=False)
    failed: dict[str, int] = {}
    for one in rows.iter_slices(1):
        try:
            insert(target, schema, plan, one)
        except ServerError as error:
            if error.number not in poison:
                raise
            failed[str(one[KEY][0])] = error.number
    for one in there.filter(pl.col(KEY).is_in(list(failed))).iter_slices(1):
        try:
            insert(target, schema, plan, one)
        except ServerError as error:
            if error.number not in poison:
                raise
    return dirty, failed
