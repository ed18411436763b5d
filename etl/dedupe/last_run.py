"""The outcome of the last run, when it can be gone on from: same rules, model and thresholds, and what the target holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from etl.dedupe.decisions import Decision
from etl.dedupe.incremental import read_parquet
from etl.dedupe.kept import Kept, open_kept
from etl.dedupe.kept_manifest import KeptManifest, decision_keys, read_manifest, write_manifest
from etl.dedupe.model import ComparisonSet, StagedState
from etl.dedupe.model_view import model_path
from etl.dedupe.record_files import BASE
from etl.dedupe.result import Clustering, Thresholds
from etl.dedupe.run_steps import thresholds_of
from etl.dedupe.runs import read_dedupe_runs
from etl.dedupe.standardised import rules_of
from etl.dedupe.trained_model import TrainedModel, load_model
from etl.mapping.model import Mapping as DataMapping
from etl.settings import Settings
from etl.target.bulk import BulkConnection
from etl.target.columns import TargetColumn

Columns = Mapping[str, Sequence[TargetColumn]]


@dataclass(frozen=True)
class LastRun:
    """What it left: records, pairs, persons, and what they were made of."""

    manifest: KeptManifest
    kept: Kept
    model: TrainedModel
    edges: pl.DataFrame
    clustering: Clustering


def open_last_run(
    settings: Settings, mapping: DataMapping, columns: Columns, comparison_set: ComparisonSet, run_on_target: int | None
) -> LastRun | None:
    """The last run; None when there is none whole, or it cannot be gone on from, so that everything has to be read again.

    `columns` are of the target's tables; `run_on_target` is its newest complete run.
    """
    folder, model_file = settings.dedupe_dir, model_path(settings)
    manifest = read_manifest(folder)
    if manifest is None or manifest.unwritten is None or not model_file.is_file():
        return None
    if manifest.rules != rules_of(mapping, comparison_set, dict(columns)) or manifest.run_id != run_on_target:
        return None
    model = load_model(model_file)
    same_model = model.sha == manifest.model and model.comparison_set.sha256 == comparison_set.sha256
    if not same_model or manifest.clustering != clustering_rules(thresholds_of(settings, model)):
        return None
    kept = open_kept(folder / BASE, comparison_set)
    review, refused = (read_parquet(folder / f"{name}.parquet") for name in ("review", "refused"))
    before = Clustering(read_parquet(folder / "clusters.parquet"), review, refused)
    return LastRun(manifest, kept, model, read_parquet(folder / "edges.parquet"), before)


def last_done_run(connection: BulkConnection, state_schema: str) -> int | None:
    """The newest run that is complete on the target."""
    return next((run.run_id for run in read_dedupe_runs(connection, state_schema) if run.status == "done"), None)


def clustering_rules(thresholds: Thresholds) -> str:
    """What decides, beside the pairs, who is one person."""
    return f"{thresholds.match_weight} {thresholds.review_weight} {thresholds.largest_cluster}"


def leave_state(
    settings: Settings,
    rules: str,
    model: TrainedModel,
    staged: StagedState,
    run_id: int | None,
    unwritten: Sequence[int] | None,
    decisions: Sequence[Decision],
    to_split: Sequence[int],
    largest_id: int,
) -> None:
    """Say what the files of this run are of, so that arrivals can be matched against them. The last thing that a run does."""
    clustering = clustering_rules(thresholds_of(settings, model))
    told = decision_keys(decisions)
    manifest = KeptManifest(rules, model.sha, clustering, staged, run_id, unwritten, told, to_split, largest_id)
    write_manifest(manifest, Path(settings.dedupe_dir))
