"""The weight of a few pairs, without Splink's fixed cost: the same levels, in the same SQL, and the same numbers added up.

A match weight is the prior, the weight of each comparison's level, and what the rarity of an agreed value adds (explain.py shows
one pair so). Only the levels need a database; all else is a table of the model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import duckdb
import numpy as np
import polars as pl

from etl.dedupe.candidates import Candidates, find_candidates
from etl.dedupe.database import read_frame
from etl.dedupe.kept import Kept
from etl.dedupe.model import BlockingRule, Comparison, Limits, RuleCount
from etl.dedupe.predict import edge_schema
from etl.dedupe.trained_model import TrainedModel
from etl.dedupe.vectors import gamma_sql, needed_columns

WEIGHT_DIGITS: Final = 6
PROBABILITY_DIGITS: Final = 12


@dataclass(frozen=True)
class Weighed:
    """`edges`: columns of edges.parquet, of the pairs at or above the review weight. `rules`: what each rule found."""

    edges: pl.DataFrame
    rules: tuple[RuleCount, ...]


def weigh_arrivals(
    connection: duckdb.DuckDBPyConnection, kept: Kept, arrivals: pl.Series, model: TrainedModel, limits: Limits
) -> Weighed:
    """Weigh every pair that an arrival makes. Raises RefusedError for a rule over the pair budget."""
    candidates = find_candidates(kept, arrivals, limits)
    records = kept.rows(pl.concat([candidates.pairs["left"], candidates.pairs["right"]]))
    levels = read_levels(connection, records, candidates, model)
    found = dict(levels.group_by("rule").len().rows())
    rules = tuple(RuleCount(one.rule, one.pairs, found.get(place, 0)) for place, one in enumerate(candidates.counts))
    return Weighed(as_edges(levels, records, model), rules)


def read_levels(
    connection: duckdb.DuckDBPyConnection, records: pl.DataFrame, candidates: Candidates, model: TrainedModel
) -> pl.DataFrame:
    """left, right, rule (the first that finds the pair) and every gamma, of the candidates that a rule does find."""
    comparison_set = model.comparison_set
    wanted = needed_columns(comparison_set)
    connection.register("arrival_records", records.filter("accepted").select("record", *wanted).to_arrow())
    connection.register("arrival_pairs", candidates.pairs.to_arrow())
    rules = " ".join(f"WHEN {place} THEN {rule_sql(rule)}" for place, rule in enumerate(comparison_set.blocking))
    columns = sorted({column for comparison in comparison_set.comparisons for column in comparison.columns})
    sides = ", ".join(f'{side}."{column}" AS "{column}_{side}"' for column in columns for side in "lr")
    gammas = ", ".join(gamma_sql(comparison) for comparison in comparison_set.comparisons)
    joined = "JOIN arrival_records l ON l.record = p.left JOIN arrival_records r ON r.record = p.right"
    holding = (
        f"SELECT p.left, p.right, min(p.rule) AS rule FROM arrival_pairs p {joined} WHERE CASE p.rule {rules} END GROUP BY 1, 2"
    )
    sided = f"SELECT p.left, p.right, p.rule, {sides} FROM ({holding}) p {joined}"
    frame = read_frame(connection, f"SELECT sided.left, sided.right, rule, {gammas} FROM ({sided}) sided ORDER BY 1, 2")
    connection.unregister("arrival_records")
    connection.unregister("arrival_pairs")
    return frame


def rule_sql(rule: BlockingRule) -> str:
    """The condition of a blocking rule over l and r; never null."""
    agreed = [f'l."{column}" = r."{column}"' for column in rule.on] + ([f"({rule.where})"] if rule.where else [])
    return f"coalesce({' AND '.join(agreed)}, false)"


def as_edges(levels: pl.DataFrame, records: pl.DataFrame, model: TrainedModel) -> pl.DataFrame:
    """Pairs at or above the review weight, with weight and probability, in the order of left and right."""
    comparison_set = model.comparison_set
    weight = np.full(levels.height, model.prior_weight)
    for comparison in comparison_set.comparisons:
        gammas = levels[comparison.gamma].to_numpy()
        weight += level_weights(model, comparison)[gammas + 1] + rarity_weights(model, comparison, levels, records)
    names = [rule.name for rule in comparison_set.blocking]
    weighed = levels.with_columns(
        pl.Series("weight", weight).round(WEIGHT_DIGITS),
        pl.Series("probability", 1 / (1 + np.exp2(-weight))).round(PROBABILITY_DIGITS),
        pl.col("rule").replace_strict(list(range(len(names))), names, return_dtype=pl.String),
    ).filter(pl.Series(weight) >= comparison_set.thresholds.review)
    return weighed.select(pl.col(name).cast(kind) for name, kind in edge_schema(comparison_set).items())


def level_weights(model: TrainedModel, comparison: Comparison) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The weight of each gamma from -1 up."""
    return np.array([model.weight(comparison, gamma) for gamma in range(-1, len(comparison.weighed))])


def rarity_weights(
    model: TrainedModel, comparison: Comparison, levels: pl.DataFrame, records: pl.DataFrame
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """What the frequency of the agreed value adds to each pair; the more frequent one where they differ."""
    added = np.zeros(levels.height)
    for level in comparison.weighed:
        if level.tf is None:
            continue
        here = np.flatnonzero(levels[comparison.gamma].to_numpy() == comparison.gamma_of(level.name))
        if not len(here):
            continue
        rarity = model.rarities[level.tf]
        values = records.select("record", pl.col(level.tf).cast(pl.String).alias("value")).drop_nulls()
        counted = values.join(rarity.counts, on="value", how="left").select("record", pl.col("count").fill_null(0))
        pairs = levels.select("left", "right")[here]
        sides = [
            pairs.join(counted, left_on=side, right_on="record", how="left", maintain_order="left")["count"].alias(side)
            for side in ("left", "right")
        ]
        most = pl.DataFrame(sides).select(pl.max_horizontal("left", "right")).to_series()
        others = np.maximum(most.cast(pl.Float64).to_numpy() - 1.5, 0.5)  # beside the pair itself, as Rarity.weight counts
        added[here] = np.nan_to_num(np.log2(rarity.mean / (others / rarity.filled)))
    return added
