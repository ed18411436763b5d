"""Quality on a table of one's own with known truth: link it with a comparison set, tell precision, recall and F1.

python -m bench.dedupe_set people.csv --model english_people --key rec_id --truth person [--json]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import polars as pl

from bench.dedupe_quality import quality_of
from bench.dedupe_steps import run_steps
from bench.report import Result, print_results
from etl.dedupe.model import Limits


def main() -> None:
    """Read, link, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path, help="CSV or Parquet, a header with the names that the comparison set reads")
    parser.add_argument("--model", default="english_people", help="name or path of a comparison set")
    parser.add_argument("--key", required=True, help="column that names a record")
    parser.add_argument("--truth", required=True, help="column that names its person; the model does not see it")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    options = parser.parse_args()
    is_csv = options.table.suffix == ".csv"
    table = pl.read_csv(options.table, infer_schema=False) if is_csv else pl.read_parquet(options.table)
    with tempfile.TemporaryDirectory(prefix="membershift-bench-") as name:
        folder = Path(name)
        figures = run_steps({"all": table.drop(options.truth)}, options.key, options.model, folder, Limits())
        records = pl.read_parquet(folder / "records.parquet", columns=["record", "source_id"])
        truth = table.select(source_id=pl.col(options.key).cast(pl.String), person=options.truth)
        persons = records.join(truth, on="source_id", how="left").select("record", "person")
        found = quality_of(pl.read_parquet(folder / "clusters.parquet"), persons)
    results = [
        Result("precision on pairs", 100 * found.precision, "%"),
        Result("recall on pairs", 100 * found.recall, "%"),
        Result("F1", 100 * found.f1, "%"),
        Result("pairs compared", figures["scored"], "pairs"),
        Result("seconds", sum(figures[step] for step in ("standardise", "train", "link", "cluster")), "s"),
    ]
    print_results(results, as_json=options.json)


if __name__ == "__main__":
    main()
