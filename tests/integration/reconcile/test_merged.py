"""Members joined by deduplication are compared through the many-to-one crosswalk: golden records, redirects, wrong entries."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from etl.load.model import LoadRequest
from etl.load.run import run_load
from etl.progress import Silent
from etl.reconcile.differences import Difference, Kind, ReconcileResult
from etl.reconcile.invariants import run_invariants
from etl.reconcile.registry import anything_merged
from etl.reconcile.repair import RepairRequest, run_repair
from etl.reconcile.run import ReconcileRequest, run_reconcile
from etl.settings import Settings
from etl.stage.run import StageRequest, run_stage
from etl.target.bulk import BulkConnection
from etl.target.connect import connect_bulk
from fixtures.data.generate import LegacyData
from fixtures.legacy_server.launcher import LegacyServer
from fixtures.target import TargetServer
from tests.conftest import drop_schemas
from tests.merging import member_parts, truth_groups, write_merges
from tests.retailer import retailer_settings

MEMBER_PARTS = ("member/crm", "member/pos", "member/ecom")


@pytest.fixture(scope="module")
def joined(
    legacy: LegacyServer, retailer: LegacyData, target_server: TargetServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Settings]:
    """2,000 members, whoever is one person joined, and all that belongs to them loaded."""
    settings = retailer_settings(legacy, target_server, tmp_path_factory.mktemp("joined"), "joined")
    run_stage(settings, StageRequest(), Silent())
    records = member_parts(settings, MEMBER_PARTS)
    assert write_merges(settings, records, truth_groups(retailer.frame("truth_person"), records)) > 300
    run_load(settings, LoadRequest(execute=True), Silent())
    yield settings
    drop_schemas(settings.target)


@pytest.fixture
def target(joined: Settings) -> Iterator[BulkConnection]:
    """A connection to it."""
    with connect_bulk(joined.target) as connection:
        yield connection


def test_a_target_older_than_deduplication_has_nothing_merged(target: BulkConnection, joined: Settings) -> None:
    assert anything_merged(target, joined.target.state_schema)
    assert not anything_merged(target, "nowhere")


def compare(settings: Settings, *tables: str, **options: float) -> ReconcileResult:
    """Compare some tables."""
    return run_reconcile(settings, ReconcileRequest(tables, **options), Silent())


def differences(result: ReconcileResult) -> list[Difference]:
    """All that are listed."""
    return [difference for table in result.tables for difference in table.differences]


def some_merged(target: BulkConnection, count: int) -> list[int]:
    """Members with several records, one of them of crm."""
    rows = target.query(
        "SELECT member_id FROM member_source WHERE linked_by = 'dedupe' GROUP BY member_id "
        f"HAVING COUNT(*) > 1 AND SUM(source = 'crm') > 1 ORDER BY member_id LIMIT {count}"
    )
    return [int(row[0]) for row in rows]


def test_golden_records_agree_with_all_their_legacy_rows(joined: Settings, target: BulkConnection) -> None:
    result = compare(joined)

    assert differences(result) == []
    member, crosswalk = (table for table in result.tables if table.table in ("member", "member_source"))
    surplus = target.scalar("SELECT COUNT(*) - COUNT(DISTINCT member_id) FROM member_source")
    assert member.merged == surplus > 300
    assert member.source_rows == member.expected_rows + member.merged + member.in_quarantine
    assert member.expected_rows == member.equal_rows == member.target_rows
    assert crosswalk.equal_rows == crosswalk.target_rows == member.source_rows - member.in_quarantine


def test_a_sample_reads_whole_persons(joined: Settings) -> None:
    assert compare(joined, "member", sample=0.2).total_differences == 0


def test_what_waits_on_disk_is_folded_all_the_same(joined: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("etl.reconcile.rows.ASIDE_BYTES", 10_000)
    assert compare(joined, "member").total_differences == 0


def test_a_changed_golden_record_is_one_difference_and_is_repaired(joined: Settings, target: BulkConnection) -> None:
    one, other, gone = some_merged(target, 3)
    with target.transaction():
        target.execute(f"UPDATE member SET points = points + 7 WHERE member_id = {one}")
        target.execute(f"UPDATE member SET name = CONCAT(name, ' ') WHERE member_id = {other}")
        target.execute(f"DELETE FROM member WHERE member_id = {gone}")

    found = differences(compare(joined, "member", second_look_s=0.01))
    assert {(one.kind, one.key) for one in found} == {
        (Kind.CHANGED, f"member_id={one}"), (Kind.CHANGED, f"member_id={other}"), (Kind.MISSING, f"member_id={gone}"),
    }  # fmt: skip
    assert {one.note for one in found} == {"One member of several legacy rows"}

    assert run_repair(joined, RepairRequest(("member",), execute=True), Silent()).left == 0
    assert compare(joined, "member").total_differences == 0


def test_a_repaired_golden_record_says_where_its_values_come_from(joined: Settings, target: BulkConnection) -> None:
    """Of members that are repaired, changed or missing; nothing is said anew of others."""
    lineage = "SELECT member_id, column_name, rule, system, source_id FROM joined_s.golden_field ORDER BY member_id, column_name"
    before = target.query(lineage)
    changed, gone, left = list(dict.fromkeys(int(row[0]) for row in before))[:3]
    with target.transaction():
        target.execute(f"UPDATE member SET name = 'somebody' WHERE member_id = {changed}")
        target.execute(f"DELETE FROM member WHERE member_id = {gone}")
        target.execute(f"UPDATE joined_s.golden_field SET rule = 'stale' WHERE member_id IN ({changed}, {left})")
        target.execute(f"DELETE FROM joined_s.golden_field WHERE member_id = {gone}")

    assert run_repair(joined, RepairRequest(("member",), execute=True), Silent()).left == 0

    now = target.query(lineage)
    assert [row for row in now if int(row[0]) != left] == [row for row in before if int(row[0]) != left]
    assert {row[2] for row in now if int(row[0]) == left} in ({"stale"}, {b"stale"})
    with target.transaction():
        for _, column, rule, *_ in (row for row in before if int(row[0]) == left):
            target.execute(
                "UPDATE joined_s.golden_field SET rule = %s WHERE member_id = %s AND column_name = %s", (rule, left, column)
            )


def test_an_entry_that_leads_elsewhere_than_the_registry_says_is_merged_wrongly(joined: Settings, target: BulkConnection) -> None:
    """Neither the members nor what belongs to them are told as different."""
    one, other = some_merged(target, 2)
    (moved,), *_ = target.query(f"SELECT source_id FROM member_source WHERE member_id = {one} AND source = 'crm' LIMIT 1")
    (lost,), *_ = target.query(f"SELECT source_id FROM member_source WHERE member_id = {other} AND source = 'crm' LIMIT 1")
    single = target.scalar("SELECT source_id FROM member_source WHERE source = 'pos' AND linked_by = 'load' LIMIT 1")
    home = target.scalar("SELECT member_id FROM member_source WHERE source = 'pos' AND source_id = %s", (single,))
    with target.transaction():
        target.execute(f"UPDATE member_source SET member_id = {other} WHERE source = 'crm' AND source_id = '{moved}'")
        target.execute(f"DELETE FROM member_source WHERE source = 'crm' AND source_id = '{lost}'")
        target.execute("UPDATE member_source SET member_id = %s WHERE source = 'pos' AND source_id = %s", (one, single))

    found = {
        (difference.table, difference.kind, difference.key, difference.columns[0].expected)
        for difference in differences(compare(joined, "member", "points_ledger", "sale", second_look_s=0.01))
    }
    assert found == {
        ("member_source", Kind.MERGED_WRONGLY, f"source=crm, source_id={moved}", str(one)),
        ("member_source", Kind.MISSING, f"source=crm, source_id={lost}", str(other)),
        ("member_source", Kind.MERGED_WRONGLY, f"source=pos, source_id={single}", str(home)),
    }

    assert run_repair(joined, RepairRequest(("member",), execute=True), Silent()).left == 0
    assert target.scalar("SELECT COUNT(*) FROM member_source WHERE linked_by = 'dedupe' AND source_id = %s", (lost,)) >= 1
    assert compare(joined, "member").total_differences == 0


def test_members_that_ended_only_redirect(joined: Settings, target: BulkConnection) -> None:
    """A row with merged_into is no extra row; without it, it is."""
    (one,) = some_merged(target, 1)
    ended = 2**33
    with target.transaction():
        target.execute(
            "INSERT INTO member (member_id, tier, points, balance, registered_at, origin, merged_into) "
            f"VALUES ({ended}, 'BRONZE', 0, 0, NOW(6), 'pos', {one})"
        )
    try:
        assert compare(joined, "member").total_differences == 0
        with target.transaction():
            target.execute(f"UPDATE member SET merged_into = NULL WHERE member_id = {ended}")
        assert [(one.kind, one.key) for one in differences(compare(joined, "member"))] == [(Kind.EXTRA, f"member_id={ended}")]
    finally:
        with target.transaction():
            target.execute(f"DELETE FROM member WHERE member_id = {ended}")


def verdicts(settings: Settings) -> dict[str, str]:
    """How each invariant stands."""
    result = run_invariants(settings, Silent())
    return {invariant.name: invariant.verdict.value for invariant in result.invariants}


def test_invariants_hold_through_the_crosswalk(joined: Settings, target: BulkConnection) -> None:
    """Counts, sums and rules see through merges, and see what breaks them."""
    assert "differs" not in (clean := verdicts(joined)).values(), clean
    one, other = some_merged(target, 2)
    ended = 2**33
    with target.transaction():
        target.execute(f"UPDATE member SET points = points + 3, balance = balance + 1 WHERE member_id = {one}")
        target.execute(
            "INSERT INTO member (member_id, tier, points, balance, registered_at, origin, merged_into) "
            f"VALUES ({ended}, 'BRONZE', 0, 0, NOW(6), 'pos', {other})"
        )
        ledger = target.scalar(f"SELECT MIN(entry_id) FROM points_ledger WHERE member_id = {other}")
        target.execute(f"UPDATE points_ledger SET member_id = {ended} WHERE entry_id = {ledger}")
        (source, source_id), *_ = target.query(f"SELECT source, source_id FROM member_source WHERE member_id = {other} LIMIT 1")
        target.execute(f"UPDATE member_source SET member_id = {ended} WHERE source = '{source}' AND source_id = '{source_id}'")

    found = verdicts(joined)

    assert {name for name, verdict in found.items() if verdict == "differs"} == {
        "counts", "balances", "points_balance", "crosswalk_complete", "entries_live", "points_ledger_live",
    }  # fmt: skip
    repaired = run_repair(joined, RepairRequest(("member", "points_ledger"), execute=True), Silent())
    with target.transaction():
        target.execute(f"DELETE FROM member WHERE member_id = {ended}")
    assert repaired.left == 0
    assert verdicts(joined) == clean
