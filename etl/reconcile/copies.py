"""Extra rows that are copies of others: the same values under another key, as a load that ran twice leaves them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import polars as pl

from etl.reconcile.actual import read_actual
from etl.reconcile.findings import Findings
from etl.reconcile.plan import TablePlan
from etl.target.bulk import BulkConnection

LEAST_COLUMNS: Final = 2
"""Rows that agree in fewer columns than this say nothing."""

ORIGINAL: Final = "__original_"
"""Before the key columns of the row that an extra row copies."""


def find_copies(
    connection: BulkConnection,
    schema: str,
    plan: TablePlan,
    findings: Findings,
    unique_keys: Sequence[Sequence[str]],
    batch_rows: int,
) -> tuple[Findings, pl.DataFrame]:
    """Take copies out of the extra rows; return them with the key of the row that each copies.

    Reads the target once more, and only when there are extra rows. Columns of unique keys cannot be copied and are not looked at.
    """
    extra = findings.extra.frame
    content = copied_columns(plan, unique_keys)
    if extra.is_empty() or len(content) < LEAST_COLUMNS:
        return findings, extra.clear()
    numbered = extra.with_row_index("__row")
    originals: list[pl.DataFrame] = []
    for rows in read_actual(connection, schema, plan, batch_rows):
        others = rows.join(extra.select(plan.key), on=list(plan.key), how="anti")
        keys = others.select(*content, *(pl.col(name).alias(f"{ORIGINAL}{name}") for name in plan.key if name not in content))
        found = numbered.select("__row", *content).join(keys, on=content, how="inner", nulls_equal=True)
        originals.append(found.drop(content).unique("__row", keep="first", maintain_order=True))
    first = pl.concat(originals).unique("__row", keep="first", maintain_order=True) if originals else pl.DataFrame()
    if first.is_empty():
        return findings, extra.clear()
    copies = numbered.join(first, on="__row", how="inner", maintain_order="left")
    flags = pl.repeat(False, extra.height, dtype=pl.Boolean, eager=True).scatter(copies["__row"], True)
    return replace(findings, extra=findings.extra.without(flags)), copies.drop("__row")


def copied_columns(plan: TablePlan, unique_keys: Sequence[Sequence[str]]) -> list[str]:
    """Columns in which a copy equals its original: all but those that make a row unique. Of a key of several columns, only the
    last one differs: another line of the same sale."""
    unique = {plan.key[-1], *(key[-1] for key in unique_keys)}
    return [column.name for column in plan.columns if column.name not in unique]


def original_key(plan: TablePlan, row: dict[str, object]) -> dict[str, object]:
    """The key of the row that a copy copies."""
    return {name: row.get(f"{ORIGINAL}{name}", row[name]) for name in plan.key}
