"""What the target does hold: rows read as typed columns, all of them or by key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import polars as pl

from etl.names import backtick
from etl.reconcile.plan import REDIRECT, TablePlan
from etl.target.bulk import BulkConnection

KEYS_PER_QUERY: Final = 500


def read_actual(connection: BulkConnection, schema: str, plan: TablePlan, batch_rows: int) -> Iterator[pl.DataFrame]:
    """Every row, in the order of the key as far as the target knows one."""
    key = ", ".join(backtick(name) for name in plan.key)
    living = f" WHERE {backtick(REDIRECT)} IS NULL" if plan.redirects else ""
    for rows in connection.read_frame(f"{select(schema, plan)}{living} ORDER BY {key}", plan.schema, batch_rows=batch_rows):
        yield rows if plan.born is None else plan.born.blanked(rows)


def read_actual_by_key(
    connection: BulkConnection, schema: str, plan: TablePlan, keys: pl.DataFrame, *, lock: bool = False
) -> pl.DataFrame:
    """The rows with these keys (their key columns; exactly, though utf8mb4_bin takes 'x ' for 'x'). `lock`: FOR UPDATE."""
    wanted = keys.select(plan.key).unique()
    names = ", ".join(backtick(name) for name in plan.key)
    one = f"({', '.join(['%s'] * len(plan.key))})"
    living = f" AND {backtick(REDIRECT)} IS NULL" if plan.redirects else ""
    frames = [pl.DataFrame(schema=plan.schema)]
    for some in wanted.iter_slices(KEYS_PER_QUERY):
        values = tuple(value for row in some.iter_rows() for value in row)
        where = f"WHERE ({names}) IN ({', '.join([one] * some.height)}){living}"
        sql = f"{select(schema, plan)} {where}{' FOR UPDATE' if lock else ''}"
        frames += connection.read_frame(sql, plan.schema, values)
    rows = pl.concat(frames).join(wanted, on=list(plan.key), how="semi")
    return rows if plan.born is None else plan.born.blanked(rows)


def has_keys(connection: BulkConnection, schema: str, plan: TablePlan, rows: pl.DataFrame) -> pl.Series:
    """For each row whether the target has its key."""
    there = read_actual_by_key(connection, schema, plan, rows).select(plan.key).with_columns(pl.lit(True).alias("__there"))
    joined = rows.select(plan.key).join(there, on=list(plan.key), how="left", maintain_order="left")
    return joined["__there"].fill_null(False)


def select(schema: str, plan: TablePlan) -> str:
    """SELECT of the compared columns, in the plan's order. FLOAT is read as DOUBLE, since servers print six digits of it."""
    columns = (
        f"CAST({backtick(column.name)} AS DOUBLE)" if column.type_name.startswith("float") else backtick(column.name)
        for column in plan.columns
    )
    return " ".join(("SELECT", ", ".join(columns), "FROM", f"{backtick(schema)}.{backtick(plan.target)}"))
