"""Arrivals take their place among the kept records: numbers, crowded values, derived counts.

Numbers are stable: a changed record keeps its own, a new one comes after the greatest. What a full run computes over all records
is computed here over those that share a value with an arrival.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from etl.dedupe.kept import IDENTITY, Kept, key_name, with_keys
from etl.dedupe.model import ComparisonSet, StagedState
from etl.dedupe.records import refuse_double_keys, refuse_twice
from etl.dedupe.standardise import fill_from_cards


@dataclass(frozen=True)
class Absorbed:
    """`kept`: with the arrivals in it. `arrivals`: numbers of all records whose pairs are to be weighed; of those, `new` were not
    known, and `recounted` changed in nothing but a derived count. `gone`: records that are no longer staged. `crowded` as in
    StagedState."""

    kept: Kept
    arrivals: pl.Series
    new: pl.Series
    recounted: pl.Series
    gone: pl.Series
    crowded: Mapping[str, Sequence[int]]


def absorb(kept: Kept, rows: pl.DataFrame, unseen: pl.Series | None, also: pl.Series, staged: StagedState) -> Absorbed:
    """Put `rows` (standardised, without a number) into their places.

    `unseen`: kept records that are no longer staged as they were; None where nobody looked, so that only those of `rows` change.
    `also`: kept records to be weighed again though they did not change. Raises RefusedError when a legacy id stands twice.
    """
    comparison_set = kept.comparison_set
    numbered, new = number_rows(kept, drop_later_birthdays(rows, staged, comparison_set))
    refuse_double_records(numbered, new, unseen)
    unseen = numbered["record"] if unseen is None else unseen
    filled = fill_from_cards(numbered, comparison_set.fields)
    gone = unseen.filter(~unseen.is_in(filled["record"].implode()))
    before = kept.rows(pl.concat([unseen, filled["record"]]))
    left = kept.put(kept.rows(gone), gone=True)
    settled, holders, crowded = drop_crowded(left, filled, staged.crowded)
    weighed = pl.concat([settled["record"], holders["record"], also.filter(~also.is_in(gone.implode()))]).unique().sort()
    placed = left.put(with_keys(pl.concat([settled, holders]), comparison_set))
    counted, others = count_derived(placed, pl.concat([before, placed.rows(pl.concat([settled["record"], holders["record"]]))]))
    recounted = others.filter(~others.is_in(weighed.implode()))
    return Absorbed(counted, pl.concat([weighed, recounted]).sort(), new, recounted, gone.sort(), crowded)


def drop_later_birthdays(rows: pl.DataFrame, staged: StagedState, comparison_set: ComparisonSet) -> pl.DataFrame:
    """Birthdays after the latest registration of all as null: nobody registers before birth."""
    columns = [column for field in comparison_set.fields if field.kind == "birthday" for column in field.columns]
    latest = pl.max_horizontal(pl.col("registered_at").max(), pl.lit(staged.latest, pl.Datetime("us")))
    born = [pl.when(pl.col(column).cast(pl.Datetime("us")).dt.date() <= latest.dt.date()).then(column) for column in columns]
    unknown = latest.is_null()
    return rows.with_columns(
        pl.when(unknown).then(pl.col(column)).otherwise(kept).alias(column) for column, kept in zip(columns, born, strict=True)
    )


def number_rows(kept: Kept, rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
    """`rows` with all columns of a record and its number, derived counts null; and the numbers of those not known before.

    New ones are numbered in the order of (system, source_id).
    """
    ordered = rows.sort(IDENTITY)
    name = key_name(IDENTITY)
    known = kept.numbered(ordered.select(IDENTITY).unique(), gone=True)
    found = ordered.join(known, on=list(IDENTITY), how="left", maintain_order="left")
    is_new = pl.col("record").is_null()
    number = pl.when(is_new).then(is_new.cum_sum().cast(pl.Int64) - 1 + kept.next_number).otherwise("record").alias("record")
    derived = [pl.lit(None, pl.Int32).alias(column) for column, _, _ in kept.comparison_set.derived]
    placed = found.with_columns(number, is_new.alias(name), *derived)
    columns = [column for column in kept.columns if not column.startswith("key:")]
    return placed.select(columns), placed.filter(name)["record"]


def refuse_double_records(rows: pl.DataFrame, new: pl.Series, unseen: pl.Series | None) -> None:
    """Raise RefusedError for a legacy id of two rows, or of a row and of a kept record that is still staged as it was."""
    refuse_double_keys(rows)
    if unseen is not None:
        refuse_twice(rows.filter(~pl.col("record").is_in(new.implode()), ~pl.col("record").is_in(unseen.implode())))


def drop_crowded(
    kept: Kept, rows: pl.DataFrame, known: Mapping[str, Sequence[int]]
) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, list[int]]]:
    """Crowded values as null: `rows`; the kept records that hold a value which became crowded now; and what is crowded now.

    Both frames have the columns of a record and `row`.
    """
    comparison_set = kept.comparison_set
    parts = {field.columns[0]: field.columns for field in comparison_set.fields}
    crowded = {column: list(values) for column, values in known.items()}
    holders = rows.clear()
    for column, most in comparison_set.crowds:
        now = newly_crowded(kept, rows, column, most, crowded.get(column, []))
        crowded[column] = crowded.get(column, []) + now.to_list()
        wanted = pl.Series(crowded[column], dtype=pl.UInt64).implode()
        others = kept.find((column,), now)["record"]
        others = others.filter(~others.is_in(pl.concat([rows["record"], holders["record"]]).implode()))
        holders = pl.concat([holders, kept.rows(others).select(rows.columns)])
        lost = pl.col(column).hash().is_in(wanted) & pl.col(column).is_not_null()
        blanks = [pl.when(~lost).then(pl.col(part)).alias(part) for part in parts.get(column, (column,))]
        rows, holders = rows.with_columns(blanks), holders.with_columns(blanks)
    return rows, holders, crowded


def newly_crowded(kept: Kept, rows: pl.DataFrame, column: str, most: int, known: Sequence[int]) -> pl.Series:
    """Hashes of the values of `rows` that now more than `most` records share."""
    values = rows.drop_nulls(column).select("record", pl.col(column).hash().alias("hash"))
    values = values.filter(~pl.col("hash").is_in(pl.Series(known, dtype=pl.UInt64).implode()))
    others = kept.find((column,), values["hash"]).join(rows.select("record"), on="record", how="anti")
    counted = pl.concat([values.select("hash"), others.select("hash")]).group_by("hash").len()
    return counted.filter(pl.col("len") > most)["hash"].sort()


def count_derived(kept: Kept, touched: pl.DataFrame) -> tuple[Kept, pl.Series]:
    """Count again what is derived from the values of `touched` records (as they were, and as they are); whose counts changed."""
    found = [pl.Series("record", [], dtype=pl.Int64)]
    for name, column, counted in kept.comparison_set.derived:
        hashes = touched.drop_nulls(column).select(pl.col(column).hash()).to_series()
        holders = kept.rows(kept.find((column,), hashes)["record"])
        without = kept.rows(touched["record"]).filter(pl.col(column).is_null(), pl.col(name).is_not_null())
        known = holders.filter("accepted")
        if counted is not None:
            known = known.drop_nulls(counted).select(column, counted).unique()
        counts = known.group_by(column).agg(pl.len().cast(pl.Int32).alias("now"))
        told = holders.join(counts, on=column, how="left", maintain_order="left")
        changed = told.filter(~pl.col("now").fill_null(0).eq_missing(pl.col(name)))
        again = changed.with_columns(pl.col("now").fill_null(0).alias(name)).drop("now")
        blank = without.with_columns(pl.lit(None, pl.Int32).alias(name))
        kept = kept.put(pl.concat([again, blank]))
        found.append(again["record"])
    return kept, pl.concat(found).unique().sort()
