"""Which pairs to ask about next: the doubtful ones of the last run, or a sample that measures it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from etl.dedupe.answers import answers_by_pair
from etl.dedupe.explain import explain_pair
from etl.dedupe.explanation import masked, thresholds
from etl.dedupe.labels import Link
from etl.dedupe.model import FieldWeight
from etl.dedupe.model_view import model_of_run
from etl.dedupe.review import DoubtfulPair, doubtful_pairs, read_frame, read_review
from etl.dedupe.sample import SAMPLE_FILE, draw_sample, read_sample
from etl.settings import Settings

SEED = 1


@dataclass(frozen=True)
class QueueRequest:
    """At most `limit` pairs, of one `reason`. `sample`: how many to draw at random instead, where none are drawn yet.

    `again`: also those that have an answer.
    """

    limit: int
    reason: str | None = None
    sample: int | None = None
    again: bool = False
    show_personal: bool = False


@dataclass(frozen=True)
class ReviewQueue:
    """Pairs to ask about, in order; `explain` weighs one of them, values masked."""

    pairs: tuple[DoubtfulPair, ...]
    match_weight: float
    explain: Callable[[DoubtfulPair], tuple[FieldWeight, ...]]


def open_queue(settings: Settings, request: QueueRequest, standing: Sequence[Link]) -> ReviewQueue:
    """The pairs that `request` asks for. Raises ConfigurationError when nothing was run yet."""
    folder = settings.dedupe_dir
    model = model_of_run(settings)
    match_weight, _ = thresholds(settings, model)
    pairs = read_review(folder) if request.sample is None else sampled(folder, request.sample, match_weight)
    if request.reason is not None:
        pairs = pairs.filter(pl.col("reason") == request.reason)
    if not request.again:
        pairs = pairs.head(request.limit + len(standing))  # no more than those can have an answer already
    answers = answers_by_pair(standing)
    fields = model.comparison_set.fields
    shown = doubtful_pairs(folder, pairs, fields, show_personal=request.show_personal, answers=answers)
    wanted = [pair for pair in shown if request.again or pair.answer is None][: request.limit]

    def explain(pair: DoubtfulPair) -> tuple[FieldWeight, ...]:
        weights = explain_pair(folder / "records.parquet", model, pair.left_record, pair.right_record)
        return weights if request.show_personal else tuple(masked(weight) for weight in weights)

    return ReviewQueue(tuple(wanted), match_weight, explain)


def sampled(folder: Path, size: int, match_weight: float) -> pl.DataFrame:
    """The pairs of the sample, in the order they were drawn; one is drawn when there is none of the last run."""
    sample = read_sample(folder)
    if sample is None:
        draw_sample(folder, size, SEED, match_weight)
        sample = read_frame(folder / SAMPLE_FILE)
    return sample.select("left", "right", "weight", pl.lit("sample").alias("reason"))
