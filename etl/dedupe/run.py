"""membershift dedupe run: from staged records to one member a person, in the crosswalk and as golden records."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import polars as pl

from etl.dedupe.cluster import cluster_edges
from etl.dedupe.constraints import evidence_columns
from etl.dedupe.decisions import as_record_pairs, standing_decisions
from etl.dedupe.incremental import Linked, link_all_or_new
from etl.dedupe.model import ComparisonSet, RecordSet
from etl.dedupe.model_view import keep_model, model_path
from etl.dedupe.plan import limits_of
from etl.dedupe.read_model import open_model
from etl.dedupe.records import read_records
from etl.dedupe.registry import merged_before
from etl.dedupe.result import Clustering, DedupeRequest, DedupeResult, Thresholds
from etl.dedupe.run_steps import Work, complete_earlier_run, open_work, plan_golden, plan_ids, save_run, write_changes
from etl.dedupe.runs import ModelFacts, begin_dedupe_run
from etl.dedupe.train import train_model
from etl.dedupe.trained_model import TrainedModel, load_model
from etl.load.lock import hold_load_lock
from etl.progress import Progress
from etl.settings import Settings


def run_dedupe(settings: Settings, request: DedupeRequest, progress: Progress) -> DedupeResult:
    """Decide who is one person; with `request.execute`, write it to the target. Completes what an earlier run left half done.

    Raises RefusedError when members are not staged whole, a blocking rule makes too many pairs, or points and money would not
    add up; ConfigurationError, TargetError.
    """
    clock = Clock()
    lock = hold_load_lock(settings) if request.execute else nullcontext()
    with lock, open_work(settings, request, progress) as work:
        notes = complete_earlier_run(work)
        with clock.step("standardise"):
            comparison_set = open_model(settings.dedupe.model)
            records = read_records(settings, work.mapping, comparison_set, work.folder, progress, work.live.columns)
        with clock.step("model"):
            model = find_model(settings, comparison_set, records, progress)
        with clock.step("link"):
            linked = link_all_or_new(settings, request.since, records, model, progress)
        with clock.step("cluster"):
            clustering = find_persons(work, linked, model)
        facts = ModelFacts(model.name, str(model.version), model.sha)
        work.run = begin_dedupe_run(work.connection, work.registry.state_schema, facts, {}) if request.execute else None
        with clock.step("golden"):
            plan = plan_ids(work, linked.records, clustering)
            changes = plan_golden(work, plan, clustering, linked)
        with clock.step("write"):
            written = write_changes(work, changes) if request.execute else changes.counts
        with clock.step("save"):
            files = save_run(work, linked, clustering, model)
    sizes = Counter(plan.links.group_by("member_id").len()["len"].to_list())
    accepted = sum(system.accepted for system in records.systems)
    return DedupeResult(
        executed=request.execute,
        records=records.rows,
        accepted=accepted,
        systems={system.system: system.records for system in records.systems},
        persons=accepted - clustering.merged_records + clustering.persons,
        merged_members=plan.members,
        merged_records=plan.links.height,
        sizes=dict(sorted(sizes.items())),
        review=by_reason(clustering.review),
        refused=by_reason(clustering.refused),
        split=clustering.split,
        to_split=len(plan.to_split),
        written=written,
        model_name=facts.name,
        model_version=facts.version,
        model_sha=facts.sha,
        pairs_by_rule={count.rule: count.pairs for count in linked.rules},
        seconds=clock.seconds,
        files=files,
        run_id=None if work.run is None else work.run.run_id,
        notes=notes,
    )


class Clock:
    """How long each step took, in seconds."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Note the time that the block takes."""
        began = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - began


def find_model(settings: Settings, comparison_set: ComparisonSet, records: RecordSet, progress: Progress) -> TrainedModel:
    """The model of earlier runs, so that a rerun gives the same pairs; trained now where there is none of this comparison set."""
    path = model_path(settings)
    if path.is_file():
        model = load_model(path)
        if model.comparison_set.sha256 == comparison_set.sha256:
            return model
    progress.start("train", None, "steps")
    model = train_model(records.path, comparison_set, limits_of(settings))
    keep_model(model, path)
    progress.finish("train")
    return load_model(path)


def find_persons(work: Work, linked: Linked, model: TrainedModel) -> Clustering:
    """Clusters of records, with what people decided and what earlier runs merged."""
    configured, own = work.settings.dedupe, model.comparison_set.thresholds
    thresholds = Thresholds(
        match_weight=own.match if configured.match_weight is None else configured.match_weight,
        review_weight=own.review if configured.review_weight is None else configured.review_weight,
        largest_cluster=configured.largest_cluster,
    )
    decisions = standing_decisions(work.connection, work.registry.state_schema)
    return cluster_edges(
        linked.records,
        linked.edges,
        thresholds,
        evidence_columns(model.comparison_set),
        as_record_pairs(decisions, linked.records),
        merged_before(linked.records, work.crosswalk),
    )


def by_reason(pairs: pl.DataFrame) -> dict[str, int]:
    """How many pairs for each reason, most first."""
    counted = pairs.group_by("reason").len().sort("len", "reason", descending=[True, False])
    return {str(reason): int(count) for reason, count in counted.iter_rows()}
