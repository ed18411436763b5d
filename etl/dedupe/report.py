"""All that is known about the last deduplication: how good it is and on what that was measured, what waits, what is at stake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import polars as pl

from etl.dedupe.answers import answers_by_pair
from etl.dedupe.decisions import Decision, read_decisions
from etl.dedupe.labels import Answer, RecordRef
from etl.dedupe.metrics import Quality, Surplus, quality_by_truth, read_truth
from etl.dedupe.model import BlockingRule, SystemCount
from etl.dedupe.model_view import model_of_run
from etl.dedupe.reach import Reach, measure_reach, split_missed
from etl.dedupe.record_files import scan_records
from etl.dedupe.review import read_frame, read_review
from etl.dedupe.sample import pairs_of_clusters, read_clusters, read_sample, sample_quality
from etl.dedupe.stakes import Stake, read_stakes
from etl.errors import TargetError
from etl.progress import Progress
from etl.settings import Settings

STEPS: Final = 5


@dataclass(frozen=True)
class ReasonPairs:
    """Pairs with one reason, and how many of them people answered."""

    reason: str
    pairs: int
    answered: int = 0


@dataclass(frozen=True)
class DedupeReport:
    """The last run as it stands in the state folder, with what people and the target say about it.

    `members`: persons after merging, single records included. `sizes`: records a member -> members. `rules`: pairs by the first
    rule that found them, of those that weighed enough to keep. `stakes_known` is False when the target could not be asked, or
    holds no merged member yet. `sample_open`: pairs of the sample without an answer.
    """

    model_name: str
    model_version: str
    model_sha: str
    systems: tuple[SystemCount, ...]
    records: int
    accepted: int
    members: int
    surplus_found: Surplus
    quality: Quality | None
    sizes: Mapping[int, int]
    rules: tuple[ReasonPairs, ...]
    review: tuple[ReasonPairs, ...]
    refused: tuple[ReasonPairs, ...]
    reach: Reach
    stakes: tuple[Stake, ...]
    stakes_known: bool
    sample: int
    sample_open: int

    @property
    def waiting(self) -> int:
        """Pairs of the review queue without an answer."""
        return sum(one.pairs - one.answered for one in self.review)


def read_report(settings: Settings, truth: Path | None, progress: Progress) -> DedupeReport:
    """Put the report together. `truth`: a file of system, source_id, person; without it the sample's labels say how good it is.

    Raises ConfigurationError when nothing was run yet, UsageError for a file that is no truth.
    """
    progress.start("report", STEPS, "steps")
    folder = settings.dedupe_dir
    model = model_of_run(settings)
    clusters = read_clusters(folder)
    progress.advance("report", 1)
    decisions = standing_or_none(settings)
    answers = answers_by_pair([decision.as_link() for decision in decisions or ()])
    review = answered_by_reason(folder, read_review(folder), answers)
    progress.advance("report", 1)
    reach = measure_reach(folder / "records.parquet", model.comparison_set.blocking)
    progress.advance("report", 1)
    sample = read_sample(folder)
    quality: Quality | None
    if truth is not None:
        quality, reach = measure_by_truth(folder, clusters, truth, reach, model.comparison_set.blocking)
    else:
        quality = None if sample is None else sample_quality(sample, answers)
    progress.advance("report", 1)
    stakes = read_stakes(settings) if decisions is not None else None
    progress.finish("report")
    systems = read_systems(folder)
    sizes = clusters.group_by("cluster").len().get_column("len").value_counts(name="members").sort("len")
    return DedupeReport(
        model.comparison_set.name,
        str(model.version),
        model.sha,
        systems,
        sum(system.records for system in systems),
        clusters.height,
        clusters.get_column("cluster").n_unique(),
        Surplus(clusters.height, clusters.height - clusters.get_column("cluster").n_unique()),
        quality,
        dict(sizes.iter_rows()),
        count_rules_of_edges(folder),
        review,
        answered_by_reason(folder, read_frame(folder / "refused.parquet"), answers),
        reach,
        stakes or (),
        stakes is not None,
        0 if sample is None else sample.height,
        0 if sample is None else count_open(sample, answers),
    )


def standing_or_none(settings: Settings) -> tuple[Decision, ...] | None:
    """What people decided; None when the target cannot be asked, which a report can do without."""
    try:
        return read_decisions(settings)
    except TargetError:
        return None


def read_systems(folder: Path) -> tuple[SystemCount, ...]:
    """Records of each system."""
    records = scan_records(folder / "records.parquet").select("system", "accepted")
    counted = records.group_by("system").agg(pl.len(), pl.col("accepted").sum()).sort("system").collect()
    return tuple(SystemCount(system, int(rows), int(accepted)) for system, rows, accepted in counted.iter_rows())


def count_rules_of_edges(folder: Path) -> tuple[ReasonPairs, ...]:
    """Kept pairs by the first rule that found them."""
    counted = pl.scan_parquet(folder / "edges.parquet").group_by("rule").len().sort("len", descending=True).collect()
    return tuple(ReasonPairs(rule, int(pairs)) for rule, pairs in counted.iter_rows())


def answered_by_reason(
    folder: Path, pairs: pl.DataFrame, answers: Mapping[tuple[RecordRef, RecordRef], Answer]
) -> tuple[ReasonPairs, ...]:
    """Pairs by reason, the most first, with those that somebody answered."""
    numbers = numbers_of(folder, answers)
    answered = pairs.join(numbers, on=["left", "right"], how="semi").group_by("reason").len(name="answered")
    counted = pairs.group_by("reason").len(name="pairs").join(answered, on="reason", how="left")
    ordered = counted.with_columns(pl.col("answered").fill_null(0)).sort(["pairs", "reason"], descending=[True, False])
    return tuple(ReasonPairs(reason, int(count), int(done)) for reason, count, done in ordered.iter_rows())


def numbers_of(folder: Path, answers: Mapping[tuple[RecordRef, RecordRef], Answer]) -> pl.DataFrame:
    """left < right of every answered pair, by number in records.parquet."""
    keys = pl.DataFrame(
        [(left.system, left.source_id, right.system, right.source_id) for left, right in answers],
        schema=dict.fromkeys(("ls", "li", "rs", "ri"), pl.String),
        orient="row",
    )
    records = scan_records(folder / "records.parquet").select("record", "system", "source_id")
    one = keys.lazy().join(records, left_on=["ls", "li"], right_on=["system", "source_id"]).rename({"record": "a"})
    both = one.join(records, left_on=["rs", "ri"], right_on=["system", "source_id"]).rename({"record": "b"})
    return both.select(pl.min_horizontal("a", "b").alias("left"), pl.max_horizontal("a", "b").alias("right")).collect()


def measure_by_truth(
    folder: Path, clusters: pl.DataFrame, truth: Path, reach: Reach, rules: Sequence[BlockingRule]
) -> tuple[Quality, Reach]:
    """Quality against the truth, and of what was missed, how much no rule could have found."""
    known = read_truth(truth)
    quality = quality_by_truth(clusters, known)
    persons = clusters.join(known, on=["system", "source_id"]).select(
        "record", pl.col("person").alias("cluster"), pl.col("cluster").alias("merged")
    )
    true = pairs_of_clusters(persons.select("record", "cluster"))
    found = persons.select("record", "merged")
    missed = (
        true.join(found.rename({"record": "left", "merged": "a"}), on="left")
        .join(found.rename({"record": "right", "merged": "b"}), on="right")
        .filter(pl.col("a") != pl.col("b"))
    )
    unseen, seen = split_missed(folder / "records.parquet", rules, missed)
    return quality, replace(reach, missed_unseen=unseen, missed_seen=seen)


def count_open(sample: pl.DataFrame, answers: Mapping[tuple[RecordRef, RecordRef], Answer]) -> int:
    """Pairs of the sample that nobody answered."""
    keys = sample.select("left_system", "left_id", "right_system", "right_id").iter_rows()
    return sum(1 for ls, li, rs, ri in keys if (RecordRef(ls, li), RecordRef(rs, ri)) not in answers)
