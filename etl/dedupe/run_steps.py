"""The steps of a run that meet the target: what is open, ids, golden records, writing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from etl.dedupe.changes import Changes, plan_changes, weights_of
from etl.dedupe.cluster import cluster_edges
from etl.dedupe.constraints import evidence_columns
from etl.dedupe.decisions import Decision, as_record_pairs, standing_decisions
from etl.dedupe.exchange import complete, is_exchanged, write_in_new_tables
from etl.dedupe.golden import golden_rows
from etl.dedupe.golden_rules import GoldenRules, read_golden_rules
from etl.dedupe.incremental import Linked, leave_for_next_run, write_parquet
from etl.dedupe.member_rows import open_member_parts, read_member_rows
from etl.dedupe.new_ids import allocate_ids, largest_kept_id
from etl.dedupe.registry import CROSSWALK_SCHEMA, merged_before, plan_registry
from etl.dedupe.result import Clustering, DedupeRequest, MergePlan, Thresholds, WriteCounts
from etl.dedupe.runs import DedupeRecord, ModelFacts, begin_dedupe_run, set_status, unfinished_run
from etl.dedupe.target_state import read_ages, read_crosswalk, read_members, require_registry_tables
from etl.dedupe.trained_model import TrainedModel
from etl.dedupe.write import Registry, open_registry, write_in_one
from etl.errors import RefusedError
from etl.load.prepare import Live, open_target_side
from etl.mapping.load_mapping import load_mapping
from etl.mapping.model import Mapping
from etl.personal_files import make_private_folder
from etl.progress import Progress
from etl.settings import Settings
from etl.stage.read import Stage, open_stage
from etl.target.bulk import BulkConnection
from etl.target.retry import with_retries


@dataclass
class Work:
    """What the steps share. `folder`: the files of this state; `scratch` goes away afterwards. `run`: None in a dry run.

    `crosswalk`: the entries that this run needs. `decisions`: those that its clusters heed.
    """

    settings: Settings
    request: DedupeRequest
    progress: Progress
    mapping: Mapping
    rules: GoldenRules
    registry: Registry
    connection: BulkConnection
    live: Live
    stage: Stage
    scratch: Path
    folder: Path
    crosswalk: pl.DataFrame
    run: DedupeRecord | None = None
    decisions: tuple[Decision, ...] = ()

    @property
    def kept_systems(self) -> tuple[str, ...]:
        """Systems whose ids become member ids."""
        return tuple(system.name for system in self.mapping.systems.values() if system.ids == "keep")

    @property
    def sums(self) -> tuple[str, ...]:
        """Columns of the member table that add up."""
        return tuple(name for name, rule in self.rules.columns.items() if rule.rule == "sum")


@contextmanager
def open_work(settings: Settings, request: DedupeRequest, progress: Progress) -> Iterator[Work]:
    """Mapping, rules, stage and target. Raises RefusedError, ConfigurationError, TargetError, each before anything is written."""
    mapping = load_mapping(settings.mapping, settings.config_dir)
    rules = read_golden_rules(settings)
    registry = open_registry(settings, mapping)
    folder = make_private_folder(settings.dedupe_dir)
    with open_stage(settings) as stage, open_target_side(settings) as (connection, live, scratch):
        require_registry_tables(connection, registry.state_schema)
        nothing = pl.DataFrame(schema=CROSSWALK_SCHEMA)
        yield Work(settings, request, progress, mapping, rules, registry, connection, live, stage, scratch, folder, nothing)


def read_registry(work: Work) -> None:
    """Read the whole crosswalk: a run over all records needs every entry."""
    work.crosswalk = read_crosswalk(work.connection, work.registry.schema)


def complete_earlier_run(work: Work) -> tuple[str, ...]:
    """Go on with a run that was cut short after its new tables began to count; one that was cut short before is set aside.

    Returns what is worth telling. In a dry run nothing is done, and that is told.
    """
    earlier = unfinished_run(work.connection, work.registry.state_schema)
    if earlier is None:
        return ()
    exchanged = is_exchanged(work.connection, work.registry) or earlier.status == "moving"
    if not work.request.execute:
        return (f"Run {earlier.run_id} was cut short while it wrote; --execute completes it first.",)
    record = DedupeRecord(work.connection, work.registry.state_schema, earlier.run_id, dict(earlier.details))
    if exchanged:
        complete(work.connection, work.registry, work.mapping, record)
        return (f"Run {earlier.run_id}, which had been cut short, was completed first.",)
    with work.connection.transaction():
        set_status(record, "abandoned")
    return (f"Run {earlier.run_id} had been cut short before anything of it counted; it was done again.",)


def find_persons(work: Work, linked: Linked, model: TrainedModel) -> Clustering:
    """Clusters of records, with what people decided and what earlier runs merged."""
    work.decisions = standing_decisions(work.connection, work.registry.state_schema)
    return cluster_edges(
        linked.records,
        linked.edges,
        thresholds_of(work.settings, model),
        evidence_columns(model.comparison_set),
        as_record_pairs(work.decisions, linked.records),
        merged_before(linked.records, work.crosswalk),
    )


def thresholds_of(settings: Settings, model: TrainedModel) -> Thresholds:
    """From which weights pairs are merged or asked about: as configured, else as the comparison set says."""
    configured, own = settings.dedupe, model.comparison_set.thresholds
    return Thresholds(
        match_weight=own.match if configured.match_weight is None else configured.match_weight,
        review_weight=own.review if configured.review_weight is None else configured.review_weight,
        largest_cluster=configured.largest_cluster,
    )


def plan_ids(work: Work, records: pl.DataFrame, clustering: Clustering, at_least: int = 0) -> MergePlan:
    """Which id stands for whom; new ids are reserved unless this is a dry run. `at_least`: the largest kept id that is known."""
    home = clustering.clusters.join(records.select("record", "system", "source_id"), on="record")
    linked = home.join(work.crosswalk, on=["system", "source_id"])
    ids = linked.filter(pl.col("member_id").n_unique().over("cluster") > 1)["member_id"]  # age decides between several only
    ages = read_ages(work.connection, work.registry.schema, work.registry.member_table, ids)
    largest = max(largest_id(work, records), at_least)

    def allocate(keys: pl.Series) -> pl.Series:
        registry = work.registry
        return allocate_ids(work.connection, registry.schema, registry.state_schema, work.scratch, keys, largest, work.run)

    return plan_registry(records, clustering.clusters, work.crosswalk, ages, work.kept_systems, allocate)


def largest_id(work: Work, records: pl.DataFrame) -> int:
    """The largest id that a system keeps, of these records and of the crosswalk's entries."""
    return max(largest_kept_id(records, work.kept_systems), largest_linked(work.crosswalk, work.kept_systems))


def largest_linked(crosswalk: pl.DataFrame, kept_systems: tuple[str, ...]) -> int:
    """The largest id on the target that a system kept; 0 when there is none. A record of such a system that joined a member whose
    id was allocated kept none."""
    of_system = crosswalk.filter(pl.col("system").is_in(list(kept_systems)))
    largest = of_system.filter(pl.col("member_id").cast(pl.String) == pl.col("source_id"))["member_id"].max()
    return largest if isinstance(largest, int) else 0


def plan_golden(work: Work, plan: MergePlan, clustering: Clustering, linked: Linked) -> Changes:
    """Golden records of merged members, and what of it the target does not have yet. Where only arrivals were looked at, those of
    members that an arrival belongs to, or whose records change.

    Raises RefusedError when a record of a merged member is not in the stage any more.
    """
    plan = plan if linked.arrivals is None else only_touched(plan, linked.arrivals)
    parts = open_member_parts(work.mapping, work.stage, work.live)
    wanted = plan.links.drop_nulls("record").select("system", "source_id", "member_id")
    rows = read_member_rows(parts, work.stage, wanted)
    if rows.height != wanted.height:
        raise RefusedError(
            f"Of {wanted.height:,} records to be merged the mapping takes {rows.height:,} now.",
            "The stage, the mapping or the target's tables changed meanwhile: run this again.",
        )
    golden = golden_rows(rows.drop("valid_from"), work.rules)
    known = plan.links.join(work.crosswalk, on="member_id", how="semi")["member_id"].unique()
    existing = read_members(work.connection, work.registry.schema, work.registry.member_table, known, golden.rows.schema)
    return plan_changes(plan, rows, golden, existing, weights_of(clustering.clusters, linked.edges), work.sums)


def only_touched(plan: MergePlan, arrivals: pl.Series) -> MergePlan:
    """The plan without members to whom nothing happened."""
    happened = pl.col("is_new") | pl.col("record").is_in(arrivals.implode()).fill_null(value=False)
    members = plan.links.filter(happened).select("member_id").unique()
    return replace(plan, links=plan.links.join(members, on="member_id", how="semi", maintain_order="left"))


def begin_run(work: Work, model: TrainedModel) -> DedupeRecord:
    """Note on the target that a run with this model begins."""
    facts = ModelFacts(model.name, str(model.version), model.sha)
    return begin_dedupe_run(work.connection, work.registry.state_schema, facts, {})


def write_changes(work: Work, changes: Changes) -> WriteCounts:
    """Few rows in one transaction, many by an exchange of tables. Raises RefusedError, ServerError."""
    assert work.run is not None, "only a run that executes writes"
    settings, run = work.settings, work.run
    who = work.request.by_whom
    if changes.nothing:
        with work.connection.transaction():
            set_status(run, "done")
        return WriteCounts()
    if changes.rows > settings.dedupe.small_write_rows:
        return write_in_new_tables(settings, work.connection, work.registry, work.mapping, run, changes, who, work.progress)
    return with_retries(
        lambda: write_in_one(work.connection, work.registry, work.mapping, run, changes, who),
        retries=settings.target.retries,
        progress=work.progress,
    )


def save_run(work: Work, linked: Linked, clustering: Clustering, model: TrainedModel) -> dict[str, Path]:
    """What people look at afterwards: clusters, pairs to review, pairs refused; records and edges are there already."""
    files = {"records": linked.records_path, "edges": linked.edges_path}
    for name, frame in (("clusters", clustering.clusters), ("review", clustering.review), ("refused", clustering.refused)):
        files[name] = work.folder / f"{name}.parquet"
        write_parquet(frame, files[name])
    if work.request.execute:  # what a dry run saw is on no target: to the next run it is still new
        leave_for_next_run(work.folder, linked, model)
    return files
