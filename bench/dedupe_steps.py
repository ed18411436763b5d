"""The steps of deduplication without servers, on plain tables, timed: what bench/dedupe.py runs in a process of its own."""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from etl.dedupe.cluster import cluster_edges
from etl.dedupe.constraints import evidence_columns
from etl.dedupe.model import Limits
from etl.dedupe.predict import link_records
from etl.dedupe.read_model import open_model
from etl.dedupe.records import records_from_frames
from etl.dedupe.result import Thresholds
from etl.dedupe.train import train_model
from etl.dedupe.trained_model import load_model, save_model
from etl.personal_files import read_personal_file
from fixtures.data.member_frames import KEY, member_frames

LARGEST = 10


class Clock:
    """Seconds of each step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Note how long the block takes."""
        began = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - began


def run_steps(frames: Mapping[str, pl.DataFrame], key: str, model_name: str, folder: Path, limits: Limits) -> dict[str, float]:
    """From plain tables to clusters.parquet in `folder`; seconds of each step, and counts."""
    clock, comparison_set = Clock(), open_model(model_name)
    with clock.step("standardise"):
        records = records_from_frames(frames, key, comparison_set, folder)
    with clock.step("train"):
        model = save_model(train_model(records.path, comparison_set, limits), folder / "model.json")
    with clock.step("link"):
        edges = link_records(records.path, model, folder, limits)
    with clock.step("cluster"):
        thresholds = Thresholds(comparison_set.thresholds.match, comparison_set.thresholds.review, LARGEST)
        with read_personal_file(records.path) as file, read_personal_file(edges.path) as edge_file:
            found = cluster_edges(pl.read_parquet(file), pl.read_parquet(edge_file), thresholds, evidence_columns(comparison_set))
        found.clusters.write_parquet(folder / "clusters.parquet")
    counts = {"records": records.rows, "scored": edges.scored, "edges": edges.rows, "review": found.review.height}
    return clock.seconds | {name: float(count) for name, count in counts.items()}


def run_bare_splink(folder: Path, limits: Limits) -> dict[str, float]:
    """Splink alone on the same records with the same model: predict, then cluster at the same threshold."""
    import duckdb
    from splink import DuckDBAPI, Linker

    from etl.dedupe.splink_settings import splink_settings

    model, clock = load_model(folder / "model.json"), Clock()
    connection = duckdb.connect(config={"threads": limits.threads, "memory_limit": limits.memory})
    with clock.step("bare"):
        connection.execute(f"CREATE TABLE members AS SELECT * FROM read_parquet('{folder / 'records.parquet'}')")
        linker = Linker(DuckDBAPI(connection=connection).register("members"), splink_settings(model), log_level=None)
        edges = linker.inference.predict(threshold_match_weight=model.comparison_set.thresholds.match)
        linker.clustering.cluster_pairwise_predictions_at_threshold(
            edges, threshold_match_weight=model.comparison_set.thresholds.match
        )
    return clock.seconds


def main() -> None:
    """Run one of the two and print its figures, with the peak memory of this process in MiB."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("ours", "bare"))
    parser.add_argument("data", type=Path)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    limits = Limits()
    if options.what == "ours":
        options.folder.mkdir(parents=True, exist_ok=True)
        figures = run_steps(member_frames(options.data), KEY, "chinese_members", options.folder, limits)
    else:
        figures = run_bare_splink(options.folder, limits)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(json.dumps(figures | {"peak_mib": peak}) + "\n")


if __name__ == "__main__":
    main()
