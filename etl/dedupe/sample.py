"""A sample of pairs to be answered by people, drawn so that the answers say how good the whole is.

Pairs fall into bands by match weight and by whether they were merged. Rare bands are where the mistakes are, so each band gets as
many pairs as the next; the size of each is kept, and a pair counts for as many as its band has for each answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import polars as pl

from etl.dedupe.labels import Answer, RecordRef, ordered
from etl.dedupe.metrics import Band, Quality, quality_by_labels
from etl.dedupe.record_files import BASE, FRESH, scan_records
from etl.dedupe.review import NEVER_RUN, read_frame
from etl.errors import ConfigurationError
from etl.personal_files import read_personal_file, write_personal_file

SAMPLE_FILE: Final = "sample.parquet"
NO_WEIGHT: Final = "through others"
"""The band of merged pairs that were never compared: they are one because each is one with a third."""


@dataclass(frozen=True)
class Drawn:
    """A sample as it was drawn: how many pairs of how many."""

    pairs: int
    frame: int
    bands: int


def read_clusters(folder: Path) -> pl.DataFrame:
    """record, system, source_id, cluster of every accepted record of the last run; a record alone is a cluster of its own."""
    path = folder / BASE
    if not path.is_file():
        raise ConfigurationError(f"{path} does not exist.", NEVER_RUN)
    records = scan_records(path).filter("accepted").select("record", "system", "source_id").collect()
    clusters = read_frame(folder / "clusters.parquet").select("record", "cluster")
    return records.join(clusters, on="record", how="left", maintain_order="left").with_columns(
        pl.coalesce("cluster", "record").alias("cluster")
    )


def all_pairs(folder: Path, match_weight: float) -> pl.DataFrame:
    """left, right, weight, merged, band: every pair that was merged, and every pair that weighed enough to be thought about."""
    merged = pairs_of_clusters(read_clusters(folder).select("record", "cluster"))
    edges = read_frame(folder / "edges.parquet").select("left", "right", "weight")
    both = merged.with_columns(pl.lit(True).alias("merged")).join(edges, on=["left", "right"], how="full", coalesce=True)
    return both.with_columns(pl.col("merged").fill_null(False), band_of(match_weight).alias("band")).sort("left", "right")


def pairs_of_clusters(clusters: pl.DataFrame) -> pl.DataFrame:
    """left < right of every two records in one cluster.

    >>> pairs_of_clusters(pl.DataFrame({"record": [0, 1, 2, 3], "cluster": [0, 0, 0, 3]})).rows()
    [(0, 1), (0, 2), (1, 2)]
    """
    several = clusters.filter(pl.len().over("cluster") > 1)
    left, right = several.rename({"record": "left"}), several.rename({"record": "right"})
    return left.join(right, on="cluster").filter(pl.col("left") < pl.col("right")).select("left", "right").sort("left", "right")


def band_of(match_weight: float) -> pl.Expr:
    """The band of a weight: four bits wide around the threshold, open at both ends.

    >>> pl.DataFrame({"weight": [-9.0, 5.0, 8.9, 40.0, None]}).select(band_of(5.0)).to_series().to_list()
    ['below -3', '5 to 9', '5 to 9', '21 and more', 'through others']
    """
    steps = [match_weight + 4 * number for number in range(-2, 5)]
    label = pl.lit(f"below {steps[0]:g}")
    for low, high in pairwise([*steps, None]):
        name = f"{low:g} and more" if high is None else f"{low:g} to {high:g}"
        label = pl.when(pl.col("weight") >= low).then(pl.lit(name)).otherwise(label)
    return pl.when(pl.col("weight").is_null()).then(pl.lit(NO_WEIGHT)).otherwise(label)


def draw_sample(folder: Path, size: int, seed: int, match_weight: float) -> Drawn:
    """Draw about `size` pairs, as many from each band, in an order that tells nothing, into SAMPLE_FILE.

    Chance is a hash of both keys: after another run most of the same pairs are drawn, and their answers count again.

    Raises ConfigurationError when nothing was run yet.
    """
    pairs = with_keys(all_pairs(folder, match_weight), read_clusters(folder))
    chance = pl.concat_str("left_system", "left_id", "right_system", "right_id", separator="\0").hash(seed)
    strata = pairs.with_columns(chance.alias("chance")).sort("chance", "left", "right").partition_by("band", "merged")
    shares = allot([stratum.height for stratum in strata], size)
    chosen = [
        stratum.head(share).with_columns(pl.lit(stratum.height, pl.Int64).alias("size"))
        for stratum, share in zip(strata, shares, strict=True)
    ]
    sample = pl.concat(chosen).sort("chance") if chosen else pairs.with_columns(pl.lit(0, pl.Int64).alias("size"))
    with write_personal_file(folder / SAMPLE_FILE) as file:
        sample.with_columns(pl.lit(run_mark(folder)).alias("run")).write_parquet(file)
    return Drawn(sample.height, pairs.height, len(strata))


def run_mark(folder: Path) -> str:
    """What tells one run's result from another's: the same records in the same clusters are the same run."""
    mark = hashlib.sha256()
    for name in (BASE, FRESH, "clusters.parquet"):
        if name == FRESH and not (folder / FRESH).is_file():
            continue
        with read_personal_file(folder / name) as file:
            for block in iter(lambda: file.read(1 << 20), b""):
                mark.update(block)
    return mark.hexdigest()


def allot(sizes: Sequence[int], wanted: int) -> tuple[int, ...]:
    """How many of each to take so that all are as equal as they can be.

    >>> allot([1_000, 3, 500], 100), allot([2, 2], 100), allot([], 5)
    ((49, 3, 48), (2, 2), ())
    """
    shares = [0] * len(sizes)
    left = min(wanted, sum(sizes))
    open_places = sorted(range(len(sizes)), key=lambda place: sizes[place])
    for done, place in enumerate(open_places):
        shares[place] = min(sizes[place], left // (len(open_places) - done))
        left -= shares[place]
    return tuple(shares)


def with_keys(pairs: pl.DataFrame, records: pl.DataFrame) -> pl.DataFrame:
    """`pairs` with the systems and keys of both records, in the same order."""
    keys = records.select("record", "system", "source_id")
    for side in ("left", "right"):
        named = keys.rename({"record": side, "system": f"{side}_system", "source_id": f"{side}_id"})
        pairs = pairs.join(named, on=side, how="left", maintain_order="left")
    return pairs


def read_sample(folder: Path) -> pl.DataFrame | None:
    """The sample of the last run; None when none was drawn of it."""
    if not (folder / SAMPLE_FILE).is_file():
        return None
    sample = read_frame(folder / SAMPLE_FILE)
    return sample if sample.filter(pl.col("run") != run_mark(folder)).is_empty() else None


def sample_quality(sample: pl.DataFrame, answers: Mapping[tuple[RecordRef, RecordRef], Answer]) -> Quality | None:
    """Precision and recall as far as the sample is answered; None until a merged pair is."""
    given = [
        answers.get(ordered(RecordRef(left_system, left_id), RecordRef(right_system, right_id)))
        for left_system, left_id, right_system, right_id in sample.select(
            "left_system", "left_id", "right_system", "right_id"
        ).iter_rows()
    ]
    counted = (
        sample.with_columns(pl.Series("answer", given, dtype=pl.String))
        .group_by("band", "merged", maintain_order=True)
        .agg(
            pl.col("size").first(),
            pl.col("answer").is_not_null().sum().alias("labelled"),
            (pl.col("answer") == "same").sum().alias("same"),
        )
    )
    return quality_by_labels([Band(**row) for row in counted.rename({"band": "name"}).iter_rows(named=True)])
