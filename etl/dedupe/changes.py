"""Everything a run will write, as frames in the shape of their tables, so that writing is nothing but writing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import polars as pl

from etl.dedupe.result import LINEAGE_SCHEMA, Golden, MergePlan, WriteCounts
from etl.load.crosswalk import DEDUPE

EVENT_COLUMNS: Final = (
    "run_id", "kind", "member_id", "system", "source_id", "from_member_id", "reason", "weight", "at", "by_whom",
)  # fmt: skip
LINK_COLUMNS: Final = ("source", "source_id", "member_id", "valid_from", "linked_by")
LINEAGE_COLUMNS: Final = tuple(LINEAGE_SCHEMA)
TO_DECIDE: Final = "decided by a person"
MATCHED: Final = "matched"


@dataclass(frozen=True)
class Changes:
    """`links`: entries of the crosswalk (LINK_COLUMNS), which replace those of their key. `members`: rows of the member table,
    which replace those of their id, with their `lineage`. `retired`: member_id, survivor. `events`: EVENT_COLUMNS.

    `sums` are columns that add up; `brought`: what records that had no member yet add to each.
    """

    links: pl.DataFrame
    members: pl.DataFrame
    lineage: pl.DataFrame
    retired: pl.DataFrame
    events: pl.DataFrame
    sums: tuple[str, ...]
    brought: Mapping[str, object]

    @property
    def rows(self) -> int:
        """How many rows are to be written."""
        return sum(frame.height for frame in (self.links, self.members, self.lineage, self.retired, self.events))

    @property
    def nothing(self) -> bool:
        """Whether the target stays as it is."""
        return self.links.is_empty() and self.members.is_empty() and self.retired.is_empty()

    @property
    def counts(self) -> WriteCounts:
        """The same as numbers."""
        return WriteCounts(self.links.height, self.members.height, self.retired.height, self.events.height, self.lineage.height)


def plan_changes(
    plan: MergePlan, rows: pl.DataFrame, golden: Golden, existing: pl.DataFrame, weights: pl.DataFrame, sums: tuple[str, ...]
) -> Changes:
    """What differs between the plan and the target.

    `rows`: rows of the records (member_rows.py); `existing`: rows of members that are on the target, columns of `golden.rows`;
    `weights`: record, weight: how strongly each record is tied to its person.
    """
    links = plan.new_links.drop_nulls("record").join(
        rows.select("system", "source_id", "valid_from"), on=["system", "source_id"], how="inner", maintain_order="left"
    )
    changed = golden.rows.join(existing, on=golden.rows.columns, how="anti", nulls_equal=True, maintain_order="left")
    lineage = golden.lineage.join(changed.select("member_id"), on="member_id", how="semi", maintain_order="left")
    newcomers = rows.join(
        plan.links.filter(pl.col("from_member_id").is_null()).select("system", "source_id"),
        on=["system", "source_id"],
        how="semi",
    )
    return Changes(
        links=links.select(
            pl.col("system").alias("source"), "source_id", "member_id", "valid_from", pl.lit(DEDUPE).alias("linked_by")
        ),
        members=changed,
        lineage=lineage,
        retired=plan.retired,
        events=pl.concat([record_events(links, plan, weights), retire_events(plan)]),
        sums=tuple(name for name in sums if name in rows.columns),
        brought={name: newcomers[name].sum() for name in sums if name in rows.columns},
    )


def record_events(links: pl.DataFrame, plan: MergePlan, weights: pl.DataFrame) -> pl.DataFrame:
    """One event for each entry to be written: "create" for the record whose id the member has, "merge" for all others."""
    weighed = links.join(weights, on="record", how="left", maintain_order="left")
    own = (pl.col("from_member_id") == pl.col("member_id")) | (pl.col("source_id") == pl.col("member_id").cast(pl.String))
    first = pl.col("record") == pl.col("record").min().over("member_id")
    lends = own.fill_null(value=False)
    creates = (
        pl.when(lends.any().over("member_id")).then(lends).otherwise(first & pl.col("member_id").is_in(plan.created.implode()))
    )
    return weighed.select(
        pl.when(creates).then(pl.lit("create")).otherwise(pl.lit("merge")).alias("kind"),
        "member_id",
        "system",
        "source_id",
        pl.when(pl.col("from_member_id") != pl.col("member_id")).then("from_member_id").alias("from_member_id"),
        pl.when(pl.col("weight").is_null()).then(pl.lit(TO_DECIDE)).otherwise(pl.lit(MATCHED)).alias("reason"),
        "weight",
    )


def retire_events(plan: MergePlan) -> pl.DataFrame:
    """One event for each member id that ends."""
    return plan.retired.select(
        pl.lit("retire").alias("kind"),
        pl.col("survivor").alias("member_id"),
        pl.lit("").alias("system"),
        pl.lit("").alias("source_id"),
        pl.col("member_id").alias("from_member_id"),
        pl.lit("merged into a member that stays").alias("reason"),
        pl.lit(None, pl.Float64).alias("weight"),
    )


def signed(changes: Changes, run_id: int, at: datetime, by_whom: str) -> pl.DataFrame:
    """The events with what only the run knows. `at` is UTC."""
    known = (
        pl.lit(run_id, pl.Int64).alias("run_id"),
        pl.lit(at, pl.Datetime("us")).alias("at"),
        pl.lit(by_whom[:64]).alias("by_whom"),
    )
    return changes.events.with_columns(*known).select(EVENT_COLUMNS)


def weights_of(clusters: pl.DataFrame, edges: pl.DataFrame) -> pl.DataFrame:
    """record, weight: the strongest pair that ties a record to another of its cluster."""
    left = clusters.rename({"record": "left", "cluster": "one"})
    right = clusters.rename({"record": "right", "cluster": "two"})
    inside = edges.select("left", "right", "weight").join(left, on="left").join(right, on="right")
    inside = inside.filter(pl.col("one") == pl.col("two"))
    ends = pl.concat([inside.select(pl.col(side).alias("record"), "weight") for side in ("left", "right")])
    return ends.group_by("record").agg(pl.col("weight").max()).sort("record")
