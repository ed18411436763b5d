"""What became of arrivals, in numbers, and how many records there are now."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from etl.dedupe.absorb import Absorbed
from etl.dedupe.kept import Kept
from etl.dedupe.neighbourhood import Neighbourhood
from etl.dedupe.result import ArrivalCounts, Clustering


def count_arrivals(absorbed: Absorbed, hood: Neighbourhood, clustering: Clustering) -> ArrivalCounts:
    """`clustering`: of the neighbourhood, by the numbers there."""
    new = pl.col("record").is_in(absorbed.new.implode())
    numbers = hood.records.select(pl.col("record").alias("place"), hood.numbers.alias("record"), "accepted")
    arrived = numbers.filter(new)
    placed = clustering.clusters.rename({"record": "place"}).join(numbers, on="place").with_columns(new.alias("is_new"))
    people = placed.with_columns((~pl.col("is_new")).any().over("cluster").alias("known")).filter("is_new")
    joined = people.filter("known").height
    among = people.height - joined
    ends = pl.concat([clustering.review["left"], clustering.review["right"]])
    waiting = arrived.filter(pl.col("place").is_in(ends.implode())).height
    rejected = arrived.filter(~pl.col("accepted")).height
    return ArrivalCounts(
        new=arrived.height,
        changed=absorbed.arrivals.len() - absorbed.recounted.len() - absorbed.new.len(),
        gone=absorbed.gone.len(),
        joined=joined,
        merged_among=among,
        alone=arrived.height - joined - among - rejected,
        rejected=rejected,
        waiting=waiting,
    )


def counts_by_system(before: Kept, absorbed: Absorbed, systems: Mapping[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
    """Records and accepted records of each system, from those of the last run and the difference."""
    touched = pl.concat([absorbed.arrivals, absorbed.gone])
    away, here = counted(before.rows(touched)), counted(absorbed.kept.rows(touched))
    now: dict[str, tuple[int, int]] = {}
    for name in sorted({*systems, *here}):
        was, less, more = (counts.get(name, (0, 0)) for counts in (systems, away, here))
        now[name] = (was[0] - less[0] + more[0], was[1] - less[1] + more[1])
    return now


def counted(records: pl.DataFrame) -> dict[str, tuple[int, int]]:
    """Records and accepted records of each system."""
    rows = records.group_by("system").agg(pl.len(), pl.col("accepted").sum().cast(pl.Int64)).rows()
    return {system: (int(count), int(accepted)) for system, count, accepted in rows}
