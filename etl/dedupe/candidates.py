"""Which pairs an arrival makes: by the hashes of the keys of each blocking rule, without reading the records that make none."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from etl.dedupe.blocking import refuse_too_many
from etl.dedupe.kept import Kept, key_name
from etl.dedupe.model import Limits, RuleCount


@dataclass(frozen=True)
class Candidates:
    """`pairs`: rule (its place), left < right, whose keys have the same hash; a pair stands once for each rule that finds it.

    `counts`: how many pairs each rule makes with the arrivals.
    """

    pairs: pl.DataFrame
    counts: tuple[RuleCount, ...]


def find_candidates(kept: Kept, arrivals: pl.Series, limits: Limits) -> Candidates:
    """Pairs with at least one of `arrivals` (numbers of records in `kept`).

    Raises RefusedError, naming rule and count, for a rule that makes more pairs than the budget, before they are made.
    """
    mine = kept.rows(arrivals).filter("accepted")
    rules = kept.comparison_set.blocking
    holders = {rule.on: kept.find(rule.on, mine[key_name(rule.on)]) for rule in rules}
    owned = {rule.on: mine.select("record", pl.col(key_name(rule.on)).alias("hash")).drop_nulls() for rule in rules}
    counts = tuple(RuleCount(rule.name, count_pairs(owned[rule.on], holders[rule.on])) for rule in rules)
    refuse_too_many(counts, limits)
    found = [pairs_of(place, owned[rule.on], holders[rule.on]) for place, rule in enumerate(rules)]
    return Candidates(pl.concat(found), counts)


def count_pairs(owned: pl.DataFrame, holders: pl.DataFrame) -> int:
    """How many pairs `pairs_of` makes at most, without making them."""
    sizes = owned.group_by("hash").agg(pl.len().cast(pl.Int64).alias("mine"))
    both = sizes.join(holders.group_by("hash").agg(pl.len().cast(pl.Int64).alias("all")), on="hash")
    mine, others = pl.col("mine"), pl.col("all") - pl.col("mine")
    return int(both.select((mine * (mine - 1) // 2 + mine * others).sum()).item())


def pairs_of(place: int, owned: pl.DataFrame, holders: pl.DataFrame) -> pl.DataFrame:
    """rule, left, right: every arrival with everybody who has its key, each pair once."""
    both = owned.join(holders.rename({"record": "other"}), on="hash").filter(pl.col("record") != pl.col("other"))
    low, high = pl.min_horizontal("record", "other"), pl.max_horizontal("record", "other")
    return both.select(pl.lit(place, pl.Int32).alias("rule"), low.alias("left"), high.alias("right")).unique()
