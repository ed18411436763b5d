"""From records and a trained model to edges: the pairs that may be one person, each with its weight."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import duckdb
import polars as pl

from etl.dedupe.blocking import block_pairs
from etl.dedupe.database import open_database, read_frame, read_number
from etl.dedupe.model import EDGE, ComparisonSet, EdgeSet, Limits, RuleCount
from etl.dedupe.splink_settings import frequencies_sql, splink_settings
from etl.dedupe.trained_model import TrainedModel
from etl.dedupe.vectors import open_records
from etl.personal_files import write_personal_file

if TYPE_CHECKING:
    from splink import Linker

FILE: Final = "edges.parquet"


def link_records(records: Path, model: TrainedModel, folder: Path, limits: Limits, arrivals: pl.Series | None = None) -> EdgeSet:
    """Find and weigh pairs, and write those at or above the review weight to edges.parquet in `folder`.

    `arrivals`: numbers of records; then only pairs with at least one of them are looked at, with the same weights. Raises
    RefusedError when a rule makes more pairs than the budget.
    """
    comparison_set = model.comparison_set
    with open_database(limits, folder) as connection:
        open_records(connection, records, comparison_set)
        if arrivals is not None:
            keep_candidates(connection, comparison_set, arrivals)
        found = block_pairs(connection, comparison_set.blocking, limits, arrivals=arrivals is not None)
        scored = sum(count.found or 0 for count in found)
        edges = empty_edges(comparison_set)
        if scored:
            linker = open_linker(connection, model)
            weighed = linker.inference.predict(threshold_match_weight=comparison_set.thresholds.review, warning_mode="never")
            edges = read_edges(connection, weighed.physical_name, comparison_set)
    return write_edges(edges, folder, found, scored)


def open_linker(connection: duckdb.DuckDBPyConnection, model: TrainedModel) -> Linker:
    """Splink over the tables `records` and `blocked_pairs`, with the model's own frequencies."""
    from splink import DuckDBAPI, Linker

    api = DuckDBAPI(connection=connection)
    linker = Linker(api.register("records"), splink_settings(model), log_level=None, validate_settings=False)
    for column, rarity in model.rarities.items():
        connection.register(f"counts_{column}", rarity.counts.to_arrow())
        connection.execute(
            f"CREATE OR REPLACE TABLE frequencies_{column} AS {frequencies_sql(model, column, 'records', f'counts_{column}')}"
        )
        linker.table_management.register_term_frequency_lookup(api.register(f"frequencies_{column}"), column)
    linker.table_management.register_blocked_pairs_for_predict(api.register("blocked_pairs"))
    return linker


def keep_candidates(connection: duckdb.DuckDBPyConnection, comparison_set: ComparisonSet, arrivals: pl.Series) -> int:
    """Keep the arrivals, and the records that agree with one of them on a blocking rule: all others can be in no pair."""
    connection.register("arrived", arrivals.cast(pl.Int64).alias("record").to_frame().to_arrow())
    agreed = [" AND ".join(f'l."{column}" = r."{column}"' for column in rule.on) for rule in comparison_set.blocking]
    agreeing = [f"SELECT l.record FROM records l SEMI JOIN fresh r ON {condition}" for condition in agreed]
    connection.execute("CREATE TABLE fresh AS SELECT * FROM records SEMI JOIN arrived USING (record)")
    connection.execute(f"CREATE TABLE near AS SELECT record FROM fresh UNION {' UNION '.join(agreeing)}")
    connection.execute(
        "CREATE OR REPLACE TABLE records AS SELECT records.*, a.record IS NOT NULL AS arrival FROM records "
        "SEMI JOIN near USING (record) LEFT JOIN arrived a USING (record) ORDER BY records.record"
    )
    return read_number(connection, "SELECT count(*) FROM records")


def read_edges(connection: duckdb.DuckDBPyConnection, scored: str, comparison_set: ComparisonSet) -> pl.DataFrame:
    """Splink's predictions on DuckDB as edges, in their order."""
    gammas = ", ".join(f"CAST({comparison.gamma} AS TINYINT) AS {comparison.gamma}" for comparison in comparison_set.comparisons)
    rounded = "round(match_weight, 6) AS weight, round(match_probability, 12) AS probability, CAST(match_key AS INTEGER) AS rule"
    frame = read_frame(
        connection, f"SELECT record_l AS left, record_r AS right, {rounded}, {gammas} FROM {scored} ORDER BY record_l, record_r"
    )
    return as_edges(frame, comparison_set)


def as_edges(frame: pl.DataFrame, comparison_set: ComparisonSet) -> pl.DataFrame:
    """A frame of edges whose `rule` is the place of the blocking rule, with the rule's name and the columns of edges.parquet."""
    names = [rule.name for rule in comparison_set.blocking]
    named = frame.with_columns(pl.col("rule").replace_strict(list(range(len(names))), names, return_dtype=pl.String))
    return named.select(pl.col(name).cast(kind) for name, kind in edge_schema(comparison_set).items())


def edge_schema(comparison_set: ComparisonSet) -> dict[str, pl.DataType]:
    """Columns of edges.parquet for a comparison set."""
    return {**EDGE, **{comparison.gamma: pl.Int8() for comparison in comparison_set.comparisons}}


def empty_edges(comparison_set: ComparisonSet) -> pl.DataFrame:
    """No edges at all."""
    return pl.DataFrame(schema=edge_schema(comparison_set))


def write_edges(edges: pl.DataFrame, folder: Path, rules: tuple[RuleCount, ...], scored: int) -> EdgeSet:
    """Write edges.parquet."""
    path = folder / FILE
    with write_personal_file(path) as file:
        edges.write_parquet(file, compression="zstd", compression_level=1)
    return EdgeSet(path, edges.height, scored, rules)
