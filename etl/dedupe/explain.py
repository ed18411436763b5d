"""Why two records are, or are not, one person: the weight of each piece of evidence, which add up to the match weight."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from etl.dedupe.database import open_database, read_frame
from etl.dedupe.model import Comparison, FieldWeight, Level, Limits
from etl.dedupe.record_files import scan_records
from etl.dedupe.trained_model import TrainedModel
from etl.dedupe.vectors import gamma_sql
from etl.errors import UsageError

Record = dict[str, Any]


def explain_pair(records: Path, model: TrainedModel, left: int, right: int) -> tuple[FieldWeight, ...]:
    """The prior and one bar for each comparison, in their order; the weights add up to what edges.parquet has for the pair.

    Works for any two records, whether a blocking rule finds them or not. Raises UsageError for a number that is no record.
    """
    pair = scan_records(records).filter(pl.col("record").is_in([left, right])).collect()
    found = {row["record"]: row for row in pair.to_dicts()}
    for number in (left, right):
        if number not in found:
            raise UsageError(f"There is no record {number}.", "Name records by their system and legacy id, such as crm:1.")
    gammas = pair_gammas(records, model, left, right)
    prior = FieldWeight("prior", "Prior", "", None, None, model.prior_weight)
    bars = [
        weigh(model, comparison, gammas[comparison.gamma], found[left], found[right])
        for comparison in model.comparison_set.comparisons
    ]
    return (prior, *bars)


def pair_gammas(records: Path, model: TrainedModel, left: int, right: int) -> dict[str, int]:
    """The comparison vector of two records."""
    columns = sorted({column for comparison in model.comparison_set.comparisons for column in comparison.columns})
    sides = ", ".join(f'{side}."{column}" AS "{column}_{side}"' for column in columns for side in "lr")
    gammas = ", ".join(gamma_sql(comparison) for comparison in model.comparison_set.comparisons)
    wanted = scan_records(records).filter(pl.col("record").is_in([left, right])).select("record", *columns).collect()
    with open_database(Limits(threads=1, memory="256MB"), records.parent) as connection:
        connection.register("pair", wanted.to_arrow())
        low, high = min(left, right), max(left, right)
        source = f"pair l JOIN pair r ON l.record = {int(low)} AND r.record = {int(high)}"
        frame = read_frame(connection, f"SELECT {gammas} FROM (SELECT {sides} FROM {source})")
    return {name: int(value) for name, value in frame.row(0, named=True).items()}


def weigh(model: TrainedModel, comparison: Comparison, gamma: int, left: Record, right: Record) -> FieldWeight:
    """One bar."""
    level = comparison.level_of(gamma)
    rarity = rarity_of(model, level, left)
    return FieldWeight(
        comparison=comparison.name,
        title=comparison.title,
        level=level.name,
        left=shown(comparison, left),
        right=shown(comparison, right),
        weight=model.weight(comparison, gamma) + rarity,
        rarity=rarity,
    )


def rarity_of(model: TrainedModel, level: Level, record: Record) -> float:
    """What the frequency of the agreed value adds."""
    if level.tf is None or record[level.tf] is None:
        return 0.0
    return model.rarities[level.tf].weight(str(record[level.tf]))


def shown(comparison: Comparison, record: Record) -> str | None:
    """The first two columns of a comparison, as a person reads them."""
    values = [str(record[column]) for column in comparison.columns[:2] if record[column] is not None]
    return ", ".join(dict.fromkeys(values)) or None
