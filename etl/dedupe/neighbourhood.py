"""Whom arrivals can concern: everybody who hangs together with one of them by a pair, a person, or a decision.

Whatever is decided about these records is decided as a full run would, because a full run decides about each such group without
looking at any other. They are numbered anew from 0, in the order of (system, source_id), which is the order of a full run.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from etl.dedupe.cluster import count_groups
from etl.dedupe.result import Clustering


@dataclass(frozen=True)
class Neighbourhood:
    """`records`: whole rows, `record` the number among these alone; `number`: the number that each of them has for ever."""

    records: pl.DataFrame
    numbers: pl.Series

    def local(self, frame: pl.DataFrame, *columns: str) -> pl.DataFrame:
        """`frame` with these columns of numbers as numbers here; rows about others are left out."""
        places = pl.DataFrame({"number": self.numbers, "place": pl.int_range(self.numbers.len(), eager=True)})
        for column in columns:
            named = places.rename({"number": column})
            frame = frame.join(named, on=column, how="inner", maintain_order="left").with_columns(pl.col("place").alias(column))
            frame = frame.drop("place")
        return frame

    def lasting(self, frame: pl.DataFrame, *columns: str) -> pl.DataFrame:
        """`frame` with numbers from here as the numbers that they have for ever."""
        return frame.with_columns(self.numbers.gather(frame[column]).alias(column) for column in columns)

    def lasting_pairs(self, pairs: pl.DataFrame) -> pl.DataFrame:
        """The same for pairs, left < right."""
        told = self.lasting(pairs, "left", "right")
        low, high = pl.min_horizontal("left", "right"), pl.max_horizontal("left", "right")
        return told.with_columns(low.alias("left"), high.alias("right"))


def settle(records: pl.DataFrame) -> Neighbourhood:
    """Number these records (whole rows) among themselves."""
    ordered = records.sort("system", "source_id")
    numbers = ordered["record"].alias("number")
    return Neighbourhood(ordered.with_columns(pl.int_range(pl.len(), dtype=pl.Int64).alias("record")), numbers)


def hang_together(start: pl.Series, *ties: pl.DataFrame) -> pl.Series:
    """`start` and all records that lead to one of them over `ties` (left, right).

    >>> hang_together(pl.Series("record", [1]), pl.DataFrame({"left": [1, 2, 8], "right": [2, 3, 9]})).to_list()
    [1, 2, 3]
    """
    pairs = pl.concat([frame.select(pl.col("left").cast(pl.Int64), pl.col("right").cast(pl.Int64)) for frame in ties])
    found = start.unique()
    while True:
        here = found.implode()
        near = pairs.filter(pl.col("left").is_in(here) | pl.col("right").is_in(here))
        more = pl.concat([found, near["left"].alias(found.name), near["right"].alias(found.name)]).unique()
        if more.len() == found.len():
            return found.sort()
        found = more


def person_ties(clusters: pl.DataFrame) -> pl.DataFrame:
    """Pairs that hold each person (CLUSTER_SCHEMA) together."""
    return clusters.select(pl.col("cluster").alias("left"), pl.col("record").alias("right"))


def replace_persons(before: Clustering, now: Clustering, hood: Neighbourhood, gone: pl.Series) -> Clustering:
    """The persons of the last run, less those `gone`, with what was decided anew in the neighbourhood in place of what stood."""
    clusters = hood.lasting(now.clusters, "record", "cluster")
    first = pl.col("record").min().over("cluster").alias("cluster")
    clusters = clusters.with_columns(first)
    away = pl.concat([hood.numbers, gone.alias(hood.numbers.name)]).implode()
    kept = before.clusters.filter(~pl.col("record").is_in(away))
    pairs = [
        pl.concat([old.filter(~pl.col("left").is_in(away), ~pl.col("right").is_in(away)), hood.lasting_pairs(new)])
        for old, new in ((before.review, now.review), (before.refused, now.refused))
    ]
    whole = pl.concat([kept, clusters]).sort("record")
    return Clustering(whole, pairs[0], pairs[1], count_split(whole, pairs[0]))


def count_split(clusters: pl.DataFrame, review: pl.DataFrame) -> int:
    """How many groups the limit of size took apart, by the pairs that were left open for it."""
    pairs = review.filter(pl.col("reason") == "split")
    for side in ("left", "right"):
        pairs = pairs.join(clusters.rename({"record": side, "cluster": f"{side}_cluster"}), on=side, how="left")
    ends = pairs.select(pl.coalesce("left_cluster", "left"), pl.coalesce("right_cluster", "right"))
    return count_groups(ends.rows())
