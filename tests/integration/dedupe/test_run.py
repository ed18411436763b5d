"""Deduplication from stage to target, and what load and reconcile make of it."""

from __future__ import annotations

import shutil
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from etl.dedupe.decisions import Decision, RecordKey, write_decisions
from etl.dedupe.result import DedupeRequest, DedupeResult
from etl.dedupe.run import run_dedupe
from etl.dedupe.runs import read_dedupe_runs
from etl.errors import RefusedError
from etl.load.model import LoadRequest
from etl.load.run import run_load
from etl.progress import Silent
from etl.settings import DedupeSettings, Settings
from etl.stage.read import open_stage
from etl.target.bulk import BulkConnection
from tests.integration.load.stage_data import stage_table

CARDS, MEMBERS = "pos.dbo.PosMember", "crm.dbo.Member"

CONTENT = {
    "member_source": ("source, source_id, member_id, valid_from, linked_by", "dedupe_m"),
    "member": ("member_id, name, name_key, gender, phone, email, id_card, union_id, birthday, address, tier, points, balance,"
               " store_code, registered_at, last_seen_at, origin, merged_into, legacy_updated_at", "dedupe_m"),
    "golden_field": ("member_id, column_name, rule, system, source_id", "dedupe_s"),
    "merge_event": ("kind, member_id, system, source_id, from_member_id, reason, weight, by_whom", "dedupe_s"),
}  # fmt: skip


def dedupe(settings: Settings, **options: Any) -> DedupeResult:
    """Run it for real."""
    return run_dedupe(settings, DedupeRequest(**{"execute": True, "by_whom": "test", **options}), Silent())


def content(target: BulkConnection) -> dict[str, list[tuple[Any, ...]]]:
    """All that deduplication writes, without what each run numbers or times for itself."""
    return {
        table: sorted(target.query(f"SELECT {columns} FROM `{schema}`.{table}"), key=repr)
        for table, (columns, schema) in CONTENT.items()
    }


def in_new_tables(settings: Settings) -> Settings:
    """Every change counts as a large one."""
    return settings.model_copy(update={"dedupe": DedupeSettings(threads=2, memory_limit_gib=1, small_write_rows=0)})


def test_a_dry_run_writes_nothing(settings: Settings, target: BulkConnection, dedupe_stage: Settings) -> None:
    result = dedupe(settings, execute=False)
    dedupe_stage.dedupe_dir.mkdir(exist_ok=True, mode=0o700)
    shutil.copy(settings.dedupe_dir / "model.json", dedupe_stage.dedupe_dir)

    assert not result.executed
    assert result.merged_members > 200
    assert result.written.links == result.merged_records > 2 * result.merged_members - 1
    assert 0.10 < result.surplus_share < 0.20
    assert all(not rows for rows in content(target).values())
    assert target.query("SELECT * FROM dedupe_s.id_allocator") == []
    assert read_dedupe_runs(target, "dedupe_s") == ()
    assert {"records", "edges", "clusters", "review", "refused"} == set(result.files)


def test_both_ways_of_writing_write_the_same_and_a_rerun_changes_nothing(settings: Settings, target: BulkConnection) -> None:
    from tests.integration.dedupe.conftest import empty

    first = dedupe(settings)
    in_one = content(target)
    again = dedupe(settings)

    assert first.written.links == len(in_one["member_source"]) == first.merged_records
    assert first.written.members == len(in_one["member"]) == first.merged_members
    assert again.written.nothing
    assert content(target) == in_one
    assert {row[4] for row in in_one["member_source"]} == {"dedupe"}
    assert {kind for kind, *_ in in_one["merge_event"]} == {"create", "merge"}
    assert len(in_one["merge_event"]) == first.merged_records

    empty(settings.target)
    exchanged = dedupe(in_new_tables(settings))

    assert exchanged.written.links == first.written.links
    assert content(target) == in_one
    assert [run.status for run in read_dedupe_runs(target, "dedupe_s")] == ["done"]
    assert target.query("SHOW TABLES LIKE '%\\_\\_%'") == []
    assert dedupe(in_new_tables(settings)).written.nothing


def test_points_and_money_of_merged_members_are_the_sum_of_their_records(settings: Settings, target: BulkConnection) -> None:
    dedupe(settings)
    merged = sum(int(points) for (points,) in target.query("SELECT points FROM member"))
    ids = [key for (key,) in target.query("SELECT source_id FROM member_source WHERE source = 'crm'")]

    run_load(settings, LoadRequest(tables=("member",), execute=True), Silent())

    all_points = int(target.scalar("SELECT SUM(points) FROM member"))
    singles = int(target.scalar(
        "SELECT SUM(m.points) FROM member m JOIN member_source s ON s.member_id = m.member_id WHERE s.linked_by = 'load'"
    ))  # fmt: skip
    assert len(ids) > 100
    assert all_points == merged + singles


@pytest.mark.parametrize("small_write_rows", [200_000, 0], ids=["in one transaction", "in new tables"])
def test_money_beyond_what_its_column_holds_is_refused_before_anything_is_written(
    settings: Settings, target: BulkConnection, small_write_rows: int
) -> None:
    limits = DedupeSettings(threads=2, memory_limit_gib=1, small_write_rows=small_write_rows)
    settings = settings.model_copy(update={"dedupe": limits})
    with open_stage(settings) as stage:
        (table,) = (one for one in stage.tables() if str(one.name) == MEMBERS)
        members = pl.concat([frame for chunk in table.chunks for frame in stage.read(chunk, tuple(table.schema.names))])
    rich = pl.lit(Decimal("900000000000000.0000"), members.schema["Balance"])  # each alone fits DECIMAL(19,4)
    stage_table(settings, MEMBERS, members.with_columns(rich.alias("Balance")), ("MemberId",))

    with pytest.raises(RefusedError, match=r"Column balance: .* of the merged members") as refused:
        dedupe(settings)

    assert "golden.toml" in refused.value.remedy
    assert all(not rows for rows in content(target).values())
    with pytest.raises(RefusedError, match="Column balance"):
        dedupe(settings, execute=False)


def test_a_cannot_link_keeps_two_apart_for_ever(settings: Settings, target: BulkConnection) -> None:
    from etl.dedupe.incremental import read_parquet

    dry = dedupe(settings, execute=False)
    clusters = read_parquet(dry.files["clusters"])
    records = read_parquet(dry.files["records"]).select("record", "system", "source_id")
    pair = clusters.join(records, on="record").filter(pl.len().over("cluster") == 2).sort("cluster").head(2).rows(named=True)
    left, right = (RecordKey(row["system"], row["source_id"]) for row in pair)
    write_decisions(settings, [Decision("cannot_link", left, right, "test")])

    result = dedupe(settings)

    linked = set(target.query("SELECT source, source_id FROM member_source"))
    assert result.merged_members == dry.merged_members - 1
    assert not linked & {(left.system, left.source_id), (right.system, right.source_id)}


def test_arrivals_alone_give_what_a_whole_run_gives(settings: Settings, target: BulkConnection) -> None:
    dedupe(settings)
    before = content(target)

    result = dedupe(settings, since="last")
    everything = dedupe(settings, since="1990-01-01T00:00")

    assert result.written.nothing
    assert everything.written.nothing
    assert content(target) == before


def test_cards_that_arrive_later_join_their_owners_and_end_no_id_in_vain(settings: Settings, target: BulkConnection) -> None:
    """A tenth of the cards is staged later, when everybody else is loaded."""
    with open_stage(settings) as stage:
        (table,) = (one for one in stage.tables() if str(one.name) == CARDS)
        cards = pl.concat([frame for chunk in table.chunks for frame in stage.read(chunk, tuple(table.schema.names))])
    late = cards.filter(pl.int_range(pl.len()) % 10 == 3)
    stage_table(settings, CARDS, cards.join(late, on="CardNo", how="anti"), ("CardNo",))
    dedupe(settings)
    run_load(settings, LoadRequest(tables=("member",), execute=True), Silent())
    before = dict(target.query("SELECT CONCAT(source, ':', source_id), member_id FROM member_source"))
    points = target.scalar("SELECT SUM(points) FROM member")
    stage_table(settings, CARDS, cards, ("CardNo",))

    result = dedupe(settings, since="last")

    after = dict(target.query("SELECT CONCAT(source, ':', source_id), member_id FROM member_source"))
    joined = set(after) - set(before)
    retired = dict(target.query("SELECT member_id, merged_into FROM member WHERE merged_into IS NOT NULL"))
    assert len(joined) > 20
    assert {key.removeprefix("pos:") for key in joined} <= set(late["CardNo"])
    assert {key: after[key] for key in before} == {key: retired.get(member, member) for key, member in before.items()}
    assert len(retired) == result.written.retired < 10
    assert target.scalar("SELECT SUM(points) FROM member") == points
    assert dedupe(settings, since="last").written.nothing
