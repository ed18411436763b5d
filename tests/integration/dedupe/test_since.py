"""`dedupe run --since` as it is typed: what is new since the last run, or since a time."""

from __future__ import annotations

import json
from datetime import datetime

import polars as pl

from etl.settings import Settings
from etl.stage.read import open_stage
from etl.target.bulk import BulkConnection
from tests.integration.dedupe.conftest import Typed
from tests.integration.dedupe.test_run import MEMBERS, content
from tests.integration.load.stage_data import stage_table

WRITTEN = ("links", "members", "retired", "events", "lineage")
MOVED_TO = "迁往新址的街道九十九号院一号楼三单元五零二室朝南的那一间"


def changed_members(settings: Settings, count: int, target: BulkConnection) -> list[int]:
    """Give some merged members another address, a longer one than before, in the stage; return their ids."""
    ids = [
        int(source_id)
        for (source_id,) in target.query(
            "SELECT source_id FROM member_source WHERE source = 'crm' AND linked_by = 'dedupe' AND source_id = member_id "
            "ORDER BY member_id"
        )
    ][:count]
    with open_stage(settings) as stage:
        (table,) = (one for one in stage.tables() if str(one.name) == MEMBERS)
        members = pl.concat([frame for chunk in table.chunks for frame in stage.read(chunk, tuple(table.schema.names))])
    chosen = pl.col("MemberId").is_in(ids)
    now = pl.lit(datetime(2030, 1, 1)).cast(members.schema["UpdatedAt"])
    changed = members.with_columns(
        pl.when(chosen).then(pl.lit(MOVED_TO)).otherwise("Address").alias("Address"),
        pl.when(chosen).then(now).otherwise("UpdatedAt").alias("UpdatedAt"),
    )
    stage_table(settings, MEMBERS, changed, ("MemberId",))
    return ids


def moved(target: BulkConnection) -> set[int]:
    """Members at the new address."""
    return {int(member) for (member,) in target.query("SELECT member_id FROM member WHERE address LIKE %s", ("%九十九号院%",))}


def test_without_an_earlier_run_it_is_refused_with_what_to_do(typed: Typed, target: BulkConnection) -> None:
    for when in ("last", "2026-01-31T08:00"):
        told = typed.run("run", "--since", when, "--execute", expected=7)
        assert "There is no earlier run here" in told
        assert "`membershift dedupe run` without --since" in " ".join(told.split())
    assert all(not rows for rows in content(target).values())


def test_where_nothing_is_new_nothing_is_written(typed: Typed, target: BulkConnection) -> None:
    typed.run("run", "--execute")
    before = content(target)

    for when in ("last", "2030-01-01"):
        result = typed.json("run", "--since", when, "--execute")
        assert (result["executed"], [result["written"][name] for name in WRITTEN]) == (True, [0] * 5)
        assert sum(result["pairs_by_rule"].values()) == 0
    for when in ("yesterday", "2026-13-01", "31.01.2026", "0001-01-01T00:00+14:00", ""):
        told = typed.run("run", "--since", when, expected=2)
        assert repr(when) in told
        assert "2026-01-31T08:00+08:00" in told
    assert content(target) == before


def test_changed_rows_alone_give_what_a_whole_run_gives(typed: Typed, settings: Settings, target: BulkConnection) -> None:
    """And a dry run uses nothing up: what it saw is still new to the next."""
    whole = typed.json("run", "--execute")
    ids = changed_members(settings, 3, target)

    for when in ("last", "2030-01-01T00:00+08:00"):  # as they were stamped, in Shanghai
        dry = typed.json("run", "--since", when)
        assert (dry["executed"], dry["written"]["members"], moved(target)) == (False, len(ids), set())
        assert sum(dry["pairs_by_rule"].values()) < sum(whole["pairs_by_rule"].values()) / 20
    done = typed.json("run", "--since", "last", "--execute")

    assert done["written"]["members"] == len(ids)
    assert moved(target) == set(ids)
    assert [typed.json("run", "--execute")["written"][name] for name in WRITTEN] == [0] * 5


def test_weights_of_another_model_are_not_mixed_in(typed: Typed, settings: Settings, target: BulkConnection) -> None:
    typed.run("run", "--execute")
    path = settings.dedupe_dir / "model.json"
    model = json.loads(path.read_text("utf-8"))
    model["prior"] = model["prior"] / 2
    path.write_text(json.dumps(model), "utf-8")
    before = content(target)

    told = typed.run("run", "--since", "last", "--execute", expected=7)

    assert "model is not the one of the last run" in " ".join(told.split())
    assert content(target) == before
    typed.run("run", "--execute")
    assert typed.json("run", "--since", "last", "--execute")["merged_members"] > 200
