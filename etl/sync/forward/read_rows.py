"""Rows of a legacy table that are told by their rowversion, by a last-changed column, or that are simply all of them, in key
order, so many at a time. Deletes leave no trace in such a read: they are found by comparing keys (compare_keys.py)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

import polars as pl

from etl.names import bracket
from etl.reconcile.plan import PartPlan, encode_keys
from etl.source.catalog import Column
from etl.source.extract import canonical_schema, select_list
from etl.source.ranges import literal
from etl.source.session import Session
from etl.sync.forward.read_changes import beyond, read_all, written
from etl.sync.model import DELETED, KEY, OURS, VERSION

EPOCH: Final = datetime(1970, 1, 1)


def read_some(session: Session, part: PartPlan, condition: str, after: str | None, rows: int) -> pl.DataFrame:
    """At most `rows` rows that meet `condition` (T-SQL, empty for all), of keys after `after`, as changes (read_changes.py).

    Raises ServerError.
    """
    read = read_all(session, rows_statement(part, condition, after, rows), canonical_schema(part.table))
    return as_changes(part, read)


def all_rows(session: Session, part: PartPlan, rows: int) -> Iterator[pl.DataFrame]:
    """Every row of a part's table, `rows` at a time."""
    after: str | None = None
    while True:
        page = read_some(session, part, "", after, rows)
        yield page
        if page.height < rows:
            return
        after = str(page[KEY][-1])


def rows_statement(part: PartPlan, condition: str, after: str | None, rows: int) -> str:
    """The T-SQL."""
    table, keys = part.table, [f"t.{bracket(key)}" for key in part.part.key]
    conditions = [f"({condition})"] * bool(condition)
    if after is not None:
        conditions.append(f"({beyond(part, after, keys)})")
    return " ".join(
        (
            f"SELECT TOP ({int(rows)}) {', '.join(written(item) for item in select_list(table))}",
            f"FROM {bracket(table.name.schema)}.{bracket(table.name.name)} AS t",
            *([f"WHERE {' AND '.join(conditions)}"] if conditions else []),
            f"ORDER BY {', '.join(keys)}",
        )
    )


def as_changes(part: PartPlan, rows: pl.DataFrame) -> pl.DataFrame:
    """Legacy rows as if they had just changed."""
    return rows.select(
        encode_keys(rows.select(part.part.key)).alias(KEY),
        pl.lit(value=False).alias(DELETED),
        pl.lit(value=False).alias(OURS),
        pl.lit(0, pl.Int64).alias(VERSION),
        *rows.columns,
    )


def between_versions(counter: Column, since: int, upto: int) -> str:
    """Rows with a rowversion from `since` up to, not including, `upto`.

    >>> between_versions(Column("V", "timestamp", 8, 0, 0, False, is_rowversion=True), 7, 9)
    't.[V] >= CONVERT(binary(8), CONVERT(bigint, 7)) AND t.[V] < CONVERT(binary(8), CONVERT(bigint, 9))'
    """
    name = f"t.{bracket(counter.name)}"
    low, high = (f"CONVERT(binary(8), CONVERT(bigint, {int(version)}))" for version in (since, upto))
    return f"{name} >= {low} AND {name} < {high}"


def changed_since(clock: Column, since: int, overlap: timedelta) -> str:
    """Rows changed at or after a moment (microseconds since 1970, in the column's own time), less the overlap."""
    moment = max(EPOCH, EPOCH + timedelta(microseconds=since) - overlap)
    return f"t.{bracket(clock.name)} >= {literal(clock, moment)}"


def newest(session: Session, part: PartPlan, clock: Column) -> int | None:
    """The greatest value of a last-changed column, in microseconds since 1970; None for an empty table."""
    name = f"{bracket(part.table.name.schema)}.{bracket(part.table.name.name)}"
    value = f"MAX({bracket(clock.name)})"
    if clock.type_name == "datetimeoffset":
        value = f"SWITCHOFFSET({value}, 0)"
    ((found,),) = session.query(" ".join(("SELECT", f"CAST({value} AS datetime2(6))", "FROM", name)))
    return None if found is None else (found - EPOCH) // timedelta(microseconds=1)
