"""Which member id stands for each person, and which ids end: stable for ever.

Of the ids a person has on the target the one with most records survives, ties to the oldest member, then to the lesser id. A
person without any takes the kept id (of a system that keeps its ids) of the oldest record, else a new one. Ids only ever merge
here; a member whose records are no longer one person is told, and taken apart by `unmerge`, which knows what belongs to whom.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

import polars as pl

from etl.dedupe.result import CLUSTER_SCHEMA, LINK_SCHEMA, RETIRED_SCHEMA, MergePlan
from etl.load.crosswalk import DEDUPE

CROSSWALK_SCHEMA: Final = pl.Schema(
    {"system": pl.String(), "source_id": pl.String(), "member_id": pl.Int64(), "linked_by": pl.String()}
)
AGE_SCHEMA: Final = pl.Schema({"member_id": pl.Int64(), "registered_at": pl.Datetime("us")})
SEPARATOR: Final = "\x1f"
Allocate = Callable[[pl.Series], pl.Series]
"""New member ids (Int64) for keys (String, distinct, in byte order); the same keys get the same ids after a kill."""


def merged_before(records: pl.DataFrame, crosswalk: pl.DataFrame) -> pl.DataFrame:
    """Accepted records that an earlier run put together, as clusters (CLUSTER_SCHEMA).

    `records`: record, system, source_id, accepted; `crosswalk`: CROSSWALK_SCHEMA.
    """
    linked = records.filter("accepted").select("record", "system", "source_id").join(crosswalk, on=["system", "source_id"])
    together = linked.with_columns(
        pl.len().over("member_id").alias("size"), pl.col("record").min().over("member_id").alias("cluster")
    )
    return together.filter(pl.col("size") > 1).select("record", "cluster").cast(CLUSTER_SCHEMA).sort("record")


def plan_registry(
    records: pl.DataFrame,
    clusters: pl.DataFrame,
    crosswalk: pl.DataFrame,
    ages: pl.DataFrame,
    kept_systems: Collection[str],
    allocate: Allocate,
) -> MergePlan:
    """What the crosswalk is to become.

    `records`: record, system, source_id, accepted, registered_at. `clusters`: CLUSTER_SCHEMA. `crosswalk`: CROSSWALK_SCHEMA, as
    on the target. `ages` (AGE_SCHEMA): since when members on the target are known; those left out count as the youngest.
    """
    linked = link_records(records, clusters, crosswalk)
    to_split = torn_members(linked)
    merged = without_torn(linked, to_split).filter(pl.len().over("cluster") > 1)
    survivors = choose_survivors(merged, crosswalk, ages, kept_systems, allocate)
    settled = merged.join(survivors, on="cluster")
    retired = retire(settled)
    links = pl.concat([planned_links(settled), followers(crosswalk, settled, retired)]).sort("system", "source_id")
    known = crosswalk["member_id"].unique().implode()
    created = survivors.filter(~pl.col("member_id").is_in(known))["member_id"].sort()
    return MergePlan(links, retired, created, tuple(to_split.to_list()))


def link_records(records: pl.DataFrame, clusters: pl.DataFrame, crosswalk: pl.DataFrame) -> pl.DataFrame:
    """Accepted records with their cluster (their own where they stand alone) and the member they lead to now."""
    own = pl.coalesce("cluster", "record").alias("cluster")
    return (
        records.filter("accepted")
        .select("record", "system", "source_id", "registered_at")
        .join(clusters, on="record", how="left")
        .with_columns(own)
        .join(crosswalk.rename({"member_id": "from_member_id"}), on=["system", "source_id"], how="left")
    )


def torn_members(linked: pl.DataFrame) -> pl.Series:
    """Members on the target whose records lie in several clusters now."""
    spread = linked.drop_nulls("from_member_id").group_by("from_member_id").agg(pl.col("cluster").n_unique().alias("clusters"))
    return spread.filter(pl.col("clusters") > 1)["from_member_id"].sort()


def without_torn(linked: pl.DataFrame, torn: pl.Series) -> pl.DataFrame:
    """Of a member that is torn apart only its greatest part takes part: the rest must not carry it into other persons."""
    if torn.is_empty():
        return linked
    parts = linked.filter(pl.col("from_member_id").is_in(torn.implode())).group_by("from_member_id", "cluster").agg(pl.len())
    kept = parts.sort("len", "cluster", descending=[True, False]).unique("from_member_id", keep="first", maintain_order=True)
    marked = linked.join(
        kept.select("from_member_id", pl.col("cluster").alias("kept")), on="from_member_id", how="left", maintain_order="left"
    )
    return marked.filter(pl.col("kept").is_null() | (pl.col("kept") == pl.col("cluster"))).drop("kept")


def choose_survivors(
    merged: pl.DataFrame, crosswalk: pl.DataFrame, ages: pl.DataFrame, kept_systems: Collection[str], allocate: Allocate
) -> pl.DataFrame:
    """The member id of each cluster: columns cluster, member_id."""
    sizes = crosswalk.group_by("member_id").agg(pl.len().alias("size"))
    on_target = (
        merged.drop_nulls("from_member_id")
        .select("cluster", pl.col("from_member_id").alias("member_id"))
        .unique()
        .join(sizes, on="member_id")
        .join(ages, on="member_id", how="left")
        .sort("size", "registered_at", "member_id", descending=[True, False, False], nulls_last=True)
    )
    kept_id = pl.col("source_id").cast(pl.Int64, strict=False)
    kept = (
        merged.filter(pl.col("system").is_in(list(kept_systems)) & (kept_id > 0))
        .select("cluster", kept_id.alias("member_id"), "registered_at")
        .sort("registered_at", "member_id", nulls_last=True)
    )
    chosen = pl.concat([on_target.select("cluster", "member_id"), kept.select("cluster", "member_id")])
    chosen = chosen.unique("cluster", keep="first", maintain_order=True)
    nameless = merged.join(chosen, on="cluster", how="anti").sort("record").unique("cluster", keep="first", maintain_order=True)
    if nameless.is_empty():
        return chosen
    keys = nameless.select("cluster", pl.concat_str("system", "source_id", separator=SEPARATOR).alias("key")).sort("key")
    return pl.concat([chosen, keys.select("cluster", allocate(keys["key"]).alias("member_id"))])


def retire(settled: pl.DataFrame) -> pl.DataFrame:
    """Members on the target that end, with their survivors (RETIRED_SCHEMA)."""
    ended = settled.filter(pl.col("from_member_id") != pl.col("member_id"))
    return (
        ended.select(pl.col("from_member_id").alias("member_id"), pl.col("member_id").alias("survivor"))
        .unique()
        .sort("member_id")
    )


def planned_links(settled: pl.DataFrame) -> pl.DataFrame:
    """The crosswalk's entries of merged members (LINK_SCHEMA)."""
    as_is = (pl.col("from_member_id") == pl.col("member_id")) & (pl.col("linked_by") == DEDUPE)
    return settled.select(
        "record", "system", "source_id", "member_id", "from_member_id", (~as_is).fill_null(True).alias("is_new")
    ).cast(LINK_SCHEMA)


def followers(crosswalk: pl.DataFrame, settled: pl.DataFrame, retired: pl.DataFrame) -> pl.DataFrame:
    """Entries of retired members that no staged record stands for, such as those of files: they follow to the survivor."""
    ended = crosswalk.join(retired, on="member_id").join(settled, on=["system", "source_id"], how="anti")
    return ended.select(
        pl.lit(None, pl.Int64).alias("record"),
        "system",
        "source_id",
        pl.col("survivor").alias("member_id"),
        pl.col("member_id").alias("from_member_id"),
        pl.lit(True).alias("is_new"),
    ).cast(LINK_SCHEMA)


NOBODY_RETIRED: Final = pl.DataFrame(schema=RETIRED_SCHEMA)
