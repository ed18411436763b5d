"""The golden record: of the rows of one person's records, one row, each value by the rule of its column.

A pure function of the rows, whatever their order, so that writing, reconciling and taking apart all arrive at the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import polars as pl

from etl.dedupe.golden_rules import ColumnRule, GoldenRules
from etl.dedupe.result import LINEAGE_SCHEMA, Golden
from etl.errors import RefusedError

MEMBER: Final = "member_id"
RECORD_KEY: Final = ("system", "source_id")
RANK, RECENT, TRUSTED, MERIT = "__rank", "__recent", "__trusted", "__merit"
NAMED: Final = 10
"""Members that a refusal names."""
LONG_AGO: Final = 2**60
"""Microseconds: further back than any time of a record."""


class UnfitSums(RefusedError):
    """What adds up does not fit its column, for some `members`."""

    def __init__(self, message: str, remedy: str, members: frozenset[int]) -> None:
        super().__init__(message, remedy)
        self.members = members


def golden_where_sums_fit(survive: Callable[[pl.DataFrame], Golden], rows: pl.DataFrame) -> tuple[Golden, frozenset[int]]:
    """Golden records of `rows`, and the members that can have none since a sum of theirs does not fit its column."""
    left_out: frozenset[int] = frozenset()
    while True:
        try:
            return survive(rows), left_out
        except UnfitSums as error:
            left_out |= error.members
            rows = rows.filter(~pl.col(MEMBER).is_in(list(error.members)))


def golden_rows(rows: pl.DataFrame, rules: GoldenRules) -> Golden:
    """One row a member from the rows of its records.

    `rows`: columns of the member table, `member_id` already the survivor's, and besides `system` and `source_id` of each record.
    The result has the same columns, without those two, in the same order and types, sorted by member_id. Raises RefusedError when
    what adds up does not fit its column.
    """
    columns = [name for name in rows.columns if name not in (MEMBER, *RECORD_KEY)]
    ranked = rank_records(rows, rules)
    first = ranked.sort(MEMBER, *RECORD_KEY).unique(MEMBER, keep="first", maintain_order=True)
    golden = first.select(MEMBER)
    lineage: list[pl.DataFrame] = [pl.DataFrame(schema=LINEAGE_SCHEMA)]
    led = {name: rules.rule_for(name) for name in columns}
    for name in columns:
        if led[name].follows is not None:
            continue
        followers = [other for other in columns if led[other].follows == name]
        chosen = choose(ranked, name, led[name], followers)
        golden = golden.join(chosen.drop(RECORD_KEY, strict=False), on=MEMBER, how="left", maintain_order="left")
        if led[name].rule != "sum":
            lineage += [told_from(chosen, first, column, led[name].rule) for column in (name, *followers)]
    return Golden(
        golden.select(name for name in rows.columns if name not in RECORD_KEY), pl.concat(lineage).sort(MEMBER, "column_name")
    )


def rank_records(rows: pl.DataFrame, rules: GoldenRules) -> pl.DataFrame:
    """Rows with the facts that rules look at, the records of a member in the order in which ties are settled: the source with
    priority, then the most recent, then by id."""
    order = {system: place for place, system in enumerate(rules.source_priority)}
    recency = [pl.col(column).cast(pl.Datetime("us")) for column in rules.recency if column in rows.columns]
    recent = pl.coalesce(recency).to_physical() if recency else pl.lit(None, pl.Int64)
    return rows.with_columns(
        pl.col("system").replace_strict(order, default=len(order), return_dtype=pl.Int32).alias(RANK),
        recent.fill_null(-LONG_AGO).alias(RECENT),
        pl.col("system").is_in(list(rules.verified)).alias(TRUSTED),
    ).sort(MEMBER, RANK, RECENT, *RECORD_KEY, descending=[False, False, True, False, False])


def choose(ranked: pl.DataFrame, name: str, rule: ColumnRule, followers: Sequence[str]) -> pl.DataFrame:
    """member_id, the value of column `name` (and of those that follow it) of every member that has one, and the record it is
    from."""
    said = ranked.filter(pl.col(name).is_not_null())
    if rule.rule == "sum":
        return add_up(said, name)
    merit = merit_of(name, rule)
    if merit is not None:
        said = said.with_columns(merit.alias(MERIT)).filter(pl.col(MERIT) == pl.col(MERIT).max().over(MEMBER))
    return said.unique(MEMBER, keep="first", maintain_order=True).select(MEMBER, *RECORD_KEY, name, *followers)


def add_up(said: pl.DataFrame, name: str) -> pl.DataFrame:
    """member_id and the sum of a column that has no NULL. Raises RefusedError when a sum has more digits than the column."""
    kind = said.schema[name]
    wide = pl.Int128() if kind.is_integer() else kind  # decimals add up to 38 digits, integers of 32 and 64 bits would wrap
    sums = said.group_by(MEMBER).agg(pl.col(name).cast(wide).sum().cast(kind, strict=False))
    unfit = sums.filter(pl.col(name).is_null())[MEMBER].sort()
    if len(unfit):
        raise UnfitSums(
            f"Column {name}: the sum of all records of a member does not fit for {len(unfit):,} of the merged members ({kind}): "
            f"{', '.join(map(str, unfit.head(NAMED)))}{', ..' if len(unfit) > NAMED else ''}.",
            f"Look for absurd values of {name} in the legacy rows, widen the column on the target, or give it another rule than "
            "sum in dedupe/golden.toml of the mapping.",
            frozenset(unfit.to_list()),
        )
    return sums


def merit_of(name: str, rule: ColumnRule) -> pl.Expr | None:
    """What a rule prefers, as a number: the greatest wins. None: the order of ties alone decides."""
    value = pl.col(name)
    match rule.rule:
        case "most_recent":
            return pl.col(RECENT)
        case "most_recent_verified":
            return pl.when(TRUSTED).then(pl.col(RECENT) + 2 * LONG_AGO).otherwise(RECENT)
        case "most_frequent":
            return pl.len().over(MEMBER, name)
        case "longest":
            return value.cast(pl.String).str.len_chars()
        case "earliest":
            return -value.rank("dense").cast(pl.Int64)
        case "latest":
            return value.rank("dense")
        case "best":
            ranks = {choice: -place for place, choice in enumerate(rule.order)}
            return value.replace_strict(ranks, default=-len(ranks), return_dtype=pl.Int32)
        case _:
            return None


def told_from(chosen: pl.DataFrame, first: pl.DataFrame, column: str, rule: str) -> pl.DataFrame:
    """Lineage of the values of a column that are not those of the member's first record."""
    beside = chosen.select(MEMBER, *RECORD_KEY, column).join(
        first.select(MEMBER, pl.col(column).alias("__first")), on=MEMBER, how="left", maintain_order="left"
    )
    other = beside.filter(~pl.col(column).eq_missing(pl.col("__first")))
    return other.select(MEMBER, pl.lit(column).alias("column_name"), pl.lit(rule).alias("rule"), *RECORD_KEY).cast(LINEAGE_SCHEMA)
