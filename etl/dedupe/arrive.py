"""membershift dedupe run --since: ten thousand arrivals among a million records, without reading the million.

What can be concerned is found through hashes of keys, decided as a full run would decide it (neighbourhood.py), and put in place
of what stood there. Where that is not possible, or would not be less work, nothing is done here and everything is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import polars as pl

from etl.dedupe.absorb import Absorbed, absorb
from etl.dedupe.arrival_counts import count_arrivals, counts_by_system
from etl.dedupe.arrived import NOBODY, read_arrived
from etl.dedupe.clock import Clock
from etl.dedupe.database import open_database
from etl.dedupe.decisions import Decision, as_record_pairs, standing_decisions
from etl.dedupe.incremental import LAST, Linked, as_moment, write_parquet
from etl.dedupe.kept import IDENTITY, Kept, write_fresh
from etl.dedupe.kept_manifest import DecisionKey, decision_keys
from etl.dedupe.last_run import LastRun, last_done_run, leave_state, open_last_run
from etl.dedupe.model import ComparisonSet, StagedState
from etl.dedupe.neighbourhood import Neighbourhood, hang_together, person_ties, replace_persons, settle
from etl.dedupe.outcome import Outcome, sizes_of_clusters
from etl.dedupe.plan import limits_of
from etl.dedupe.record_files import BASE
from etl.dedupe.registry_part import read_entries
from etl.dedupe.result import Clustering, MergePlan
from etl.dedupe.run_steps import Work, begin_run, find_persons, largest_id, plan_golden, plan_ids, write_changes
from etl.dedupe.scorer import weigh_arrivals
from etl.dedupe.staged_members import chunks_of, open_readers

SHARE: Final = 0.1
FEW: Final = 1_000
"""Above this share of all records, or this many where there are few, reading everything is as quick, and keeps reading quick."""
TASK: Final = "match arrivals"


def run_arrivals(work: Work, comparison_set: ComparisonSet, since: str, clock: Clock) -> Outcome | None:
    """Match what arrived since the last run against everybody. None, with nothing done, when everything has to be read instead.

    Raises what run_dedupe raises, and UsageError for a time that cannot be read.
    """
    with clock.step("model"):
        run_id = last_done_run(work.connection, work.registry.state_schema)
        last = open_last_run(work.settings, work.mapping, work.live.columns, comparison_set, run_id)
    if last is None:
        return None
    work.progress.start(TASK, None, "steps")
    with clock.step("standardise"):
        taken = take_in(work, last, comparison_set, since)
    if taken is None:
        work.progress.finish(TASK)
        return None
    absorbed, staged = taken
    with clock.step("link"):
        limits = limits_of(work.settings)
        with open_database(limits, work.folder) as database:
            weighed = weigh_arrivals(database, absorbed.kept, absorbed.arrivals, last.model, limits)
        edges = replace_edges(last.edges, weighed.edges, absorbed)
    with clock.step("cluster"):
        start, hood = find_neighbourhood(work, last, absorbed, edges)
        touched = start_of_golden(last, absorbed, start)
        linked = Linked(
            hood.records,
            hood.local(edges, "left", "right"),
            weighed.rules,
            work.folder / BASE,
            work.folder / "edges.parquet",
            hood.local(touched.alias("record").to_frame(), "record")["record"],
        )
        clustering = find_persons(work, linked, last.model)
    work.run = begin_run(work, last.model) if work.request.execute else None
    with clock.step("golden"):
        largest = max(last.manifest.largest_id, largest_id(work, hood.records))
        plan = plan_ids(work, linked.records, clustering, largest)
        changes = plan_golden(work, plan, clustering, linked)
    with clock.step("write"):
        written = write_changes(work, changes) if work.request.execute else changes.counts
    with clock.step("save"):
        whole = replace_persons(last.clustering, clustering, hood, absorbed.gone)
        to_split = still_to_split(last, plan, work.crosswalk)
        files = save_files(work, absorbed.kept, edges, whole)
        unwritten = [] if work.run is not None else start.to_list()
        run_id = run_id if work.run is None else work.run.run_id
        leave_state(work.settings, last.manifest.rules, last.model, staged, run_id, unwritten, work.decisions, to_split, largest)
    work.progress.finish(TASK)
    counts = count_arrivals(absorbed, hood, clustering)
    sizes = sizes_of_clusters(whole.clusters)
    return Outcome(last.model, staged.systems, whole, sizes, len(to_split), weighed.rules, written, files, counts)


def take_in(work: Work, last: LastRun, comparison_set: ComparisonSet, since: str) -> tuple[Absorbed, StagedState] | None:
    """The arrivals among the kept records, and the stage as it is now. None when there are too many, or they cannot be told."""
    readers = open_readers(work.stage, work.mapping, comparison_set, work.live.columns)
    systems = [reader.system.name for reader in readers]
    if any(reader.lookups for reader in readers) or len(set(systems)) < len(systems):
        return None  # a row alone does not tell the record, or the system not the table
    before, staged = last.kept, last.manifest.staged
    arrived = read_arrived(work.stage, readers, before, staged)
    if arrived is None:
        return None
    work.stage = work.stage.holding(arrived.held)  # golden records are made of some of the same rows
    also = before.changed_since(pl.lit(as_moment(since))) if since != LAST else NOBODY
    allowed = max(FEW, round(SHARE * before.table.num_rows))
    if before.fresh.height + arrived.rows.height + arrived.unseen.len() + also.len() > allowed:
        return None
    absorbed = absorb(before, arrived.rows, arrived.unseen, also, staged)
    latest = max((at for at in (staged.latest, arrived.rows["registered_at"].max()) if isinstance(at, datetime)), default=None)
    systems_now = counts_by_system(before, absorbed, staged.systems)
    return absorbed, StagedState(chunks_of(readers), systems_now, latest, absorbed.crowded)


def replace_edges(before: pl.DataFrame, new: pl.DataFrame, absorbed: Absorbed) -> pl.DataFrame:
    """Pairs of the last run between records that stayed as they were, and the new ones."""
    away = pl.concat([absorbed.arrivals, absorbed.gone]).implode()
    kept = before.filter(~pl.col("left").is_in(away), ~pl.col("right").is_in(away))
    return pl.concat([kept, new.select(kept.columns).cast(kept.schema)]).sort("left", "right")


def find_neighbourhood(work: Work, last: LastRun, absorbed: Absorbed, edges: pl.DataFrame) -> tuple[pl.Series, Neighbourhood]:
    """Where it starts: what arrived, left, was decided or not yet written; and everybody who hangs together with that.

    Leaves their part of the crosswalk in `work`.
    """
    kept = absorbed.kept
    decisions = standing_decisions(work.connection, work.registry.state_schema)
    decided = decided_records(kept, decisions, last.manifest.decisions)
    unwritten = pl.Series("record", list(last.manifest.unwritten or ()), dtype=pl.Int64)
    start = pl.concat([absorbed.arrivals, absorbed.gone, unwritten, decided]).unique().sort()
    ties = [last.edges, edges, person_ties(last.clustering.clusters), decision_ties(kept, decisions)]
    found = hang_together(start, *ties)
    while True:
        records = kept.rows(found)
        work.crosswalk = read_entries(work.connection, work.registry.schema, records, work.kept_systems)
        members = kept.numbered(work.crosswalk)
        others = members.filter(~pl.col("record").is_in(found.implode()))["record"]
        if others.is_empty():
            return start, settle(records)
        found = hang_together(pl.concat([found, others]), *ties)


def decided_records(kept: Kept, decisions: Sequence[Decision], before: Sequence[DecisionKey]) -> pl.Series:
    """Numbers of records about which a decision was made, or taken back, since the last run."""
    changed = set(decision_keys(decisions)) ^ set(before)
    sides = [side for _, _, left, left_id, right, right_id in changed for side in ((left, left_id), (right, right_id))]
    keys = pl.DataFrame(sides, schema=dict.fromkeys(IDENTITY, pl.String), orient="row").unique()
    return kept.numbered(keys)["record"]


def decision_ties(kept: Kept, decisions: Sequence[Decision]) -> pl.DataFrame:
    """Decisions as pairs of numbers."""
    sides = [(side.system, side.source_id) for one in decisions for side in (one.left, one.right)]
    keys = pl.DataFrame(sides, schema=dict.fromkeys(IDENTITY, pl.String), orient="row").unique()
    return as_record_pairs(decisions, kept.numbered(keys))


def start_of_golden(last: LastRun, absorbed: Absorbed, start: pl.Series) -> pl.Series:
    """Records whose members' golden records are made anew: where it starts, and who was one person with somebody gone."""
    clusters = last.clustering.clusters
    left = clusters.filter(pl.col("record").is_in(absorbed.gone.implode()))["cluster"]
    mates = clusters.filter(pl.col("cluster").is_in(left.implode()))["record"]
    told = start.filter(~start.is_in(absorbed.recounted.implode()) | start.is_in(list(last.manifest.unwritten or ())))
    return pl.concat([told, mates]).unique()


def still_to_split(last: LastRun, plan: MergePlan, crosswalk: pl.DataFrame) -> list[int]:
    """Members that lie in several clusters: those known before that were not looked at now, and those found now."""
    met = set(crosswalk["member_id"].to_list())
    return sorted({member for member in last.manifest.to_split if member not in met} | set(plan.to_split))


def save_files(work: Work, kept: Kept, edges: pl.DataFrame, clustering: Clustering) -> dict[str, Path]:
    """What people look at afterwards, and what the next run goes on from."""
    records = work.folder / BASE
    write_fresh(kept, records)
    files = {"records": records}
    frames = {"edges": edges, "clusters": clustering.clusters, "review": clustering.review, "refused": clustering.refused}
    for name, frame in frames.items():
        files[name] = work.folder / f"{name}.parquet"
        write_parquet(frame, files[name])
    return files
