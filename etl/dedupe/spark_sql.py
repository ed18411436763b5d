"""A comparison set for Spark: its conditions are DuckDB's SQL, and only what Spark is known to answer alike is let through."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from etl.dedupe.model import BlockingRule, Comparison, Level
from etl.dedupe.spark_functions import PREFIX
from etl.dedupe.trained_model import TrainedModel
from etl.dedupe.vectors import OTHERWISE
from etl.errors import ConfigurationError

OURS: Final = {
    "levenshtein": "levenshtein",
    "damerau_levenshtein": "damerau_levenshtein",
    "hamming": "hamming",
    "hammingdistance": "hamming",
    "jaro_similarity": "jaro_similarity",
    "jaro_winkler_similarity": "jaro_winkler_similarity",
    "jarowinklersimilarity": "jaro_winkler_similarity",
    "regexp_full_match": "regexp_full_match",
    "regexpfullmatch": "regexp_full_match",
}
"""Functions that etl/dedupe/spark_functions.py brings to Spark, by the names the parser may have for them."""

ALIKE: Final = ("length", "coalesce", "replace", "abs", "year", "month", "day", "greatest", "least", "nullif")
"""Functions that mean the same on both."""

PLAIN: Final = (
    *("column", "identifier", "literal", "boolean", "null", "not", "paren", "and", "or", "is", "eq", "neq", "gt", "gte", "lt"),
    *("lte", "between", "in", "add", "sub", "mul", "neg", "case", "if", "var", "datatype"),
)
"""What else a condition may be made of. Division is not: by zero they differ."""

SIMILARITIES: Final = {f"{PREFIX}{name}_similarity": f"{PREFIX}{name}_reaches" for name in ("jaro", "jaro_winkler")}


def model_for_spark(model: TrainedModel) -> TrainedModel:
    """The model with every condition in Spark's SQL. Raises ConfigurationError for what Spark has no equal of."""
    comparison_set = model.comparison_set
    said = replace(
        comparison_set,
        comparisons=tuple(_comparison(comparison) for comparison in comparison_set.comparisons),
        blocking=tuple(_rule(rule) for rule in comparison_set.blocking),
    )
    return replace(model, comparison_set=said)


def transpiled(sql: str) -> str:
    """A statement of our own, without functions that differ, in Spark's SQL."""
    import sqlglot

    return str(sqlglot.transpile(sql, read="duckdb", write="spark")[0])


def _comparison(comparison: Comparison) -> Comparison:
    return replace(comparison, levels=tuple(_level(comparison, level) for level in comparison.levels))


def _level(comparison: Comparison, level: Level) -> Level:
    if level.sql == OTHERWISE:
        return level
    return replace(level, sql=condition_for_spark(level.sql, f"The level {level.name!r} of {comparison.name!r}"))


def _rule(rule: BlockingRule) -> BlockingRule:
    return replace(rule, where=rule.where and condition_for_spark(rule.where, f"The blocking rule {rule.name!r}"))


def condition_for_spark(sql: str, place: str) -> str:
    """A condition of DuckDB's in Spark's SQL; `place` is for the message. Raises ConfigurationError.

    >>> condition_for_spark("hamming(a_l, a_r) = 1 and (b_l = b_r)::int = 1", "It")
    'members_hamming(a_l, a_r) = 1 AND CAST((b_l = b_r) AS INT) = 1'
    >>> condition_for_spark("jaro_winkler_similarity(a_l, a_r) >= 0.92", "It")
    'members_jaro_winkler_reaches(a_l, a_r, 0.92)'
    """
    import sqlglot

    tree = sqlglot.parse_one(sql, dialect="duckdb")
    for part in _unknown(tree):
        raise ConfigurationError(
            f"{place} uses {part}, and it is not known that Spark answers as DuckDB does.",
            f"Write it with comparisons, and, or, not, {', '.join(sorted({*OURS.values(), *ALIKE}))}, substr from a fixed place "
            "and date_diff in days; or run with --engine duckdb.",
        )
    return str(tree.transform(_said).transform(_shortened).sql(dialect="spark", normalize_functions=False))


def _name(node: Any) -> str:
    """What the parser calls a function, in small letters."""
    return str(node.name if node.key == "anonymous" else node.key).lower()


def _unknown(tree: Any) -> Iterator[str]:
    """Parts of a condition that may mean something else on Spark."""
    from sqlglot import ErrorLevel

    for node in tree.walk():
        name = _name(node)
        if node.key in PLAIN or name in OURS or name in ALIKE:
            continue
        same = (
            (name == "substring" and str(node.args["start"]).isdecimal() and int(str(node.args["start"])) >= 1)
            or (name == "datediff" and str(node.args.get("unit")).upper().strip("'") == "DAY")
            or (name == "cast" and _is_truth(node))
        )
        if not same:
            yield str(node.sql(dialect="duckdb", unsupported_level=ErrorLevel.IGNORE))


def _is_truth(node: Any) -> bool:
    """Whether a cast makes a number of a condition; numbers of texts or fractions differ."""
    from sqlglot import exp

    is_condition = isinstance(node.this.unnest(), exp.Predicate | exp.And | exp.Or)
    return is_condition and bool(node.to.is_type("int", "bigint", "smallint", "tinyint"))


def _said(node: Any) -> Any:
    """A function of ours by its name on Spark."""
    from sqlglot import exp

    if isinstance(node, exp.Func) and _name(node) in OURS:
        arguments = node.expressions if node.key == "anonymous" else [node.this, node.expression]
        return exp.Anonymous(this=PREFIX + OURS[_name(node)], expressions=[one.copy() for one in arguments])
    return node


def _shortened(node: Any) -> Any:
    """ "At least as alike as this" is a question of its own, answered without the long way round for most pairs."""
    from sqlglot import exp

    if isinstance(node, exp.GTE) and isinstance(node.this, exp.Anonymous) and isinstance(node.expression, exp.Literal):
        reaches = SIMILARITIES.get(str(node.this.this))
        if reaches is not None:
            return exp.Anonymous(this=reaches, expressions=[*node.this.expressions, node.expression])
    return node
