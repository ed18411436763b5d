"""From pairs to persons: strongest pair first, never across what excludes it (Kruskal's forest with constraints).

Everything is decided in the order of weight, then of record numbers, so that the order in which rows arrive plays no part. A
group can never outgrow `largest_cluster`: the pairs that would join too many are its weakest, and go to review.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from etl.dedupe.constraints import Evidence, EvidenceColumns, Side, read_evidence
from etl.dedupe.decisions import PAIR_SCHEMA as DECIDED_SCHEMA
from etl.dedupe.result import CLUSTER_SCHEMA, PAIR_SCHEMA, Clustering, Thresholds

REVIEWED: Final = frozenset(("grey_zone", "twins", "parent_child", "split"))
"""Reasons of pairs that people should look at; all other refusals are told, not asked."""
NO_DECISIONS: Final = pl.DataFrame(schema=DECIDED_SCHEMA)
NO_MERGES: Final = pl.DataFrame(schema=CLUSTER_SCHEMA)


def cluster_edges(
    records: pl.DataFrame,
    edges: pl.DataFrame,
    thresholds: Thresholds,
    columns: EvidenceColumns,
    decisions: pl.DataFrame = NO_DECISIONS,
    merged: pl.DataFrame = NO_MERGES,
) -> Clustering:
    """Who is one person.

    `records`: record, accepted and `columns.all`, in the order of `record`, which counts from 0. `edges`: left, right, weight.
    `decisions`: left, right, kind ("must_link", "cannot_link"). `merged` (CLUSTER_SCHEMA): records that an earlier run put
    together; they stay together unless a cannot-link says otherwise. Records that are not accepted take no part.
    """
    accepted = records["accepted"]
    edges = only_accepted(edges.select("left", "right", "weight"), accepted).sort(
        "weight", "left", "right", descending=[True, False, False]
    )
    decisions = only_accepted(decisions, accepted).sort("left", "right", "kind")
    together = chain_of(merged.filter(accepted.gather(merged["record"])))
    used = used_records(edges, decisions, together)
    evidence = read_evidence(records[used].select("record", *columns.all), columns)
    forest = Forest(evidence, thresholds.largest_cluster)
    forest.separate(positions(decisions.filter(pl.col("kind") == "cannot_link"), used))
    refused = forest.join_decided(positions(decisions.filter(pl.col("kind") == "must_link"), used), "must_link")
    refused += forest.join_decided(positions(together, used), "merged_before")
    matches = edges.filter(pl.col("weight") >= thresholds.match_weight)
    refused += forest.join_matches(positions(matches, used), matches["weight"].to_list())
    grey = edges.filter(pl.col("weight").is_between(thresholds.review_weight, thresholds.match_weight, closed="left"))
    refused += forest.leave_open(positions(grey, used), grey["weight"].to_list())
    return conclude(forest, refused, used)


def only_accepted(pairs: pl.DataFrame, accepted: pl.Series) -> pl.DataFrame:
    """Pairs of which both records are accepted."""
    return pairs.filter(accepted.gather(pairs["left"]) & accepted.gather(pairs["right"]))


def chain_of(merged: pl.DataFrame) -> pl.DataFrame:
    """Groups as pairs of neighbours."""
    ordered = merged.sort("cluster", "record")
    before = pl.col("record").shift().over("cluster")
    return ordered.select(before.alias("left"), pl.col("record").alias("right")).drop_nulls()


def used_records(*pairs: pl.DataFrame) -> pl.Series:
    """Every record of any pair, once, in order: all others stand alone."""
    ends = [frame[side].cast(pl.Int64) for frame in pairs for side in ("left", "right")]
    return pl.concat(ends).unique().sort().alias("record")


def positions(pairs: pl.DataFrame, used: pl.Series) -> list[tuple[int, int]]:
    """Pairs of record numbers as pairs of positions in `used`."""
    left, right = (used.search_sorted(pairs[side]).to_list() for side in ("left", "right"))
    return list(zip(left, right, strict=True))


Refused = tuple[int, int, float | None, str]


@dataclass
class Forest:
    """Groups under way. Every group is known by one of its members, its root."""

    evidence: Evidence
    largest: int
    parent: list[int] = field(init=False)
    size: list[int] = field(init=False)
    members: dict[int, list[int]] = field(default_factory=dict)
    sides: dict[int, Side] = field(default_factory=dict)
    enemies: dict[int, set[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        count = len(self.evidence.card)
        self.parent = list(range(count))
        self.size = [1] * count

    def root(self, record: int) -> int:
        """The root of a record's group."""
        parent = self.parent
        while parent[record] != record:
            parent[record] = parent[parent[record]]
            record = parent[record]
        return record

    def separate(self, pairs: Iterable[tuple[int, int]]) -> None:
        """Pairs that are never in one group."""
        for left, right in pairs:
            self.enemies.setdefault(left, set()).add(right)
            self.enemies.setdefault(right, set()).add(left)

    def are_enemies(self, left: int, right: int) -> bool:
        """Whether a cannot-link stands between two groups (roots)."""
        mine, others = self.enemies.get(left), self.enemies.get(right)
        if not mine or not others:
            return False
        if len(mine) > len(others):
            mine, right = others, left
        return any(self.root(enemy) == right for enemy in mine)

    def join_decided(self, pairs: Iterable[tuple[int, int]], origin: str) -> list[Refused]:
        """Join what people, or an earlier run, said is one person; a cannot-link goes first."""
        refused: list[Refused] = []
        for left, right in pairs:
            one, other = self.root(left), self.root(right)
            if one == other:
                continue
            if self.are_enemies(one, other):
                refused.append((left, right, None, origin))
            else:
                self.join(one, other)
        return refused

    def join_matches(self, pairs: list[tuple[int, int]], weights: list[float]) -> list[Refused]:
        """Join pairs, strongest first, unless something excludes it."""
        refused: list[Refused] = []
        for (left, right), weight in zip(pairs, weights, strict=True):
            one, other = self.root(left), self.root(right)
            if one == other:
                continue
            reason = self.objection(left, right, one, other)
            if reason is None:
                self.join(one, other)
            else:
                refused.append((left, right, weight, reason))
        return refused

    def leave_open(self, pairs: list[tuple[int, int]], weights: list[float]) -> list[Refused]:
        """Pairs too weak to join: people are asked, unless somebody has answered already or an answer is plain."""
        refused: list[Refused] = []
        for (left, right), weight in zip(pairs, weights, strict=True):
            one, other = self.root(left), self.root(right)
            if one != other:
                reason = self.objection(left, right, one, other)
                refused.append((left, right, weight, "grey_zone" if reason in (None, "split") else reason))
        return refused

    def objection(self, left: int, right: int, one: int, other: int) -> str | None:
        """Why two groups must not be joined by this pair; None if they may."""
        if self.are_enemies(one, other):
            return "cannot_link"
        if self.size[one] == self.size[other] == 1:
            conflict = self.evidence.conflict_of_two(left, right)
        else:
            conflict = self.evidence.conflict(left, right, self.side(one), self.side(other))
        if conflict is not None:
            return conflict
        return "split" if self.size[one] + self.size[other] > self.largest else None

    def side(self, root: int) -> Side:
        """What a group says; put together when it is first asked for, because most groups never are."""
        if root not in self.sides:
            self.sides[root] = self.evidence.side(self.members.get(root, [root]))
        return self.sides[root]

    def join(self, one: int, other: int) -> None:
        """Make one group of two (roots): the greater takes the lesser in."""
        if (self.size[one], -one) < (self.size[other], -other):
            one, other = other, one
        self.members.setdefault(one, [one]).extend(self.members.pop(other, [other]))
        self.sides.pop(one, None)
        self.sides.pop(other, None)
        self.parent[other] = one
        self.size[one] += self.size[other]
        if other in self.enemies:
            self.enemies.setdefault(one, set()).update(self.enemies.pop(other))


def conclude(forest: Forest, refused: list[Refused], used: pl.Series) -> Clustering:
    """Clusters named after their smallest record; of the pairs between two clusters only the strongest is told."""
    roots = pl.Series("root", [forest.root(record) for record in range(len(used))], dtype=pl.Int64)
    frame = pl.DataFrame({"record": used.cast(pl.Int64), "root": roots})
    named = frame.with_columns(pl.col("record").min().over("root").alias("cluster"), pl.len().over("root").alias("size"))
    clusters = named.filter(pl.col("size") > 1).select("record", "cluster").sort("record")
    left, right, weight, reason = ([row[part] for row in refused] for part in range(4))
    pairs = pl.DataFrame(
        {
            "left": used.gather(pl.Series(left, dtype=pl.Int64)).cast(pl.Int64),
            "right": used.gather(pl.Series(right, dtype=pl.Int64)).cast(pl.Int64),
            "weight": pl.Series(weight, dtype=pl.Float64),
            "reason": pl.Series(reason, dtype=pl.String),
            "one": roots.gather(pl.Series(left, dtype=pl.Int64)),
            "other": roots.gather(pl.Series(right, dtype=pl.Int64)),
        }
    ).with_columns(pl.min_horizontal("one", "other").alias("one"), pl.max_horizontal("one", "other").alias("other"))
    apart = pairs.filter(pl.col("one") != pl.col("other"))
    split = count_groups(apart.filter(pl.col("reason") == "split").select("one", "other").rows())
    told = apart.unique(["one", "other"], keep="first", maintain_order=True).select(PAIR_SCHEMA.names())
    asked = pl.col("reason").is_in(sorted(REVIEWED))
    return Clustering(clusters, told.filter(asked), told.filter(~asked), split)


def count_groups(pairs: Iterable[tuple[int, int]]) -> int:
    """How many groups pairs make.

    >>> count_groups([(1, 2), (2, 3), (7, 8)])
    2
    """
    group: dict[int, set[int]] = {}
    for one, other in pairs:
        joined = group.get(one, {one}) | group.get(other, {other})
        group.update(dict.fromkeys(joined, joined))
    return len({id(members) for members in group.values()})
