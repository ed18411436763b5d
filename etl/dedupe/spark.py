"""From records and a trained model to edges on Spark: the same pairs with the same weights as on DuckDB, on one machine or many.

Records go to Spark through this process, and edges come back through it: the machines of a cluster need no common disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from etl.dedupe.blocking import refuse_too_many
from etl.dedupe.model import BlockingRule, ComparisonSet, EdgeSet, Limits, RuleCount
from etl.dedupe.predict import as_edges, empty_edges, write_edges
from etl.dedupe.spark_session import bring_functions, open_spark
from etl.dedupe.spark_sql import model_for_spark, transpiled
from etl.dedupe.splink_settings import frequencies_sql, splink_settings
from etl.dedupe.trained_model import TrainedModel
from etl.dedupe.vectors import needed_columns
from etl.personal_files import read_personal_file
from etl.settings import SparkSettings

SHARED: Final = "SELECT place, key, count(*) AS n FROM keyed GROUP BY place, key HAVING count(*) > 1"
"""Values that several records share: they tell how many pairs there will be, and only their few records then meet."""

FOUND: Final = """\
SELECT place, a, b
FROM (SELECT place, array_sort(collect_list(record)) AS members FROM keyed JOIN shared USING (place, key) GROUP BY place, key)
LATERAL VIEW posexplode(members) one AS at, a
LATERAL VIEW explode(slice(members, at + 2, size(members))) other AS b
"""
"""Every two records that agree, the lower number first."""

Found = tuple[pl.DataFrame, tuple[RuleCount, ...]]
"""Edges, and what each blocking rule found."""

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def link_on_spark(records: Path, model: TrainedModel, folder: Path, limits: Limits, settings: SparkSettings) -> EdgeSet:
    """Find and weigh pairs as `link_records` does, on Spark: edges.parquet in `folder`.

    Raises RefusedError when a rule makes more pairs than the budget; ConfigurationError when Spark or Java is missing or stops,
    or when the comparison set says something that Spark has no equal of.
    """
    model_for_spark(model)  # refuse before anything is started
    with open_spark(settings, limits, folder) as spark:
        edges, found = link_in(spark, records, model, limits)
    return write_edges(edges, folder, found, sum(count.found or 0 for count in found))


def link_in(spark: SparkSession, records: Path, model: TrainedModel, limits: Limits) -> Found:
    """Find and weigh pairs in a session that is open."""
    said = model_for_spark(model)
    open_records(spark, records, model.comparison_set)
    found = block_pairs(spark, said.comparison_set.blocking, limits)
    edges = empty_edges(model.comparison_set)
    if any(count.found for count in found):
        edges = weigh_pairs(spark, said, model.comparison_set)
    spark.catalog.clearCache()
    return edges, found


def open_records(spark: SparkSession, records: Path, comparison_set: ComparisonSet) -> None:
    """Make the view `records` of the accepted records, with the columns that are compared."""
    with read_personal_file(records) as file:
        frame = pl.read_parquet(file, columns=["record", "accepted", *needed_columns(comparison_set)])
    send(spark, frame.filter("accepted").drop("accepted"), "records")


def send(spark: SparkSession, frame: pl.DataFrame, name: str) -> None:
    """Make a view of a frame, kept in Spark's memory or, beyond, on its disk."""
    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    spark.createDataFrame(table).persist().createOrReplaceTempView(name)


def block_pairs(spark: SparkSession, rules: Sequence[BlockingRule], limits: Limits) -> tuple[RuleCount, ...]:
    """Make the view `blocked_pairs` of all pairs that the rules find, each once, under the first rule that finds it.

    Columns are those Splink reads, as on DuckDB. All rules go through Spark in one pass: a record is sent once for each rule,
    with the values it has to agree on, to where the others with these values are. Raises RefusedError, naming rule and count,
    over the budget.
    """
    spark.sql(_keyed_sql(rules)).createOrReplaceTempView("keyed")
    spark.sql(SHARED).persist().createOrReplaceTempView("shared")
    counts = count_rules(spark, rules)
    refuse_too_many(counts, limits)
    spark.sql(FOUND).createOrReplaceTempView("found")
    checked = [_checked_sql(place, rule) for place, rule in enumerate(rules) if rule.where]
    wanted = " UNION ALL ".join([_unasked_sql(rules), *checked])
    first = f"SELECT CAST(min(place) AS STRING) AS match_key, a AS join_key_l, b AS join_key_r FROM ({wanted}) GROUP BY a, b"
    spark.sql(first).persist().createOrReplaceTempView("blocked_pairs")
    sizes = frame_of(spark.sql("SELECT CAST(match_key AS INT) AS place, count(*) AS pairs FROM blocked_pairs GROUP BY match_key"))
    by_rule: dict[int, int] = dict(sizes.rows())
    return tuple(RuleCount(count.rule, count.pairs, by_rule.get(place, 0)) for place, count in enumerate(counts))


def count_rules(spark: SparkSession, rules: Sequence[BlockingRule]) -> tuple[RuleCount, ...]:
    """The pairs of each rule without making them, from the sizes of its groups; its `where` is left out: at most these."""
    counted = frame_of(spark.sql("SELECT place, CAST(sum(n * (n - 1) DIV 2) AS BIGINT) AS pairs FROM shared GROUP BY place"))
    pairs: dict[int, int] = dict(counted.rows())
    return tuple(RuleCount(rule.name, pairs.get(place, 0)) for place, rule in enumerate(rules))


def _keyed_sql(rules: Sequence[BlockingRule]) -> str:
    """Every record under the place of each rule, with the values it must agree on; not where one is null."""
    keys = []
    for place, rule in enumerate(rules):
        filled = " AND ".join(f"`{column}` IS NOT NULL" for column in rule.on)
        values = ", ".join(f"CAST(`{column}` AS STRING)" for column in rule.on)
        keys.append(f"{place}, CASE WHEN {filled} THEN array({values}) END")
    stacked = f"stack({len(keys)}, {', '.join(keys)}) AS (place, key)"
    return f"SELECT record, place, key FROM (SELECT record, {stacked} FROM records) WHERE key IS NOT NULL"


def _unasked_sql(rules: Sequence[BlockingRule]) -> str:
    """Pairs of rules that ask nothing more of them."""
    asking = ", ".join(["-1", *(str(place) for place, rule in enumerate(rules) if rule.where)])
    return f"SELECT place, a, b FROM found WHERE place NOT IN ({asking})"


def _checked_sql(place: int, rule: BlockingRule) -> str:
    """Pairs of a rule for which its condition holds."""
    both = "JOIN records l ON l.record = found.a JOIN records r ON r.record = found.b"
    return f"SELECT place, a, b FROM found {both} WHERE place = {place} AND ({rule.where})"


def open_splink(spark: SparkSession) -> Any:
    """Splink over a session, with the functions of comparison sets."""
    from splink.backends.spark import SparkAPI

    # "persist": Splink's own tables stay with Spark, where "parquet" would need a disk that all machines share.
    untyped: Any = SparkAPI
    api = untyped(spark_session=spark, break_lineage_method="persist")
    bring_functions(spark)
    return api


def weigh_pairs(spark: SparkSession, model: TrainedModel, comparison_set: ComparisonSet) -> pl.DataFrame:
    """Edges of the view `blocked_pairs`: what Splink predicts at or above the review weight. `model` speaks Spark's SQL."""
    from splink import Linker

    api = open_splink(spark)
    linker = Linker(api.register("records"), splink_settings(model, "spark"), log_level=None, validate_settings=False)
    for column, rarity in model.rarities.items():
        send(spark, rarity.counts, f"counts_{column}")
        frequencies = spark.sql(transpiled(frequencies_sql(model, column, "records", f"counts_{column}")))
        frequencies.persist().createOrReplaceTempView(f"frequencies_{column}")
        linker.table_management.register_term_frequency_lookup(api.register(f"frequencies_{column}"), column)
    linker.table_management.register_blocked_pairs_for_predict(api.register("blocked_pairs"))
    weighed = linker.inference.predict(threshold_match_weight=comparison_set.thresholds.review, warning_mode="never")
    gammas = ", ".join(comparison.gamma for comparison in comparison_set.comparisons)
    told = "match_weight AS weight, match_probability AS probability, CAST(match_key AS INT) AS rule"
    frame = frame_of(spark.sql(f"SELECT record_l AS left, record_r AS right, {told}, {gammas} FROM {weighed.physical_name}"))
    rounded = frame.with_columns(pl.col("weight").round(6), pl.col("probability").round(12)).sort("left", "right")
    return as_edges(rounded, comparison_set)


def frame_of(data: DataFrame) -> pl.DataFrame:
    """The rows of a query, brought here."""
    frame = pl.from_arrow(data.toArrow())
    assert isinstance(frame, pl.DataFrame)
    return frame
