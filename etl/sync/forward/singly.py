"""Rows of a page one by one, where the page as a whole was refused: those that the target does not take are told apart.

A unique value may change hands among the rows of a page: a row that waits for one is tried again once the others are through,
and where rows wait for each other their values are taken away first. A value that a row outside the page holds is not waited for.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from etl.load.sql import places, sql
from etl.names import backtick
from etl.reconcile.plan import TablePlan
from etl.sync.forward.append import POISON
from etl.sync.forward.upsert import SYNCED, UPDATED, insert
from etl.sync.forward.work import Work
from etl.target.columns import TargetColumn, read_target_columns
from etl.target.errors import ServerError

DUPLICATE: Final = 1062
SAVEPOINT: Final = "before_parking"


@dataclass(frozen=True)
class OneRow:
    """`values`: the whole row. `there`: whether the target has it; `in_step`: whether reverse has nothing left to send."""

    values: Mapping[str, Any]
    there: bool
    in_step: bool


def write_singly(work: Work, rows: Mapping[str, OneRow]) -> dict[str, int]:
    """Write rows, by key, inside the caller's transaction and under its locks. Returns the error of each that the target does not
    take; such a row stays as it was. Raises ServerError for what is no matter of values."""
    failed = try_all(work, rows)
    waiting = {key: rows[key] for key, error in failed.items() if error == DUPLICATE}
    spare = parked_values(work)
    while spare and any(row.there for row in waiting.values()):
        work.context.target.execute(f"SAVEPOINT {SAVEPOINT}")
        for row in waiting.values():
            if row.there:
                update(work, row, spare_values(spare), (UPDATED,))
        stuck = try_all(work, waiting)
        if not stuck:
            return {key: error for key, error in failed.items() if key not in waiting}
        work.context.target.execute(f"ROLLBACK TO SAVEPOINT {SAVEPOINT}")
        waiting = {key: row for key, row in waiting.items() if key not in stuck}
    return failed


def try_all(work: Work, rows: Mapping[str, OneRow]) -> dict[str, int]:
    """Each row, and those that wait for a unique value as long as others get through. Returns the errors of the rest."""
    failed: dict[str, int] = {}
    todo: Sequence[str] = list(rows)
    while todo:
        refused = {key: error for key in todo if (error := try_one(work, rows[key])) is not None}
        failed |= {key: error for key, error in refused.items() if error != DUPLICATE}
        again = [key for key, error in refused.items() if error == DUPLICATE]
        if len(again) == len(todo):
            return failed | dict.fromkeys(again, DUPLICATE)
        todo = again
    return failed


def try_one(work: Work, row: OneRow) -> int | None:
    """Write one row; the error that the target refuses its values with."""
    plan: TablePlan = work.plan
    try:
        if row.there:
            changes = {name: value for name, value in row.values.items() if name not in plan.key}
            update(work, row, changes, (UPDATED, SYNCED) if row.in_step else (UPDATED,))
        else:
            insert(work.context.target, work.context.plan.schema, plan, pl.DataFrame([row.values], schema=plan.schema))
    except ServerError as error:
        if error.number not in POISON:
            raise
        return error.number
    return None


def update(work: Work, row: OneRow, changes: Mapping[str, Any], clocks: Iterable[str]) -> None:
    """Set columns of a row that is there, and these of its two times to now."""
    plan = work.plan
    statement = sql(
        "UPDATE {schema}.{table} SET {sets} WHERE ({key}) = ({values})",
        {"schema": work.context.plan.schema, "table": plan.target},
        sets=", ".join([*(f"{backtick(name)} = %s" for name in changes), *(f"{name} = NOW(6)" for name in clocks)]),
        key=", ".join(backtick(name) for name in plan.key),
        values=places(len(plan.key)),
    )
    work.context.target.execute(statement, (*changes.values(), *(row.values[name] for name in plan.key)))


def parked_values(work: Work) -> dict[str, TargetColumn]:
    """Mapped columns in which a row can give up each unique value beside its key; nothing where one has no such column."""
    plan, uniques = work.plan, work.context.unique_keys.get(work.plan.target, ())
    known = {column.name: column for column in read_target_columns(work.context.target, work.context.plan.schema)[plan.target]}
    found: dict[str, TargetColumn] = {}
    for unique in uniques:
        if tuple(unique) == plan.key:
            continue
        able = [known[name] for name in unique if name in plan.schema and name not in plan.key and can_park(known[name])]
        if not able:
            return {}
        best = min(able, key=lambda column: not column.nullable)
        found[best.name] = best
    return found


def can_park(column: TargetColumn) -> bool:
    """Whether there is a value that no row has."""
    return column.nullable or column.kind in ("text", "integer")


def spare_values(columns: Mapping[str, TargetColumn]) -> dict[str, Any]:
    """Values that free what a row holds: none, else one that nobody guesses."""
    values: dict[str, Any] = {}
    for name, column in columns.items():
        if column.nullable:
            values[name] = None
        elif column.kind == "text":
            values[name] = secrets.token_hex(32)[: column.length or 32]
        else:
            lowest, highest = column.bounds
            values[name] = lowest + secrets.randbelow(highest - lowest + 1)
    return values
