"""membershift dedupe run: from staged records to one member a person, in the crosswalk and as golden records."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

from etl.dedupe.arrive import run_arrivals
from etl.dedupe.clock import Clock
from etl.dedupe.engine import choose_engine
from etl.dedupe.incremental import Linked, link_all_or_new
from etl.dedupe.last_run import leave_state
from etl.dedupe.model import ComparisonSet, RecordSet
from etl.dedupe.model_view import keep_model, model_path
from etl.dedupe.outcome import Outcome, as_result, sizes_of_plan
from etl.dedupe.plan import limits_of
from etl.dedupe.read_model import open_model
from etl.dedupe.records import read_records
from etl.dedupe.result import DedupeRequest, DedupeResult, MergePlan
from etl.dedupe.run_steps import (
    Work,
    begin_run,
    complete_earlier_run,
    find_persons,
    largest_id,
    open_work,
    plan_golden,
    plan_ids,
    read_registry,
    save_run,
    write_changes,
)
from etl.dedupe.standardised import rules_of
from etl.dedupe.train import train_model
from etl.dedupe.trained_model import TrainedModel, load_model
from etl.load.lock import hold_load_lock
from etl.progress import Progress
from etl.settings import Engine, Settings


def run_dedupe(settings: Settings, request: DedupeRequest, progress: Progress) -> DedupeResult:
    """Decide who is one person; with `request.execute`, write it to the target. Completes what an earlier run left half done.

    Raises RefusedError when members are not staged whole, a blocking rule makes too many pairs, or points and money would not
    add up; ConfigurationError, TargetError.
    """
    clock, engine = Clock(), choose_engine(settings, request)
    lock = hold_load_lock(settings) if request.execute else nullcontext()
    with lock, open_work(settings, request, progress) as work:
        notes = complete_earlier_run(work)
        comparison_set = open_model(settings.dedupe.model)
        outcome = None if request.since is None else run_arrivals(work, comparison_set, request.since, clock)
        if outcome is None:
            outcome = run_over_all(work, comparison_set, engine, clock)
        run_id = None if work.run is None else work.run.run_id
    return as_result(outcome, run_id, request.execute, clock, notes)


def run_over_all(work: Work, comparison_set: ComparisonSet, engine: Engine, clock: Clock) -> Outcome:
    """Read everybody who is staged, and decide about all; with `since`, weigh only pairs with somebody who came or changed."""
    settings, progress, execute = work.settings, work.progress, work.request.execute
    read_registry(work)
    with clock.step("standardise"):
        records = read_records(settings, work.mapping, comparison_set, work.folder, progress, work.live.columns)
    with clock.step("model"):
        model = find_model(settings, comparison_set, records, progress)
    with clock.step("link"):
        linked = link_all_or_new(settings, work.request.since, records, model, progress, engine)
    with clock.step("cluster"):
        clustering = find_persons(work, linked, model)
    work.run = begin_run(work, model) if execute else None
    with clock.step("golden"):
        plan = plan_ids(work, linked.records, clustering)
        changes = plan_golden(work, plan, clustering, replace(linked, arrivals=None))  # also of who lost a record
    with clock.step("write"):
        written = write_changes(work, changes) if execute else changes.counts
    with clock.step("save"):
        files = save_run(work, linked, clustering, model)
        keep_for_arrivals(work, comparison_set, records, linked, model, plan)
    systems = {system.system: (system.records, system.accepted) for system in records.systems}
    return Outcome(model, systems, clustering, sizes_of_plan(plan), len(plan.to_split), linked.rules, written, files)


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


def keep_for_arrivals(
    work: Work, comparison_set: ComparisonSet, records: RecordSet, linked: Linked, model: TrainedModel, plan: MergePlan
) -> None:
    """Note what the files of this run are of; after a dry run the target has nothing of it."""
    assert records.staged is not None, "records of a run come from the stage"
    leave_state(
        work.settings,
        rules_of(work.mapping, comparison_set, dict(work.live.columns)),
        model,
        records.staged,
        None if work.run is None else work.run.run_id,
        None if work.run is None else [],
        work.decisions,
        plan.to_split,
        largest_id(work, linked.records),
    )
