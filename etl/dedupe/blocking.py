"""Which pairs are looked at: every rule is counted before it runs, and refused when it makes more pairs than the budget."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import duckdb

from etl.dedupe.database import open_database, read_frame, read_number
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
        keys, filled = _keys_of(rule)
        sizes = f"SELECT count(*) AS n FROM records WHERE {filled} GROUP BY {keys}"
        pairs = read_number(connection, f"SELECT CAST(coalesce(sum(n * (n - 1) / 2), 0) AS BIGINT) FROM ({sizes})")
        counts.append(RuleCount(rule.name, pairs))
    return tuple(counts)


def block_pairs(
    connection: duckdb.DuckDBPyConnection, rules: Sequence[BlockingRule], limits: Limits, *, arrivals: bool = False
) -> tuple[RuleCount, ...]:
    """Make the table `blocked_pairs` of all pairs that the rules find, each once, under the first rule that finds it.

    Columns are those Splink reads: match_key (the rule's place), join_key_l < join_key_r (records). Keys that two records share
    are looked for first: they tell how many pairs there will be, and only their few records are then joined with one another.
    `arrivals`: only pairs with a record that has `arrival` set. Raises RefusedError, naming rule and count, over the budget.
    """
    for place, rule in enumerate(rules):
        keys, filled = _keys_of(rule)
        shared = f"SELECT {keys}, count(*) AS n FROM records WHERE {filled} GROUP BY {keys} HAVING count(*) > 1"
        connection.execute(f"CREATE OR REPLACE TEMP TABLE shared_{place} AS {shared}")
    sizes = "SELECT CAST(coalesce(sum(n * (n - 1) / 2), 0) AS BIGINT) FROM"
    counts = tuple(RuleCount(rule.name, read_number(connection, f"{sizes} shared_{place}")) for place, rule in enumerate(rules))
    refuse_too_many(counts, limits)
    connection.execute("CREATE OR REPLACE TEMP TABLE found (rule INTEGER, a BIGINT, b BIGINT)")
    for place, rule in enumerate(rules):
        sharing = f"SELECT * FROM records SEMI JOIN shared_{place} USING ({_keys_of(rule)[0]})"
        connection.execute(f"INSERT INTO found WITH sharing AS ({sharing}) {_pairs_sql(place, rule, arrivals=arrivals)}")
        connection.execute(f"DROP TABLE shared_{place}")
    pairs = "SELECT CAST(min(rule) AS VARCHAR) AS match_key, a AS join_key_l, b AS join_key_r FROM found GROUP BY a, b"
    connection.execute(f"CREATE OR REPLACE TABLE blocked_pairs AS {pairs}")
    connection.execute("DROP TABLE found")
    return found_by_rule(connection, counts)


def _keys_of(rule: BlockingRule) -> tuple[str, str]:
    """The columns of a rule as SQL, and the condition that none is null."""
    return ", ".join(f'"{column}"' for column in rule.on), " AND ".join(f'"{column}" IS NOT NULL' for column in rule.on)


def _pairs_sql(place: int, rule: BlockingRule, *, arrivals: bool) -> str:
    """The pairs of one rule among the records of `sharing`."""
    conditions = [f'l."{column}" = r."{column}"' for column in rule.on] + ["l.record < r.record"]
    conditions += [f"({rule.where})"] if rule.where else []
    conditions += ["(l.arrival OR r.arrival)"] if arrivals else []
    return f"SELECT {place}, l.record, r.record FROM sharing l JOIN sharing r ON {' AND '.join(conditions)}"


def found_by_rule(connection: duckdb.DuckDBPyConnection, counts: tuple[RuleCount, ...]) -> tuple[RuleCount, ...]:
    """How many pairs each rule found that no earlier one had."""
    frame = read_frame(connection, "SELECT CAST(match_key AS INTEGER) AS rule, count(*) AS pairs FROM blocked_pairs GROUP BY 1")
    found = dict(frame.rows())
    return tuple(RuleCount(count.rule, count.pairs, found.get(place, 0)) for place, count in enumerate(counts))


def refuse_too_many(counts: Sequence[RuleCount], limits: Limits) -> None:
    """Raise RefusedError for the rule that makes the most pairs, when that is over the budget."""
    worst = max(counts, key=lambda count: count.pairs, default=None)
    if worst is not None and worst.pairs > limits.pair_budget:
        raise RefusedError(
            f"The blocking rule {worst.rule!r} makes {worst.pairs:,} pairs, more than the budget of {limits.pair_budget:,}.",
            "Pair it with a second column in the comparison set, or null the value that so many records share, or raise "
            "pair_budget in [dedupe].",
        )
