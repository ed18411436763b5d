"""Forward's own view of legacy rows, those that are there and those about to be written: nothing else says what they hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from etl.mapping.compile import polars_schema
from etl.reconcile.expected import with_all_columns
from etl.reconcile.plan import PartPlan, TablePlan
from etl.source.extract import DAMAGED_SUFFIX, canonical_schema
from etl.sync.reverse.inverse import PartInverse
from etl.sync.reverse.inverse_times import precision_us

PLACEHOLDER: Final = 1
"""Stands for an identity that the server has not given yet."""

Lookup = Callable[[str, pl.Series], pl.Series]


@dataclass(frozen=True)
class Seen:
    """What the mapping makes of some legacy rows: `rows` (the table's columns) row by row; where `kept` is False it makes none,
    and `reasons` has why, by row."""

    rows: pl.DataFrame
    kept: pl.Series
    reasons: Mapping[int, str]


def see(
    plan: TablePlan, inverse: PartInverse, frame: pl.DataFrame, own: pl.Series | None, lookup: Lookup, beside: Mapping[str, Any]
) -> Seen:
    """Transform legacy rows as forward would. `own`: for a part that defines members, the member that each row is of."""
    part = inverse.part
    frame = frame.with_columns(pl.col(name).fill_null(PLACEHOLDER) for name in inverse.identity if name in frame.columns)
    keys = part.compiled.member_keys(frame)
    members: dict[str, pl.Series] = {}
    for reference in part.compiled.member_references:
        name = reference.target_column
        is_own = own is not None and name in part.part.target_key
        members[name] = own if is_own and own is not None else lookup(reference.system, keys[name])
    outcome = part.compiled.apply(frame, members, beside)
    kept = pl.repeat(True, frame.height, dtype=pl.Boolean, eager=True) if outcome.kept is None else outcome.kept
    rows = with_all_columns(outcome.rows, plan)
    if not kept.all():
        at = pl.DataFrame({"at": kept.arg_true().cast(pl.Int64)}).hstack(rows)
        rows = pl.DataFrame({"at": pl.int_range(frame.height, dtype=pl.Int64, eager=True)}).join(
            at, on="at", how="left", maintain_order="left"
        )
        rows = rows.drop("at")
    if own is not None:
        rows = rows.with_columns(own.cast(plan.schema[name]).alias(name) for name in part.part.target_key)
    return Seen(rows, kept, reasons(part, frame, members, beside, kept))


def reasons(
    part: PartPlan, frame: pl.DataFrame, members: Mapping[str, pl.Series], beside: Mapping[str, Any], kept: pl.Series
) -> dict[int, str]:
    """Why the mapping makes no row of some legacy rows: asked again one by one, since rows to be inserted have no key yet."""
    found: dict[int, str] = {}
    for at in (~kept).arg_true():
        row = int(at)
        single = part.compiled.apply(frame[row : row + 1], {n: s[row : row + 1] for n, s in members.items()}, beside)
        first = single.rejects.row(0, named=True)
        found[row] = f"{first['reason']} ({first['column_name'] or ''})"
    return found


def staged_form(part: PartPlan, rows: pl.DataFrame) -> pl.DataFrame:
    """Legacy rows in all columns of the extract: text that we write is never damaged, what is missing is NULL."""
    schema = polars_schema(canonical_schema(part.table))
    missing = [
        (pl.lit(False) if name.endswith(DAMAGED_SUFFIX) else pl.lit(None, dtype)).alias(name)
        for name, dtype in schema.items()
        if name not in rows.columns
    ]
    return rows.with_columns(missing).select(schema.names())


def tolerances(inverse: PartInverse) -> dict[str, int]:
    """By how many microseconds a legacy type may be off, for each target column that is a time."""
    found: dict[str, int] = {}
    for column, slots in inverse.writes.items():
        kinds = [inverse.slots[name] for name in slots]
        times = [slot for slot in kinds if slot.kind in ("datetime", "date", "time")]
        if times:
            found[column] = min(precision_us(slot) for slot in times)
    return found


def differ(mine: pl.Series, theirs: pl.Series) -> pl.Series:
    """Rows in which two columns differ, NULL being equal to NULL. A batch is small: lists cost less than a query each.

    >>> differ(pl.Series([1, None, 3]), pl.Series([1, 2, None])).to_list()
    [False, True, True]
    """
    pairs = zip(mine.to_list(), theirs.to_list(), strict=True)
    return pl.Series([one != other for one, other in pairs], dtype=pl.Boolean)
