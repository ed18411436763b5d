"""Comparison vectors: how a pair of records does in each comparison, and how many pairs do alike."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import duckdb
import numpy as np
import numpy.typing as npt

from etl.dedupe.database import quoted, read_frame, read_number
from etl.dedupe.model import BlockingRule, Comparison, ComparisonSet
from etl.dedupe.patterns import Patterns

OTHERWISE: Final = "otherwise"


def gamma_sql(comparison: Comparison) -> str:
    """The level of a pair as a number, over `<column>_l` and `<column>_r`: -1 where a value is missing, 0 for the last level."""
    weighed = len(comparison.weighed)
    cases = []
    for level in comparison.levels:
        value = -1 if level.is_null else weighed - 1 - comparison.weighed.index(level)
        cases.append(f"ELSE {value}" if level.sql == OTHERWISE else f"WHEN {level.sql} THEN {value}")
    return f"CAST(CASE {' '.join(cases)} END AS TINYINT) AS {comparison.gamma}"


def open_records(connection: duckdb.DuckDBPyConnection, records: Path, comparison_set: ComparisonSet) -> int:
    """Make the table `records` of the accepted records, with the columns that are compared; return how many there are."""
    columns = ", ".join(f'"{column}"' for column in needed_columns(comparison_set))
    source = f"read_parquet({quoted(records)}) WHERE accepted ORDER BY record"
    connection.execute(f"CREATE OR REPLACE TABLE records AS SELECT record, {columns} FROM {source}")
    return read_number(connection, "SELECT count(*) FROM records")


def needed_columns(comparison_set: ComparisonSet) -> list[str]:
    """Columns that any comparison or rule reads, in the order of the records."""
    used = {column for comparison in comparison_set.comparisons for column in comparison.columns}
    rules = (*comparison_set.blocking, *comparison_set.training)
    used |= {column for rule in rules for column in rule.on}
    used |= {column for rule in rules for column in comparison_set.columns if rule.where and f".{column}" in rule.where}
    return [column for column in comparison_set.columns if column in used and column != "record"]


def pairs_sql(rule: BlockingRule) -> str:
    """The pairs of a rule as a join of l and r; nulls agree with nothing."""
    agreed = " AND ".join(f'l."{column}" = r."{column}"' for column in rule.on)
    return f"records l JOIN records r ON {agreed} AND l.record < r.record" + (f" AND ({rule.where})" if rule.where else "")


def patterns_of(connection: duckdb.DuckDBPyConnection, comparison_set: ComparisonSet, source: str) -> Patterns:
    """Count the comparison vectors of the pairs that `source` joins (its two sides called l and r)."""
    columns = sorted({column for comparison in comparison_set.comparisons for column in comparison.columns})
    sides = ", ".join(f'{side}."{column}" AS "{column}_{side}"' for column in columns for side in "lr")
    gammas = ", ".join(gamma_sql(comparison) for comparison in comparison_set.comparisons)
    names = ", ".join(comparison.gamma for comparison in comparison_set.comparisons)
    frame = read_frame(
        connection,
        f"SELECT {names}, count(*) AS pairs FROM (SELECT {gammas} FROM (SELECT {sides} FROM {source})) GROUP BY ALL ORDER BY ALL",
    )
    vectors = frame.drop("pairs").to_numpy().astype(np.int8)
    return Patterns(vectors, frame["pairs"].to_numpy().astype(np.float64))


def random_pairs(connection: duckdb.DuckDBPyConnection, rows: int, wanted: int, seed: int) -> str:
    """A join of `wanted` random pairs, or of all where there are no more; a different seed draws others."""
    if rows * (rows - 1) // 2 <= wanted:
        return "records l JOIN records r ON l.record < r.record"
    import pyarrow as pa

    rng = np.random.default_rng(seed)
    places: Sequence[npt.NDArray[np.int64]] = (rng.integers(0, rows, wanted), rng.integers(0, rows - 1, wanted))
    right = places[1] + (places[1] >= places[0])
    connection.register("drawn", pa.table({"l": np.minimum(places[0], right), "r": np.maximum(places[0], right)}))
    return "drawn JOIN records l ON l.rowid = drawn.l JOIN records r ON r.rowid = drawn.r"
