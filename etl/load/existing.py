"""Rows whose key is taken: by an earlier row of the same batch, or by a row that is on the target already.

A row that is on the target exactly as it would be loaded counts as loaded: that is how a table staged anew, in other chunks,
is loaded again without a false alarm. A row that differs is never overwritten here: `membershift reconcile repair` does that,
and says what it changes.
"""

from __future__ import annotations

from typing import Final

import polars as pl
import polars.selectors as cs

from etl.load.part import LoadPart
from etl.load.sorted_rows import Sorted
from etl.load.sql import name_list, places, sql
from etl.masking import mask
from etl.names import backtick
from etl.target.bulk import BulkConnection
from etl.target.columns import TargetColumn

KEYS_PER_QUERY: Final = 1_000
ROW: Final = "__row"
SELECT_ROWS: Final = "SELECT {columns} FROM {schema}.{table} WHERE ({key}) IN ({tuples})"


def set_aside_repeated(part: LoadPart, rows: pl.DataFrame, keys: pl.Series, outcome: Sorted) -> pl.DataFrame:
    """Keep the first row of each unique key; later ones are refused as duplicate_key, or unchanged when they equal the first."""
    for number, key in enumerate(part.keys):
        if not set(key) <= set(rows.columns):
            continue
        compared = rows.select(ROW, *(as_compared(rows, name) for name in key))
        usable = compared.drop_nulls(list(key))  # NULL is never a duplicate
        first = usable.group_by(key, maintain_order=True).agg(pl.col(ROW).first().alias("__first"), pl.len().alias("__count"))
        later = usable.join(first.filter(pl.col("__count") > 1), on=list(key)).filter(pl.col(ROW) != pl.col("__first"))
        if later.is_empty():
            continue
        at = {int(row): position for position, row in enumerate(rows[ROW])}
        texts = times_as_text(rows.drop(ROW))
        dropped: list[int] = []
        for row, kept in later.sort(ROW).select(ROW, "__first").iter_rows():
            dropped.append(row)
            if number == 0 and texts.row(at[row]) == texts.row(at[kept]):
                outcome.unchanged.append(row)
                continue
            values = [mask(texts[name][at[row]], part.personal.get(name)) for name in key]
            detail = f"{', '.join(key)} is already taken by the row with source key {keys[kept]}"
            outcome.refuse(row, str(keys[row]), ",".join(key)[:64], "duplicate_key", "|".join(values), detail)
        rows = rows.filter(~pl.col(ROW).is_in(dropped))
    return rows


def set_aside_existing(
    connection: BulkConnection, part: LoadPart, rows: pl.DataFrame, keys: pl.Series, outcome: Sorted
) -> pl.DataFrame:
    """Take away rows whose primary key is on the target: equal ones are unchanged, others refused as differs_from_target."""
    if not part.keys or rows.is_empty() or not set(part.keys[0]) <= set(rows.columns):
        return rows
    key = part.keys[0]
    there = fetch_existing(connection, part, rows.select(key))
    if there.is_empty():
        return rows
    as_target = those_that_fit(part, rows)
    join_on = [as_compared(as_target, name).alias(f"__key_{number}") for number, name in enumerate(key)]
    names = [f"__key_{number}" for number in range(len(key))]
    both = as_target.with_columns(join_on).join(
        there.with_columns(join_on), on=names, how="inner", suffix="__there", maintain_order="left"
    )
    differing = {name: ~both[name].eq_missing(both[f"{name}__there"]) for name in part.column_names}
    texts = times_as_text(both)
    differs = pl.select(pl.any_horizontal(*differing.values())).to_series() if differing else pl.Series([], dtype=pl.Boolean)
    numbers = both[ROW]
    outcome.unchanged += numbers.filter(~differs).to_list()
    for position in differs.arg_true():
        row = int(numbers[position])
        columns = [name for name, flags in differing.items() if flags[position]]
        name = columns[0]
        value = mask(texts[name][position], part.personal.get(name))
        detail = f"a row with this key is on the target with other values in: {', '.join(columns)}"
        outcome.refuse(row, str(keys[row]), ",".join(columns)[:64], "differs_from_target", value, detail)
    return rows.filter(~pl.col(ROW).is_in(numbers.implode()))


def those_that_fit(part: LoadPart, rows: pl.DataFrame) -> pl.DataFrame:
    """`rows` in the target's types, without those that have a value which these cannot hold: they equal nothing that is there."""
    cast = rows.with_columns(pl.col(column.name).cast(column.polars_type(), strict=False) for column in part.columns)
    fits = pl.select(pl.all_horizontal(cast[name].is_null() == rows[name].is_null() for name in part.column_names)).to_series()
    return cast if fits.all() else cast.filter(fits)


def fetch_existing(connection: BulkConnection, part: LoadPart, keys: pl.DataFrame) -> pl.DataFrame:
    """The target's rows that have these primary keys, in the target's types."""
    key = part.keys[0]
    columns = ", ".join(exact(column) for column in part.columns)
    types = {column.name: column.polars_type() for column in part.columns}
    found = [pl.DataFrame(schema=types)]
    for some in keys.iter_slices(KEYS_PER_QUERY):
        tuples = ", ".join([f"({places(len(key))})"] * some.height)
        statement = sql(
            SELECT_ROWS, {"schema": part.schema, "table": part.table}, columns=columns, key=name_list(key), tuples=tuples
        )
        found += connection.read_frame(statement, types, tuple(value for row in some.iter_rows() for value in row))
    return pl.concat(found)


def times_as_text(rows: pl.DataFrame) -> pl.DataFrame:
    """`rows` with dates and times as ISO text: Python has no year 10000, and a bad row may."""
    return rows.with_columns(cs.temporal().dt.to_string("iso"))


def as_compared(rows: pl.DataFrame, name: str) -> pl.Expr:
    """A key column as the target compares it: utf8mb4_bin ignores spaces at the end."""
    return pl.col(name).str.strip_chars_end(" ") if rows.schema[name] == pl.String else pl.col(name)


def exact(column: TargetColumn) -> str:
    """A column for SELECT: servers print six digits of a FLOAT, all of a DOUBLE."""
    name = backtick(column.name)
    return f"CAST({name} AS DOUBLE)" if column.kind == "float" and column.precision == 32 else name
