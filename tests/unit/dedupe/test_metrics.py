"""Precision, recall and surplus, against brute force and against what a sample can know."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.dedupe.intervals import Stratum, stratified_count, stratified_share, wilson
from etl.dedupe.metrics import Band, count_pairs, quality_by_labels, quality_by_truth, read_truth, surplus_ids
from etl.errors import UsageError

RECORDS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=25)


@given(RECORDS)
def test_pairs_are_counted_as_by_hand(records: list[tuple[int, int]]) -> None:
    clusters, persons = (
        pl.Series([one for one, _ in records], dtype=pl.Int64),
        pl.Series([one for _, one in records], dtype=pl.Int64),
    )
    counts = count_pairs(clusters, persons)
    pairs = list(combinations(records, 2))
    assert counts.right == sum(1 for left, right in pairs if left == right)
    assert counts.wrong == sum(1 for left, right in pairs if left[0] == right[0] and left[1] != right[1])
    assert counts.missed == sum(1 for left, right in pairs if left[0] != right[0] and left[1] == right[1])


def test_merging_strangers_hides_no_surplus() -> None:
    apart = surplus_ids(pl.DataFrame({"id": [1, 2, 3, 4], "person": ["a", "a", "b", "c"]}))
    wrongly = surplus_ids(pl.DataFrame({"id": [1, 2, 3, 3], "person": ["a", "a", "b", "c"]}))
    assert (apart.surplus, wrongly.surplus) == (1, 1)


def test_quality_against_a_file_of_the_truth(tmp_path: Path) -> None:
    pl.DataFrame({"system": ["a", "a", "b", "b"], "legacy_id": ["1", "2", "1", "9"], "person_id": [1, 1, 2, 2]}).write_parquet(
        tmp_path / "truth.parquet"
    )
    clusters = pl.DataFrame({"system": ["a", "a", "b", "c"], "source_id": ["1", "2", "1", "1"], "cluster": [0, 0, 0, 3]})
    quality = quality_by_truth(clusters, read_truth(tmp_path / "truth.parquet"))
    assert quality.counts is not None
    assert (quality.counts.right, quality.counts.wrong, quality.counts.missed) == (1, 2, 0)
    assert quality.precision.low < quality.precision.value < quality.precision.high
    assert quality.surplus_before is not None
    assert quality.surplus_before.surplus == 1
    assert quality.largest_cluster == 3


def test_a_file_without_persons_is_no_truth(tmp_path: Path) -> None:
    pl.DataFrame({"system": ["a"], "source_id": ["1"]}).write_csv(tmp_path / "truth.csv")
    with pytest.raises(UsageError, match="no column person"):
        read_truth(tmp_path / "truth.csv")


def test_nothing_merged_and_nothing_to_merge_is_no_division_by_zero() -> None:
    clusters = pl.DataFrame({"system": ["a", "b"], "source_id": ["1", "1"], "cluster": [0, 1]})
    truth = pl.DataFrame({"system": ["a", "b"], "source_id": ["1", "1"], "person": ["x", "y"]})
    quality = quality_by_truth(clusters, truth)
    assert (quality.precision.value, quality.recall.value) == (1.0, 1.0)
    assert quality.precision.low == 0.0, "of no pair, nothing is known"


def test_a_band_counts_for_its_size_not_for_its_labels() -> None:
    # Half the labels are in a band of few pairs, most of them wrong: the whole is still good.
    quality = quality_by_labels([Band("20 and more", True, 99_000, 100, 100), Band("5 to 9", True, 1_000, 100, 50)])
    assert quality is not None
    assert quality.precision.value == pytest.approx(0.995)
    assert quality.precision.low < 0.97, "a hundred labels cannot prove more of 99,000 pairs"


def test_labels_say_nothing_until_a_merged_pair_has_one() -> None:
    assert quality_by_labels([Band("below", False, 100, 10, 0), Band("5 to 9", True, 100, 0, 0)]) is None


def test_bands_without_labels_are_told() -> None:
    quality = quality_by_labels([Band("20 and more", True, 100, 10, 10), Band("5 to 9", True, 100, 0, 0)])
    assert quality is not None
    assert quality.unknown == 1
    assert quality.precision.low < 0.5, "half of the merged pairs could all be wrong, for all that is known"


@given(st.lists(st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(n, 500), st.just(n), st.integers(0, n))), min_size=1))
def test_limits_hold_the_value(strata: list[tuple[int, int, int]]) -> None:
    share = stratified_share([Stratum(*one) for one in strata])
    assert 0 <= share.low <= share.value <= share.high <= 1


def test_more_labels_narrow_the_limits() -> None:
    few, many = wilson(95, 100), wilson(950, 1_000)
    assert many.high - many.low < few.high - few.low
    assert stratified_count([Stratum(100, 100, 95)]).low == 95, "what was looked at whole has no error"
