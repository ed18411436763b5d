"""Clustering on random graphs: nobody crosses a cannot-link, and the order of rows plays no part."""

from __future__ import annotations

import random

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.dedupe.cluster import cluster_edges
from etl.dedupe.constraints import EvidenceColumns
from etl.dedupe.result import Clustering, Thresholds

COUNT = 14
LARGEST = 5
COLUMNS = EvidenceColumns(card="id_card", ids=("id_card",))
Pair = tuple[int, int]

pairs = st.tuples(st.integers(0, COUNT - 1), st.integers(0, COUNT - 1)).filter(lambda pair: pair[0] < pair[1])
weighted = st.dictionaries(pairs, st.sampled_from((-2.0, 1.0, 4.0, 7.0, 7.5, 20.0)), max_size=40)
cards = st.lists(st.sampled_from((None, None, None, "a", "b")), min_size=COUNT, max_size=COUNT)
decided = st.dictionaries(pairs, st.sampled_from(("must_link", "cannot_link")), max_size=10)
groups = st.lists(st.integers(0, 20), min_size=COUNT, max_size=COUNT)


def cluster(
    edges: dict[Pair, float], held: list[str | None], decisions: dict[Pair, str], before: list[int], shuffle: int | None = None
) -> Clustering:
    """Run it on small Python values; `shuffle` puts the rows of every input in some order."""
    edge_rows = [(left, right, weight) for (left, right), weight in edges.items()]
    decision_rows = [(left, right, kind) for (left, right), kind in decisions.items()]
    merged_rows = [(record, before.index(group)) for record, group in enumerate(before) if before.count(group) > 1]
    if shuffle is not None:
        for rows in (edge_rows, decision_rows, merged_rows):
            random.Random(shuffle).shuffle(rows)
    return cluster_edges(
        pl.DataFrame(
            {"record": range(COUNT), "accepted": [True] * COUNT, "id_card": held},
            schema={"record": pl.Int64, "accepted": pl.Boolean, "id_card": pl.String},
        ),
        pl.DataFrame(edge_rows, schema={"left": pl.Int64, "right": pl.Int64, "weight": pl.Float64}, orient="row"),
        Thresholds(match_weight=6.0, review_weight=0.0, largest_cluster=LARGEST),
        COLUMNS,
        pl.DataFrame(decision_rows, schema={"left": pl.Int64, "right": pl.Int64, "kind": pl.String}, orient="row"),
        pl.DataFrame(merged_rows, schema={"record": pl.Int64, "cluster": pl.Int64}, orient="row"),
    )


def cluster_of(found: Clustering) -> dict[int, int]:
    """Every record's cluster; those alone are their own."""
    return {record: record for record in range(COUNT)} | dict(found.clusters.iter_rows())


def linked(decisions: dict[Pair, str]) -> list[int]:
    """The group of each record by must-links alone, by walking them to and fro."""
    group = list(range(COUNT))
    for _ in range(COUNT):
        for (left, right), kind in decisions.items():
            if kind == "must_link":
                group[left] = group[right] = min(group[left], group[right])
    return group


@settings(max_examples=100, deadline=None)
@given(weighted, cards, decided, groups)
def test_nobody_is_merged_across_a_cannot_link(
    edges: dict[Pair, float], held: list[str | None], decisions: dict[Pair, str], before: list[int]
) -> None:
    cluster_by_record = cluster_of(cluster(edges, held, decisions, before))

    for (left, right), kind in decisions.items():
        if kind == "cannot_link":
            assert cluster_by_record[left] != cluster_by_record[right]


@settings(max_examples=100, deadline=None)
@given(weighted, cards, decided, groups)
def test_must_links_are_joined_unless_they_contradict(
    edges: dict[Pair, float], held: list[str | None], decisions: dict[Pair, str], before: list[int]
) -> None:
    found = cluster(edges, held, decisions, before)
    cluster_by_record, group = cluster_of(found), linked(decisions)
    torn = {group[left] for (left, right), kind in decisions.items() if kind == "cannot_link" and group[left] == group[right]}

    for (left, right), kind in decisions.items():
        if kind == "must_link" and group[left] not in torn:
            assert cluster_by_record[left] == cluster_by_record[right]
    if torn:
        assert "must_link" in found.refused["reason"].to_list()


@settings(max_examples=100, deadline=None)
@given(weighted, cards)
def test_weights_alone_never_mix_cards_nor_outgrow_the_limit(edges: dict[Pair, float], held: list[str | None]) -> None:
    found = cluster(edges, held, {}, list(range(COUNT)))

    for _, members in found.clusters.group_by("cluster"):
        records = members["record"].to_list()
        assert 2 <= len(records) <= LARGEST
        assert len({held[record] for record in records} - {None}) <= 1
    strongest = [pair for pair, weight in edges.items() if weight == 20.0]
    if len(strongest) == 1 and len({held[record] for record in strongest[0]} - {None}) < 2:
        cluster_by_record = cluster_of(found)
        assert cluster_by_record[strongest[0][0]] == cluster_by_record[strongest[0][1]]


@settings(max_examples=100, deadline=None)
@given(weighted, cards, decided, groups, st.integers(0, 1_000))
def test_the_order_of_rows_plays_no_part(
    edges: dict[Pair, float], held: list[str | None], decisions: dict[Pair, str], before: list[int], seed: int
) -> None:
    first, second = cluster(edges, held, decisions, before), cluster(edges, held, decisions, before, shuffle=seed)

    assert first.clusters.equals(second.clusters)
    assert first.review.equals(second.review)
    assert first.refused.equals(second.refused)


@settings(max_examples=60, deadline=None)
@given(weighted, cards, decided, groups)
def test_a_rerun_over_its_own_result_changes_nothing(
    edges: dict[Pair, float], held: list[str | None], decisions: dict[Pair, str], before: list[int]
) -> None:
    first = cluster_of(cluster(edges, held, decisions, before))
    torn = any(kind == "cannot_link" for kind in decisions.values())

    second = cluster_of(cluster(edges, held, decisions, [first[record] for record in range(COUNT)]))

    if not torn:  # where decisions cut groups, who is joined first may differ
        assert second == first
