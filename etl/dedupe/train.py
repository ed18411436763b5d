"""Learn a model from records nobody has labelled: how often matches, and other pairs, are at each level of each comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb
import numpy as np

from etl.dedupe.blocking import block_pairs, count_rules, refuse_too_many
from etl.dedupe.database import open_database, read_frame, read_number
from etl.dedupe.model import BlockingRule, ComparisonSet, Limits
from etl.dedupe.patterns import (
    Floats,
    Patterns,
    Shares,
    bayes_factors,
    learn_m,
    level_counts,
    normalised,
    posterior,
    share_of_matches,
)
from etl.dedupe.trained_model import Learned, Rarity, TrainedModel, as_json, read_json
from etl.dedupe.vectors import open_records, pairs_sql, patterns_of, random_pairs
from etl.errors import RefusedError

RANDOM_PAIRS: Final = 1_000_000
ROUNDS: Final = 3
LEAST_SHARE: Final = 1e-10  # no agreement speaks louder than 1 to 10,000,000,000: somebody may have copied the id
ENOUGH: Final = 20  # pairs of all training blocks; with fewer, m is learned from all pairs that the blocking rules find


@dataclass(frozen=True)
class Evidence:
    """Counted comparison vectors: of random pairs, of the training blocks, of pairs that agree on what levels are counted on, and
    of all pairs that the blocking rules find."""

    all_pairs: float
    random: Patterns
    training: tuple[tuple[Patterns, tuple[int, ...]], ...]
    counted: Mapping[tuple[str, ...], tuple[Patterns, tuple[int, ...]]]
    blocked: Patterns


def train_model(records: Path, comparison_set: ComparisonSet, limits: Limits, seed: int = 1) -> TrainedModel:
    """Train on records.parquet; the same records and seed give the same model, to the byte.

    Raises RefusedError when there are fewer than two records to compare, or a rule makes more pairs than the budget.
    """
    with open_database(limits, records.parent) as connection:
        rows = open_records(connection, records, comparison_set)
        if rows < 2:
            raise RefusedError("There are fewer than two records to compare.", "Stage the member tables first: membershift stage")
        refuse_too_many(count_rules(connection, comparison_set.training), limits)
        block_pairs(connection, comparison_set.blocking, limits)
        evidence = collect(connection, comparison_set, rows, limits, seed)
        rarities = {column: measure_rarity(connection, column) for column in rarity_columns(comparison_set)}
    m, u, prior, seen = learn(evidence, comparison_set)
    model = TrainedModel(
        comparison_set=comparison_set,
        prior=prior,
        m=tuple(rounded(share) for share in m),
        u=tuple(rounded(share) for share in u),
        m_from=tuple(_m_from(comparison_set, place, seen) for place in range(len(m))),
        u_from=tuple(_u_from(comparison_set, place) for place in range(len(u))),
        rarities=rarities,
        records=rows,
        pairs=tuple(
            (rule.name, int(block[0].pairs)) for rule, block in zip(comparison_set.training, evidence.training, strict=True)
        ),
    )
    return read_json(as_json(model), comparison_set.file)


def rounded(shares: Floats) -> Floats:
    """Shares to nine significant digits: more is noise, and a file that people compare."""
    return np.array([float(f"{share:.9g}") for share in shares])


def collect(
    connection: duckdb.DuckDBPyConnection, comparison_set: ComparisonSet, rows: int, limits: Limits, seed: int
) -> Evidence:
    """Count every comparison vector that training looks at; `blocked_pairs` holds what the blocking rules find."""

    def block(on: tuple[str, ...], where: str | None = None) -> tuple[Patterns, tuple[int, ...]]:
        rule = BlockingRule("", on, where)
        return patterns_of(connection, comparison_set, pairs_sql(rule)), unblocked(comparison_set, on)

    counted_on = {
        level.counted_on for comparison in comparison_set.comparisons for level in comparison.levels if level.counted_on
    }
    affordable = [
        on for on in sorted(counted_on) if count_rules(connection, [BlockingRule("", on)])[0].pairs <= limits.pair_budget
    ]
    blocked = "blocked_pairs p JOIN records l ON l.record = p.join_key_l JOIN records r ON r.record = p.join_key_r"
    return Evidence(
        all_pairs=rows * (rows - 1) / 2,
        random=patterns_of(connection, comparison_set, random_pairs(connection, rows, RANDOM_PAIRS, seed)),
        training=tuple(block(rule.on, rule.where) for rule in comparison_set.training),
        counted={on: block(on) for on in affordable},
        blocked=patterns_of(connection, comparison_set, blocked),
    )


def unblocked(comparison_set: ComparisonSet, on: Sequence[str]) -> tuple[int, ...]:
    """Comparisons that say something about pairs which agree on the columns `on`: those that read none of them."""
    blocked = set(on)
    return tuple(
        place for place, comparison in enumerate(comparison_set.comparisons) if not blocked.intersection(comparison.columns)
    )


def learn(evidence: Evidence, comparison_set: ComparisonSet) -> tuple[Shares, Shares, float, list[Floats]]:
    """m, u and the prior by turns: u from pairs that are no matches, m from training blocks, the prior from all pairs found."""
    fixed_m = [_fixed(comparison_set, place, "m") for place in range(len(comparison_set.comparisons))]
    m = tuple(_assumed_m(len(comparison.weighed), fixed_m[place]) for place, comparison in enumerate(comparison_set.comparisons))
    every = tuple(range(len(m)))
    prior, seen = 1.0 / max(evidence.all_pairs, 2.0), [np.zeros(len(share)) for share in m]
    u = learn_u(evidence, comparison_set, m, None, prior)
    training = evidence.training
    if sum(patterns.pairs for patterns, _ in training) < ENOUGH:
        training = (*training, (evidence.blocked, every))
    for _ in range(ROUNDS):
        m, seen = learn_m(training, m, u, dict(enumerate(fixed_m)))
        factors = bayes_factors(evidence.blocked, m, u, every)
        matched = share_of_matches(evidence.blocked, factors, 0.5) * evidence.blocked.pairs
        prior = min(max(matched, 1.0) / evidence.all_pairs, 0.5)
        u = learn_u(evidence, comparison_set, m, u, prior)
    return m, u, float(f"{prior:.9g}"), seen


def learn_u(evidence: Evidence, comparison_set: ComparisonSet, m: Shares, u: Shares | None, prior: float) -> Shares:
    """The share of pairs at each level among those that are no matches.

    Random pairs hold a few true matches, which would make rare agreements look usual: each counts by its chance not to be one.
    Levels that are `counted_on` columns are too rare for a sample: all pairs that agree there are counted, likewise corrected.
    """
    every = tuple(range(len(m)))
    not_matched = np.ones(len(evidence.random.counts))
    if u is not None:
        not_matched = 1 - posterior(bayes_factors(evidence.random, m, u, every), prior)
    learned: list[Floats] = []
    for place, comparison in enumerate(comparison_set.comparisons):
        counts = level_counts(evidence.random, not_matched * evidence.random.counts, place, len(m[place]))
        compared = max(counts.sum(), 1.0)
        fixed = dict(_fixed(comparison_set, place, "u"))
        for gamma, level in enumerate(reversed(comparison.weighed)):
            if gamma not in fixed and level.counted_on in evidence.counted:
                share_compared = compared / max(evidence.random.pairs, 1.0)
                fixed[gamma] = _counted_u(evidence, level.counted_on, place, gamma, m, u) / (evidence.all_pairs * share_compared)
        kept = {gamma: max(share, LEAST_SHARE) for gamma, share in fixed.items()}
        learned.append(np.maximum(normalised(counts, kept), LEAST_SHARE))
    return tuple(learned)


def _counted_u(evidence: Evidence, on: tuple[str, ...], place: int, gamma: int, m: Shares, u: Shares | None) -> float:
    """Pairs at a level that are no matches, at least half a pair; at first, when nothing is learned, a thousandth of all."""
    patterns, used = evidence.counted[on]
    if u is None:
        return max(float(patterns.counts[patterns.vectors[:, place] == gamma].sum()) * 1e-3, 0.5)
    factors = bayes_factors(patterns, m, u, used)
    others = (1 - posterior(factors, share_of_matches(patterns, factors, 0.5))) * patterns.counts
    return max(float(level_counts(patterns, others, place, len(m[place]))[gamma]), 0.5)


def _fixed(comparison_set: ComparisonSet, place: int, which: str) -> dict[int, float]:
    levels = enumerate(reversed(comparison_set.comparisons[place].weighed))
    return {gamma: share for gamma, level in levels if (share := level.m if which == "m" else level.u) is not None}


def _assumed_m(levels: int, fixed: Mapping[int, float]) -> Floats:
    """Where to begin, and what stays where no training pair has both values: nine of ten matches agree best."""
    counts = np.full(levels, 0.1 / max(levels - 1, 1))
    counts[levels - 1] = 0.9
    return normalised(counts, fixed, least=0.0)


def _m_from(comparison_set: ComparisonSet, place: int, seen: Sequence[Floats]) -> tuple[Learned, ...]:
    levels = reversed(comparison_set.comparisons[place].weighed)
    learned: Learned = "trained" if seen[place].sum() >= 1 else "assumed"
    return tuple("fixed" if level.m is not None else learned for level in levels)


def _u_from(comparison_set: ComparisonSet, place: int) -> tuple[Learned, ...]:
    levels = reversed(comparison_set.comparisons[place].weighed)
    return tuple("fixed" if level.u is not None else "counted" if level.counted_on else "sampled" for level in levels)


def rarity_columns(comparison_set: ComparisonSet) -> list[str]:
    """Columns whose values' frequency is part of a weight, each once."""
    return list(dict.fromkeys(level.tf for one in comparison_set.comparisons for level in one.levels if level.tf))


def measure_rarity(connection: duckdb.DuckDBPyConnection, column: str) -> Rarity:
    """How often each value of a column occurs."""
    frame = read_frame(
        connection,
        f'SELECT CAST("{column}" AS VARCHAR) AS value, count(*) AS count FROM records WHERE "{column}" IS NOT NULL '
        "GROUP BY value HAVING count(*) > 1 ORDER BY value",
    )
    filled = read_number(connection, f'SELECT count("{column}") FROM records')
    agreeing = float((frame["count"] * (frame["count"] - 1)).sum())
    return Rarity(column, frame, max(filled, 1), max(agreeing, 1.0) / max(filled * (filled - 1), 1))
