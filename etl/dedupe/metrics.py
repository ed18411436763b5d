"""How good a deduplication is: against a file of the truth, or by labels that people gave. Never by the model's own optimism.

Pairs are what is counted: two records that are one person are a pair to find, two records that were merged are a pair found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import polars as pl

from etl.dedupe.intervals import Interval, Stratum, ratio, share_of_sums, stratified_share, wilson
from etl.errors import UsageError
from etl.personal_files import read_personal_file

TRUTH_COLUMNS: Final = {"system": ("system",), "source_id": ("source_id", "legacy_id"), "person": ("person", "person_id")}
"""What a file of the truth must say of each record, and the names it may have for it."""


@dataclass(frozen=True)
class PairCounts:
    """Pairs found that are one person, found that are not, and one person but not found."""

    right: int
    wrong: int
    missed: int

    @property
    def precision(self) -> float:
        """Share of the merged pairs that are one person; 1 when nothing was merged.

        >>> PairCounts(98, 2, 12).precision
        0.98
        """
        return ratio(self.right, self.wrong)

    @property
    def recall(self) -> float:
        """Share of the pairs of one person that were merged; 1 when there are none."""
        return ratio(self.right, self.missed)

    @property
    def f1(self) -> float:
        """The harmonic mean of both.

        >>> round(PairCounts(90, 10, 10).f1, 3)
        0.9
        """
        return 2 * self.precision * self.recall / (self.precision + self.recall) if self.right else 0.0


@dataclass(frozen=True)
class Surplus:
    """Ids there are, and those of them beyond one a person."""

    ids: int
    surplus: int

    @property
    def share(self) -> float:
        """Surplus ids as a share of all ids.

        >>> Surplus(200, 30).share
        0.15
        """
        return self.surplus / self.ids if self.ids else 0.0


@dataclass(frozen=True)
class Quality:
    """Precision and recall with their limits, and what they were measured on.

    `basis`: "truth", every pair against a file; "labels", a sample by people. `pairs` were looked at: all, or the labelled ones.
    `unknown`: weight bands without a label, in which nothing is known. Recall by labels is of pairs that share a blocking key:
    what shares nothing is in no sample. `counts` and the surplus of the truth are None for labels.
    """

    basis: Literal["truth", "labels"]
    pairs: int
    precision: Interval
    recall: Interval
    f1: float
    counts: PairCounts | None = None
    surplus_before: Surplus | None = None
    surplus_after: Surplus | None = None
    largest_cluster: int | None = None
    unknown: int = 0
    skipped: int = 0


def read_truth(path: Path) -> pl.DataFrame:
    """system, source_id and person (text) of each record, from Parquet or CSV. Raises UsageError, ConfigurationError."""
    with read_personal_file(path) as file:
        try:
            raw = pl.read_csv(file, infer_schema=False) if path.suffix.lower() == ".csv" else pl.read_parquet(file)
        except pl.exceptions.PolarsError as error:
            raise UsageError(f"{path.name} is neither Parquet nor CSV.", "Give a table of system, source_id, person.") from error
    chosen = []
    for name, spellings in TRUTH_COLUMNS.items():
        found = next((spelling for spelling in spellings if spelling in raw.columns), None)
        if found is None:
            raise UsageError(f"{path.name} has no column {name}.", "The truth needs the columns system, source_id, person.")
        chosen.append(pl.col(found).cast(pl.String).alias(name))
    return raw.select(chosen).unique(["system", "source_id"], keep="first", maintain_order=True)


def quality_by_truth(clusters: pl.DataFrame, truth: pl.DataFrame) -> Quality:
    """Every pair of records, against the truth.

    `clusters`: system, source_id, cluster (any type), one row a record; `truth`: system, source_id, person. Records that are not
    in both are left out. The interval is Wilson's, as of pairs drawn from all that this retailer may have.
    """
    known = clusters.join(truth, on=["system", "source_id"], how="inner")
    counts = count_pairs(known.get_column("cluster"), known.get_column("person"))
    return Quality(
        "truth",
        counts.right + counts.wrong + counts.missed,
        wilson(counts.right, counts.right + counts.wrong) if counts.right + counts.wrong else Interval(1.0, 0.0, 1.0),
        wilson(counts.right, counts.right + counts.missed) if counts.right + counts.missed else Interval(1.0, 0.0, 1.0),
        counts.f1,
        counts,
        surplus_ids(known.select(pl.int_range(pl.len()).alias("id"), "person")),
        surplus_ids(known.select(pl.col("cluster").alias("id"), "person")),
        largest_group(known.get_column("cluster")),
    )


def count_pairs(cluster: pl.Series, person: pl.Series) -> PairCounts:
    """Pairs of records by what was merged and what is true; one value a record in each series.

    >>> count_pairs(pl.Series([1, 1, 1, 2]), pl.Series(["a", "a", "b", "b"]))
    PairCounts(right=1, wrong=2, missed=1)
    """
    both = pl.DataFrame({"cluster": cluster, "person": person})
    found, true = pairs_within(both, "cluster"), pairs_within(both, "person")
    right = pairs_within(both, "cluster", "person")
    return PairCounts(right, found - right, true - right)


def pairs_within(frame: pl.DataFrame, *by: str) -> int:
    """n (n - 1) / 2 of each group, together."""
    sizes = frame.group_by(by).len().get_column("len").cast(pl.Int64)
    return int((sizes * (sizes - 1) // 2).sum())


def surplus_ids(ids: pl.DataFrame) -> Surplus:
    """Of `id` and `person`, one row a record: the ids there are, and those that a person has beyond the first.

    An id that holds two people counts once for each: merging strangers makes no surplus go away.

    >>> surplus_ids(pl.DataFrame({"id": [1, 1, 2, 3], "person": ["a", "a", "a", "b"]}))
    Surplus(ids=3, surplus=1)
    """
    distinct = ids.unique()
    return Surplus(distinct.get_column("id").n_unique(), distinct.height - distinct.get_column("person").n_unique())


def largest_group(cluster: pl.Series) -> int:
    """Records of the largest cluster; 0 when there is none.

    >>> largest_group(pl.Series([1, 1, 2])), largest_group(pl.Series([], dtype=pl.Int64))
    (2, 0)
    """
    return max(cluster.value_counts().get_column("count").to_list(), default=0)


@dataclass(frozen=True)
class Band:
    """Pairs of one band of match weight: how many there are, how many of them people looked at and called one person.

    `merged`: whether these pairs ended in one member. `skipped`: shown, but nobody could say.
    """

    name: str
    merged: bool
    size: int
    labelled: int
    same: int
    skipped: int = 0


def quality_by_labels(bands: Sequence[Band]) -> Quality | None:
    """Precision and recall from a sample of each band; None when no merged pair was labelled.

    Bands are strata: a pair counts for as many as its band has pairs for each label. A band without a label widens the limits by
    all it could hold.

    >>> found = quality_by_labels([Band("24+", True, 9_000, 100, 100), Band("0-6", False, 1_000, 50, 5)])
    >>> found.precision.value, round(found.precision.low, 2), round(found.recall.value, 3)
    (1.0, 0.96, 0.989)
    """
    merged = [stratum(band) for band in bands if band.size and band.merged]
    apart = [stratum(band) for band in bands if band.size and not band.merged]
    if not any(one.labelled for one in merged):
        return None
    precision, recall = stratified_share(merged), share_of_sums(merged, apart)
    return Quality(
        "labels",
        sum(band.labelled for band in bands),
        precision,
        recall,
        2 * precision.value * recall.value / (precision.value + recall.value) if precision.value else 0.0,
        unknown=sum(1 for band in bands if band.size and not band.labelled),
        skipped=sum(band.skipped for band in bands),
    )


def stratum(band: Band) -> Stratum:
    """A band as the intervals want it."""
    return Stratum(band.size, band.labelled, band.same)
