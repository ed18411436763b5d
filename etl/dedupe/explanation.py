"""Why two records are one person, or are not: the weights, and what decided in the end."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import polars as pl

from etl.dedupe.decisions import Decision, read_decisions
from etl.dedupe.explain import explain_pair
from etl.dedupe.labels import RecordRef, ordered
from etl.dedupe.model import FieldWeight
from etl.dedupe.model_view import model_of_run
from etl.dedupe.review import Compared, doubtful_pairs, find_record, read_frame
from etl.dedupe.sample import read_clusters
from etl.dedupe.trained_model import TrainedModel
from etl.errors import TargetError, UsageError
from etl.masking import mask
from etl.settings import Settings

Decider = Literal["decision", "constraint", "weight", "others", "review", "too_light", "not_compared", "rejected"]
"""What settled a pair: a person; a constraint; its weight; a third record both are one with; nobody yet (it waits for review); a
weight too low even to ask; no blocking rule found it; the mapping rejects one of the two."""


@dataclass(frozen=True)
class Explanation:
    """Two records, the weights that speak for and against, and what decided.

    `weights` are log2 Bayes factors, the prior first; their sum is `weight`. `reason`: code of the constraint or of the review.
    `chain`: records that lead from left to right, each merged with the next, where no edge joins the two. `decisions_known` is
    False when the target could not be asked.
    """

    left: RecordRef
    right: RecordRef
    same: bool
    decider: Decider
    weight: float
    match_weight: float
    review_weight: float
    weights: tuple[FieldWeight, ...]
    facts: tuple[Compared, ...]
    rule: str | None
    reason: str
    chain: tuple[RecordRef, ...]
    decision: Decision | None
    decisions_known: bool
    model_name: str
    model_version: str


def explain_records(settings: Settings, left: RecordRef, right: RecordRef, *, show_personal: bool = False) -> Explanation:
    """Why `left` and `right` are, or are not, one person after the last run.

    Raises UsageError for a record that the last run did not read, ConfigurationError when nothing was run yet.
    """
    if left == right:
        raise UsageError(f"{left} is one record, not two.", "Name two records: crm:1 pos:2.")
    folder = settings.dedupe_dir
    model = model_of_run(settings)
    numbers = sorted((find_record(folder, left), find_record(folder, right)))
    weights = explain_pair(folder / "records.parquet", model, *numbers)
    edge, review, refused = (row_of(folder / name, numbers) for name in ("edges.parquet", "review.parquet", "refused.parquet"))
    pair = pl.DataFrame({"left": [numbers[0]], "right": [numbers[1]], "weight": [None], "reason": [""]})
    (shown,) = doubtful_pairs(folder, pair, model.comparison_set.fields, show_personal=show_personal)
    match_weight, review_weight = thresholds(settings, model)
    decision, decisions_known = decision_about(settings, left, right)
    clusters = read_clusters(folder)
    chain = chain_between(folder, clusters, numbers, match_weight)
    same = one_cluster(clusters, numbers)
    found = Explanation(
        shown.left,
        shown.right,
        same,
        "weight",
        sum(weight.weight for weight in weights),
        match_weight,
        review_weight,
        weights if show_personal else tuple(masked(weight) for weight in weights),
        shown.facts,
        None if edge is None else str(edge["rule"]),
        str((refused or review or {}).get("reason", "")),
        chain,
        decision,
        decisions_known,
        model.comparison_set.name,
        str(model.version),
    )
    return replace(found, decider=decider(found, refused is not None, review is not None, clusters, numbers))


def decider(found: Explanation, refused: bool, review: bool, clusters: pl.DataFrame, numbers: Sequence[int]) -> Decider:
    """What settled the pair, the strongest first."""
    if found.decision is not None and (found.decision.kind == "must_link") == found.same:
        return "decision"
    if clusters.filter(pl.col("record").is_in(list(numbers))).height < 2:
        return "rejected"
    if found.same:
        return "weight" if found.rule is not None and found.weight >= found.match_weight else "others"
    if refused:
        return "constraint"
    if review:
        return "review"
    if found.rule is None and found.weight >= found.review_weight:
        return "not_compared"
    return "constraint" if found.weight >= found.match_weight else "too_light"


def thresholds(settings: Settings, model: TrainedModel) -> tuple[float, float]:
    """The weights from which pairs are merged and reviewed: as configured, else the model's own."""
    configured, own = settings.dedupe, model.comparison_set.thresholds
    return (
        own.match if configured.match_weight is None else configured.match_weight,
        own.review if configured.review_weight is None else configured.review_weight,
    )


def row_of(path: Path, numbers: Sequence[int]) -> dict[str, object] | None:
    """The row of a pair in a file of pairs."""
    if not path.is_file():
        return None
    wanted = (pl.col("left") == numbers[0]) & (pl.col("right") == numbers[1])
    found = pl.scan_parquet(path).filter(wanted).collect()
    return found.row(0, named=True) if found.height else None


def one_cluster(clusters: pl.DataFrame, numbers: Sequence[int]) -> bool:
    """Whether both records ended in one person."""
    found = clusters.filter(pl.col("record").is_in(list(numbers)))
    return found.height == 2 and found.get_column("cluster").n_unique() == 1


def chain_between(folder: Path, clusters: pl.DataFrame, numbers: Sequence[int], match_weight: float) -> tuple[RecordRef, ...]:
    """The fewest records that lead from one to the other over merged edges; empty when an edge joins them, or nothing does."""
    if not one_cluster(clusters, numbers):
        return ()
    cluster = clusters.filter(pl.col("record") == numbers[0]).get_column("cluster")
    members = clusters.filter(pl.col("cluster").is_in(cluster.implode()))
    inside = pl.col("left").is_in(members.get_column("record").implode()) & pl.col("right").is_in(
        members.get_column("record").implode()
    )
    edges = read_frame(folder / "edges.parquet").filter(inside & (pl.col("weight") >= match_weight))
    path = shortest_path(list(edges.select("left", "right").iter_rows()), numbers[0], numbers[1])
    if len(path) <= 2:
        return ()
    refs = {number: RecordRef(system, key) for number, system, key in members.select("record", "system", "source_id").iter_rows()}
    return tuple(refs[number] for number in path)


def shortest_path(edges: Sequence[tuple[int, int]], start: int, end: int) -> tuple[int, ...]:
    """The fewest steps from `start` to `end`, both included; empty when there is no way.

    >>> shortest_path([(1, 2), (2, 3), (3, 4), (1, 3)], 1, 4), shortest_path([(1, 2)], 1, 3)
    ((1, 3, 4), ())
    """
    neighbours: dict[int, list[int]] = {}
    for left, right in edges:
        neighbours.setdefault(left, []).append(right)
        neighbours.setdefault(right, []).append(left)
    came = {start: start}
    waiting = deque([start])
    while waiting and end not in came:
        here = waiting.popleft()
        for there in sorted(neighbours.get(here, ())):
            if there not in came:
                came[there] = here
                waiting.append(there)
    if end not in came:
        return ()
    path = [end]
    while path[-1] != start:
        path.append(came[path[-1]])
    return tuple(reversed(path))


def decision_about(settings: Settings, left: RecordRef, right: RecordRef) -> tuple[Decision | None, bool]:
    """What somebody decided about the two, and whether the target could be asked."""
    try:
        standing = read_decisions(settings)
    except TargetError:
        return None, False
    pair = ordered(left, right)
    return next((decision for decision in standing if decision.pair == pair), None), True


def masked(weight: FieldWeight) -> FieldWeight:
    """The same weight without the values it compares: what they are is told among the facts, each masked as its kind asks."""
    left, right = (None if value is None else mask(value, "text") for value in (weight.left, weight.right))
    return replace(weight, left=left, right=right)
