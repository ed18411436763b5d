"""Input that nobody would send on purpose: a report or a refusal, never an explosion of pairs."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from etl.dedupe.blocking import count_blocking
from etl.dedupe.model import Limits, RecordSet
from etl.dedupe.predict import link_records
from etl.dedupe.read_model import open_model
from etl.dedupe.records import records_from_frames
from etl.dedupe.train import train_model
from etl.errors import ConfigurationError, RefusedError

SET = open_model("chinese_members")
LIMITS = Limits(threads=2, memory="1GB", pair_budget=100_000)
COLUMNS = ("name", "phone", "id_card", "union_id", "email", "birthday", "gender", "address")


def records_of(folder: Path, rows: int, **columns: list[object]) -> RecordSet:
    """One system's records; columns not given are null."""
    values = {name: columns.get(name, [None] * rows) for name in COLUMNS}
    frame = pl.DataFrame({"id": [f"{row:06}" for row in range(rows)], **values}, strict=False)
    return records_from_frames({"crm": frame}, "id", SET, folder)


def edges_of(records: RecordSet) -> pl.DataFrame:
    """Train and link."""
    model = train_model(records.path, SET, LIMITS)
    return pl.read_parquet(link_records(records.path, model, records.path.parent, LIMITS).path)


def test_an_empty_source_is_told_and_not_trained_on(tmp_path: Path) -> None:
    records = records_of(tmp_path, 0)
    assert {remark[0] for remark in records.remarks} >= {"no_records", "all_null"}
    with pytest.raises(RefusedError, match="fewer than two records"):
        train_model(records.path, SET, LIMITS)


def test_records_of_nothing_but_nulls_match_nobody(tmp_path: Path) -> None:
    records = records_of(tmp_path, 50)
    assert ("nothing_to_compare", "", 50) in records.remarks
    assert edges_of(records).is_empty()


def test_one_column_all_null_and_one_system_are_told(tmp_path: Path) -> None:
    names: list[object] = ["张伟", "张伟", "李娜", "王芳"]
    phones: list[object] = ["13912348765", "13912348765", "13612345670", "13512345671"]
    records = records_of(tmp_path, 4, name=names, phone=phones)
    assert {("one_system", "crm", 4), ("all_null", "email", 0)} <= set(records.remarks)
    assert edges_of(records).select("left", "right").rows() == [(0, 1)]


def test_a_phone_that_everybody_has_says_nothing(tmp_path: Path) -> None:
    records = records_of(tmp_path, 3_000, phone=["13912348765"] * 3_000, name=[f"李{chr(0x4E00 + row)}" for row in range(3_000)])
    assert ("crowded", "phone", 3_000) in records.remarks
    assert edges_of(records).is_empty()


def test_a_rule_over_the_budget_is_refused_by_name_and_count(tmp_path: Path) -> None:
    records = records_of(tmp_path, 3_000, name=["王芳"] * 3_000, birthday=["1980-05-06"] * 3_000)
    with pytest.raises(RefusedError, match=r"'name and birthday' makes 4,498,500 pairs, more than the budget of 100,000"):
        count_blocking(records.path, SET, LIMITS)
    with pytest.raises(RefusedError, match="name and birthday"):
        train_model(records.path, SET, LIMITS)


def test_one_name_for_everybody_explodes_nothing(tmp_path: Path) -> None:
    phones: list[object] = [f"139{row // 2 * 48_271 % 100_000_000:08}" for row in range(4_000)]
    records = records_of(tmp_path, 4_000, name=["王芳"] * 4_000, phone=phones)
    counts = count_blocking(records.path, SET, Limits(pair_budget=4_000_000))
    assert max(count.pairs for count in counts) < 1_000_000


def test_emoji_control_characters_and_absurd_dates(tmp_path: Path) -> None:
    names: list[object] = ["😀\x00", "张\x07伟", "张伟🌸", "\u202e", "张伟"]
    dates: list[object] = ["0001-01-01", "9999-12-31", "1980-13-45", "一九八零", "30000101"]
    records = records_of(tmp_path, 5, name=names, birthday=dates, phone=["13912348765"] * 5)
    frame = pl.read_parquet(records.path)
    assert frame["name"].to_list() == [None, "张伟", "张伟", None, "张伟"]
    assert frame["birthday"].null_count() == 5


def test_identity_cards_that_excel_spoiled_are_no_evidence(tmp_path: Path) -> None:
    records = records_of(tmp_path, 3, id_card=["1.10105E+17", "1.10105E+17", "110105194912310000"])
    frame = pl.read_parquet(records.path)
    assert frame["id_card"].null_count() == 3
    assert frame["id_card_mask"].to_list() == [None, None, "110105194912310000"]


def test_a_legacy_id_that_stands_twice_is_refused(tmp_path: Path) -> None:
    frame = pl.DataFrame({"id": ["1", "2", "2"], "name": ["张伟", "李娜", "王芳"]})
    with pytest.raises(RefusedError, match=r"more than once in their system \(pos: 1\)"):
        records_from_frames({"pos": frame}, "id", SET, tmp_path)


def test_a_memory_limit_that_is_none_is_told(tmp_path: Path) -> None:
    records = records_of(tmp_path, 3, name=["张伟", "李娜", "王芳"])
    with pytest.raises(ConfigurationError, match="cannot be used"):
        train_model(records.path, SET, Limits(memory="plenty"))
