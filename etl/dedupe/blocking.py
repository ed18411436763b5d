"""Which pairs are looked at: every rule is counted before it runs, and refused when it makes more pairs than the budget."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import duckdb

from etl.dedupe.database import open_database, read_number
from etl.dedupe.model import BlockingRule, ComparisonSet, Limits, RuleCount
from etl.dedupe.vectors import open_records
from etl.errors import RefusedError


def count_blocking(records: Path, comparison_set: ComparisonSet, limits: Limits) -> tuple[RuleCount, ...]:
    """The pairs each blocking rule would make alone. Raises RefusedError, naming rule and count, over the budget."""
    with open_database(limits, records.parent) as connection:
        open_records(connection, records, comparison_set)
        counts = count_rules(connection, comparison_set.blocking)
    refuse_too_many(counts, limits)
    return counts


def count_rules(connection: duckdb.DuckDBPyConnection, rules: Iterable[BlockingRule]) -> tuple[RuleCount, ...]:
    """Count the pairs of each rule without making them, from the sizes of its groups; its `where` is left out: at most these."""
    counts = []
    for rule in rules:
        keys = ", ".join(f'"{column}"' for column in rule.on)
        filled = " AND ".join(f'"{column}" IS NOT NULL' for column in rule.on)
        sizes = f"SELECT count(*) AS n FROM records WHERE {filled} GROUP BY {keys}"
        pairs = read_number(connection, f"SELECT CAST(coalesce(sum(n * (n - 1) / 2), 0) AS BIGINT) FROM ({sizes})")
        counts.append(RuleCount(rule.name, pairs))
    return tuple(counts)


def refuse_too_many(counts: Sequence[RuleCount], limits: Limits) -> None:
    """Raise RefusedError for the rule that makes the most pairs, when that is over the budget."""
    worst = max(counts, key=lambda count: count.pairs, default=None)
    if worst is not None and worst.pairs > limits.pair_budget:
        raise RefusedError(
            f"The blocking rule {worst.rule!r} makes {worst.pairs:,} pairs, more than the budget of {limits.pair_budget:,}.",
            "Pair it with a second column in the comparison set, or null the value that so many records share, or raise "
            "pair_budget in [dedupe].",
        )
