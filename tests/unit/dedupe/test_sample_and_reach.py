"""A sample stands for the whole, survives the next run, and what no rule can find is counted as such."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from etl.dedupe.labels import Answer, RecordRef
from etl.dedupe.metrics import quality_by_truth
from etl.dedupe.model import BlockingRule
from etl.dedupe.reach import measure_reach, split_missed
from etl.dedupe.sample import NO_WEIGHT, all_pairs, draw_sample, read_clusters, read_sample, sample_quality

PERSONS = 300


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run over pairs of records: every third person has two records that were merged, every tenth merge joins strangers."""
    records = pl.DataFrame({"record": range(2 * PERSONS)}).with_columns(
        pl.lit("crm").alias("system"), pl.col("record").cast(pl.String).alias("source_id"), pl.lit(True).alias("accepted")
    )
    records.write_parquet(tmp_path / "records.parquet")
    write_clusters(tmp_path, range(0, PERSONS, 3))
    left = pl.Series("left", range(0, 2 * PERSONS, 2))
    edges = pl.DataFrame({"left": left, "right": left + 1, "weight": [float(number % 40) - 8 for number in range(PERSONS)]})
    edges.filter(pl.col("left") > 20).write_parquet(tmp_path / "edges.parquet")
    return tmp_path


def write_clusters(folder: Path, merged: range) -> None:
    """Merge both records of these persons."""
    rows = [(2 * person + side, 2 * person) for person in merged for side in (0, 1)]
    pl.DataFrame(rows, schema=["record", "cluster"], orient="row").write_parquet(folder / "clusters.parquet")


def one_person(left: str) -> bool:
    """The truth: a tenth of the pairs are two people."""
    return int(left) // 2 % 10 != 3


def test_the_frame_holds_every_merged_pair_and_every_kept_edge(folder: Path) -> None:
    pairs = all_pairs(folder, 5.0)
    assert pairs.filter("merged").height == PERSONS // 3
    assert pairs.filter(pl.col("band") == NO_WEIGHT).filter(~pl.col("merged")).is_empty(), "what was never weighed was merged"
    assert pairs.filter(pl.col("band") == NO_WEIGHT).height == 4, "merged pairs without an edge"


def test_labels_of_the_sample_lead_to_the_truth(folder: Path) -> None:
    drawn = draw_sample(folder, 150, 1, 5.0)
    sample = read_sample(folder)
    assert sample is not None
    assert (drawn.pairs, sample.height) == (150, 150)
    answers: dict[tuple[RecordRef, RecordRef], Answer] = {
        (RecordRef("crm", left), RecordRef("crm", right)): "same" if one_person(left) else "different"
        for left, right in sample.select("left_id", "right_id").iter_rows()
    }
    found = sample_quality(sample, answers)
    records = read_clusters(folder)
    persons = [str(number // 2) if one_person(str(number)) else f"alone {number}" for number in records["record"]]
    truth = quality_by_truth(records, records.select("system", "source_id").with_columns(pl.Series("person", persons)))
    assert found is not None
    assert found.precision.low <= truth.precision.value <= found.precision.high
    assert 0 < found.precision.high - found.precision.low < 0.25
    assert sample_quality(sample, {}) is None


def test_a_sample_of_an_earlier_run_does_not_count_but_most_of_it_is_drawn_again(folder: Path) -> None:
    draw_sample(folder, 100, 1, 5.0)
    before = read_sample(folder)
    write_clusters(folder, range(0, PERSONS - 30, 3))
    assert read_sample(folder) is None
    draw_sample(folder, 100, 1, 5.0)
    after = read_sample(folder)
    assert before is not None
    assert after is not None
    again = before.join(after, on=["left_id", "right_id"], how="semi").height
    assert again > 80


def test_what_shares_nothing_is_counted_apart(tmp_path: Path) -> None:
    path = tmp_path / "records.parquet"
    pl.DataFrame(
        {
            "record": [0, 1, 2, 3, 4],
            "accepted": [True, True, True, True, False],
            "name": ["a", "a", "b", None, "b"],
            "phone": ["1", "1", "2", None, "2"],
        }
    ).write_parquet(path)
    rules = (BlockingRule("name and phone", ("name", "phone")),)
    reach = measure_reach(path, rules)
    assert (reach.records, reach.compared, reach.alone, reach.keyless) == (4, 2, 1, 1)
    missed = pl.DataFrame({"left": [0, 0, 2], "right": [1, 3, 4]})
    assert split_missed(path, rules, missed) == (1, 2)
    assert split_missed(path, rules, missed.clear()) == (0, 0)
