"""Repair writes the rows that differ, as the source has them, and no others."""

from __future__ import annotations

from etl.progress import Silent
from etl.reconcile.repair import RepairRequest, repair_table, run_repair
from etl.reconcile.run import ReconcileRequest, compare, now_of, run_reconcile
from etl.settings import Settings
from etl.source.connect import open_source
from etl.target.bulk import BulkConnection
from fixtures.data.corrupt import plant
from fixtures.data.corrupt_kinds import Damage as Planted
from tests.integration.reconcile.conftest import Damage

KINDS = {
    Planted.MISSING: "missing",
    Planted.EXTRA: "extra",
    Planted.DUPLICATE: "duplicated",
    Planted.LINK: "merged_wrongly",
}


def test_all_planted_differences_are_found_and_repaired(moved: Settings) -> None:
    """Ten kinds of damage: each is found as what it is, none is invented, and nothing is left after the repair."""
    planted = plant(moved.target, 60, seed=11)
    repaired = run_repair(moved, RepairRequest(delete_extra=True, execute=True), Silent())
    found = {(one.table, one.key): one.kind.value for table in repaired.before.tables for one in table.differences}
    assert found == {(one.table, one.key): KINDS.get(one.kind, "changed") for one in planted}
    assert repaired.before.total_differences == 60
    assert repaired.left == 0
    assert sum(table.inserted + table.updated + table.deleted for table in repaired.tables) == 60
    assert run_reconcile(moved, ReconcileRequest(), Silent()).total_differences == 0


def test_a_dry_run_writes_nothing(moved: Settings, target: BulkConnection, damage: Damage) -> None:
    """It says what it would do."""
    damage("UPDATE coupon SET code = LOWER(code) ORDER BY coupon_id LIMIT 3", tables=("coupon",))
    before = target.query("SELECT coupon_id, code, updated_at FROM coupon ORDER BY coupon_id")
    result = run_repair(moved, RepairRequest(("coupon",)), Silent())
    assert (result.executed, result.left, result.tables[0].updated) == (False, 3, 3)
    target.rollback()
    assert target.query("SELECT coupon_id, code, updated_at FROM coupon ORDER BY coupon_id") == before


def test_extra_rows_stay_unless_their_deletion_is_asked_for(moved: Settings, target: BulkConnection, damage: Damage) -> None:
    """A row that only the target has may be somebody's work."""
    damage(
        "INSERT INTO sign_in (sign_in_id, member_id, signed_at, channel) VALUES (3999999999999999, 1, '2030-01-01', 'APP')",
        tables=("sign_in",),
    )
    result = run_repair(moved, RepairRequest(("sign_in",), execute=True), Silent())
    assert (result.tables[0].kept_extra, result.left) == (1, 1)
    assert target.scalar("SELECT COUNT(*) FROM sign_in WHERE sign_in_id = 3999999999999999") == 1


def test_a_row_changed_since_it_was_compared_is_left_alone(moved: Settings, target: BulkConnection, damage: Damage) -> None:
    """Compare and set: an application may have been faster, and its write must not be lost."""
    request = RepairRequest(("coupon",), delete_extra=True, execute=True)
    damage("UPDATE coupon SET code = CONCAT(code, '?') ORDER BY coupon_id LIMIT 2", tables=("coupon",))
    with open_source(moved.source) as source:
        compared = compare(moved, source, ReconcileRequest(("coupon",)), Silent())
        damage("UPDATE coupon SET code = 'MINE' ORDER BY coupon_id LIMIT 1", tables=("coupon",))
        (done,) = repair_table(moved, now_of(moved, source, target), compared.examined[0], request, Silent())
    assert (done.updated, done.changed_since) == (1, 1)
    assert target.scalar("SELECT COUNT(*) FROM coupon WHERE code = 'MINE'") == 1


def test_only_columns_that_differ_are_written(moved: Settings, target: BulkConnection, damage: Damage) -> None:
    """A column that is not compared keeps what the target has put there."""
    damage(
        "UPDATE member SET tier = 'GOLD', points = points + 1 WHERE member_id = 5",
        tables=("member",),
    )
    with target.transaction():
        target.execute("UPDATE member SET synced_at = '2030-01-01 00:00:00' WHERE member_id = 5")
    run_repair(moved, RepairRequest(("member",), execute=True), Silent())
    assert target.scalar("SELECT synced_at FROM member WHERE member_id = 5").year == 2030


def test_a_row_that_load_found_different_leaves_quarantine_when_it_is_repaired(
    moved: Settings, target: BulkConnection, damage: Damage
) -> None:
    """Load never overwrites: it notes the row, and repair settles it. Deleted, such a row is missing, and not in quarantine."""
    (first, second) = (int(row[0]) for row in target.query("SELECT coupon_id FROM coupon ORDER BY coupon_id LIMIT 2"))
    state = moved.target.state_schema
    note = (
        f"INSERT INTO {state}.reject "
        "(run_id, mapping_part, source_table, source_key, target_table, column_name, reason, rejected_at) "
        "VALUES (1, 'coupon/crm', 'crm.dbo.Coupon', '{key}', 'coupon', 'code', 'differs_from_target', NOW(6))"
    )
    damage(
        f"UPDATE coupon SET code = 'x' WHERE coupon_id = {first}",
        f"DELETE FROM coupon WHERE coupon_id = {second}",
        note.format(key=first),
        note.format(key=second),
        tables=("coupon",),
    )
    result = run_repair(moved, RepairRequest(("coupon",), execute=True), Silent())
    assert (result.before.total_differences, result.before.in_quarantine, result.left) == (2, 0, 0)
    settled = f"SELECT COUNT(*) FROM {state}.reject WHERE mapping_part = 'coupon/crm' AND settled_at IS NOT NULL"
    assert target.scalar(settled) == 2
