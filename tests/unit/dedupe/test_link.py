"""Linking from records to edges, on two thousand generated members with their truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from etl.dedupe.explain import explain_pair
from etl.dedupe.model import EdgeSet, Limits, RecordSet
from etl.dedupe.model_view import view_model
from etl.dedupe.predict import link_records
from etl.dedupe.read_model import open_model
from etl.dedupe.records import records_from_frames
from etl.dedupe.train import train_model
from etl.dedupe.trained_model import TrainedModel, load_model, save_model
from fixtures.data.generate import generate
from fixtures.data.member_frames import KEY, member_frames, true_persons

LIMITS = Limits(threads=2, memory="1GB")


@dataclass(frozen=True)
class Linked:
    """One run, and whose record each is."""

    records: RecordSet
    model: TrainedModel
    edges: EdgeSet
    frame: pl.DataFrame
    persons: pl.DataFrame
    folder: Path


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory) -> Linked:
    """Two thousand CRM members with their cards and accounts, linked."""
    folder = tmp_path_factory.mktemp("linked")
    generate(2_000, 3, folder / "legacy")
    records = records_from_frames(member_frames(folder / "legacy"), KEY, open_model("chinese_members"), folder)
    model = save_model(train_model(records.path, open_model("chinese_members"), LIMITS), folder / "model.json")
    edges = link_records(records.path, model, folder, LIMITS)
    numbers = pl.read_parquet(records.path, columns=["record", "system", KEY])
    persons = numbers.join(true_persons(folder / "legacy"), on=["system", KEY], how="left", maintain_order="left")
    return Linked(records, model, edges, pl.read_parquet(edges.path), persons.select("record", "person"), folder)


def true_pairs(linked: Linked) -> pl.DataFrame:
    """Every pair of records of one person."""
    both = linked.persons.join(linked.persons, on="person").filter(pl.col("record") < pl.col("record_right"))
    return both.select(left="record", right="record_right")


def test_pairs_above_the_threshold_are_persons(linked: Linked) -> None:
    merged = linked.frame.filter(pl.col("weight") >= linked.model.comparison_set.thresholds.match)
    truth = true_pairs(linked)
    right = merged.join(truth, on=["left", "right"], how="semi").height
    precision, recall = right / merged.height, right / truth.height
    assert precision >= 0.975
    assert recall >= 0.82


def test_weights_are_calibrated(linked: Linked) -> None:
    """The model expects about as many matches as there are, though nobody told it one."""
    expected = linked.model.prior * linked.model.records * (linked.model.records - 1) / 2
    assert expected == pytest.approx(true_pairs(linked).height, rel=0.15)


def test_a_rerun_gives_the_same_bytes(linked: Linked, tmp_path: Path) -> None:
    frames = {
        system: frame.sample(fraction=1, shuffle=True, seed=9)
        for system, frame in reversed(member_frames(linked.folder / "legacy").items())
    }
    records = records_from_frames(frames, KEY, open_model("chinese_members"), tmp_path)
    assert records.path.read_bytes() == linked.records.path.read_bytes()
    model = save_model(train_model(records.path, open_model("chinese_members"), LIMITS), tmp_path / "model.json")
    assert (tmp_path / "model.json").read_bytes() == (linked.folder / "model.json").read_bytes()
    edges = link_records(records.path, model, tmp_path, Limits(threads=1, memory="1GB"))
    assert edges.path.read_bytes() == linked.edges.path.read_bytes()


def test_a_model_read_again_is_the_same(linked: Linked) -> None:
    again = load_model(linked.folder / "model.json")
    assert (again.sha, again.version, again.prior) == (linked.model.sha, linked.model.version, linked.model.prior)
    assert again.comparison_set.comparisons == linked.model.comparison_set.comparisons
    assert view_model(again).personal_id, "identity cards and union ids are among what it learned from"


def test_arrivals_get_the_edges_they_would_get_in_a_full_run(linked: Linked, tmp_path: Path) -> None:
    arrivals = pl.Series("record", range(0, linked.records.rows, 17))
    edges = pl.read_parquet(link_records(linked.records.path, linked.model, tmp_path, LIMITS, arrivals=arrivals).path)
    touched = pl.col("left").is_in(arrivals.implode()) | pl.col("right").is_in(arrivals.implode())
    assert edges.equals(linked.frame.filter(touched))
    assert edges.height > 20


def test_the_bars_of_a_waterfall_add_up_to_the_weight(linked: Linked) -> None:
    for row in linked.frame.gather_every(max(linked.frame.height // 12, 1)).iter_rows(named=True):
        bars = explain_pair(linked.records.path, linked.model, row["left"], row["right"])
        assert sum(bar.weight for bar in bars) == pytest.approx(row["weight"], abs=1e-4)
        assert bars[0].comparison == "prior"
        for bar in bars[1:]:
            comparison = linked.model.comparison_set.comparison(bar.comparison)
            assert comparison.level_of(row[comparison.gamma]).name == bar.level


def test_edges_are_ordered_and_known_by_their_rule(linked: Linked) -> None:
    frame = linked.frame
    assert frame.equals(frame.sort("left", "right"))
    assert (frame["left"] < frame["right"]).all()
    assert set(frame["rule"]) <= {rule.rule for rule in linked.edges.rules}
    assert linked.edges.scored == sum(rule.found or 0 for rule in linked.edges.rules)
    assert all((rule.found or 0) <= rule.pairs for rule in linked.edges.rules)
