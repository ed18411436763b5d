"""What a run came to, over all records or over arrivals alone, and how that is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from etl.dedupe.clock import Clock
from etl.dedupe.model import RuleCount
from etl.dedupe.result import ArrivalCounts, Clustering, DedupeResult, MergePlan, WriteCounts
from etl.dedupe.trained_model import TrainedModel


@dataclass(frozen=True)
class Outcome:
    """`systems`: records and accepted ones; `clustering`: of all records. `sizes`: merged members by number of records."""

    model: TrainedModel
    systems: Mapping[str, tuple[int, int]]
    clustering: Clustering
    sizes: Mapping[int, int]
    to_split: int
    rules: tuple[RuleCount, ...]
    written: WriteCounts
    files: Mapping[str, Path]
    arrivals: ArrivalCounts | None = None


def sizes_of_plan(plan: MergePlan) -> dict[int, int]:
    """Merged members by the number of their records, those included that only the crosswalk knows."""
    return dict(sorted(Counter(plan.links.group_by("member_id").len()["len"].to_list()).items()))


def sizes_of_clusters(clusters: pl.DataFrame) -> dict[int, int]:
    """The same by clusters."""
    return dict(sorted(Counter(clusters.group_by("cluster").len()["len"].to_list()).items()))


def as_result(outcome: Outcome, run_id: int | None, executed: bool, clock: Clock, notes: tuple[str, ...]) -> DedupeResult:
    """The outcome as it is told."""
    accepted = sum(count for _, count in outcome.systems.values())
    return DedupeResult(
        executed=executed,
        records=sum(records for records, _ in outcome.systems.values()),
        accepted=accepted,
        systems={system: records for system, (records, _) in outcome.systems.items()},
        persons=accepted - outcome.clustering.merged_records + outcome.clustering.persons,
        merged_members=sum(outcome.sizes.values()),
        merged_records=sum(size * members for size, members in outcome.sizes.items()),
        sizes=outcome.sizes,
        review=by_reason(outcome.clustering.review),
        refused=by_reason(outcome.clustering.refused),
        split=outcome.clustering.split,
        to_split=outcome.to_split,
        written=outcome.written,
        model_name=outcome.model.name,
        model_version=str(outcome.model.version),
        model_sha=outcome.model.sha,
        pairs_by_rule={count.rule: count.pairs for count in outcome.rules},
        seconds=clock.seconds,
        files=outcome.files,
        run_id=run_id,
        notes=notes,
        arrivals=outcome.arrivals,
    )


def by_reason(pairs: pl.DataFrame) -> dict[str, int]:
    """How many pairs for each reason, most first."""
    counted = pairs.group_by("reason").len().sort("len", "reason", descending=[True, False])
    return {str(reason): int(count) for reason, count in counted.iter_rows()}
