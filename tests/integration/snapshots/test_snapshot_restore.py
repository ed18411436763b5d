"""Bring one store's rows back: exactly those, nobody else's, and as changes that sync sees."""

from __future__ import annotations

from typing import Any

import pytest

from etl.errors import RefusedError, UsageError
from etl.progress import Silent
from etl.settings import Settings
from etl.target.bulk import BulkConnection
from migrations.release.event_log import open_event_log
from migrations.release.events import Planned
from migrations.release.model import Route
from migrations.release.snapshots import restore
from migrations.release.snapshots.create import SnapshotRequest, create_snapshot
from migrations.release.snapshots.restore import RestoreRequest, restore_store

TABLES = ("sale", "sale_line", "points_ledger", "coupon_event", "member")


def content(target: BulkConnection, where: str) -> dict[str, list[tuple[Any, ...]]]:
    """Business columns of the rows of a store (or of all others)."""
    sales = f"SELECT sale_no FROM sale WHERE {where}"
    queries = {
        "sale": f"SELECT sale_no, store_code, member_id, sold_at, status, total, paid FROM sale WHERE {where} ORDER BY 1",
        "sale_line": f"SELECT sale_no, line_no, quantity, amount FROM sale_line WHERE sale_no IN ({sales}) ORDER BY 1, 2",
        "points_ledger": f"SELECT entry_id, delta, note, origin_id FROM points_ledger WHERE {where} ORDER BY 1",
        "coupon_event": f"SELECT coupon_event_id, event, sale_no FROM coupon_event WHERE sale_no IN ({sales}) ORDER BY 1",
        "member": "SELECT member_id, points, tier FROM member ORDER BY 1",
    }
    return {name: target.query(query) for name, query in queries.items()}


def damage(target: BulkConnection) -> None:
    """What a bad release does to a store: changes, deletes, adds, and moves a sale to another store."""
    target.execute("UPDATE sale SET paid = 0, status = 'void' WHERE store_code = 'S001' AND sale_no < 'N0010'")
    target.execute("DELETE FROM sale WHERE sale_no = 'N0012'")
    target.execute("DELETE FROM sale_line WHERE sale_no = 'N0014'")
    target.execute("UPDATE sale SET store_code = 'S002' WHERE sale_no = 'N0016'")
    target.execute("UPDATE points_ledger SET delta = -5, note = NULL WHERE entry_id = 5")
    target.execute("DELETE FROM coupon_event WHERE sale_no = 'N0018'")
    target.execute(
        "INSERT INTO sale (sale_no, channel, store_code, sold_at, status, total, discount, freight, paid) "
        "VALUES ('NEW1', 'pos', 'S001', NOW(6), 'paid', 1, 0, 0, 1)"
    )
    target.execute(
        "INSERT INTO sale_line (sale_no, line_no, product_id, quantity, unit_price, amount) VALUES ('NEW1', 1, 1, 1, 1, 1)"
    )


def test_a_damaged_store_is_as_it_was_and_the_other_untouched(settings: Settings, shop: BulkConnection) -> None:
    before, other = content(shop, "store_code = 'S001'"), content(shop, "store_code = 'S002'")
    manifest = create_snapshot(settings, SnapshotRequest(("S001",)), Silent())
    damage(shop)
    shop.execute("UPDATE member SET points = 999 WHERE member_id = 7")
    damaged = content(shop, "store_code = 'S001'")

    dry = restore_store(settings, RestoreRequest("S001", manifest.id, delete_extra=True), Silent())
    assert content(shop, "store_code = 'S001'") == damaged, "a dry run writes nothing"
    sale = dry.tables[0]
    assert (sale.table, sale.missing, sale.changed, sale.extra) == ("sale", 1, 6, 1)

    done = restore_store(settings, RestoreRequest("S001", manifest.id, delete_extra=True, execute=True), Silent())
    assert (done.left, done.differing) == (0, dry.differing)
    after = content(shop, "store_code = 'S001'")
    assert after | {"member": before["member"]} == before
    assert after["member"] == [(7, 999, "GOLD")], "a member belongs to all stores"
    assert content(shop, "store_code = 'S002'") | {"member": other["member"]} == other


def test_sales_that_came_after_stay_unless_somebody_asks(settings: Settings, shop: BulkConnection) -> None:
    """Deleting them by default would lose every sale since the snapshot: the very thing that must never happen."""
    manifest = create_snapshot(settings, SnapshotRequest(("S001",)), Silent())
    damage(shop)
    done = restore_store(settings, RestoreRequest("S001", manifest.id, execute=True), Silent())
    assert done.left == 0
    assert shop.scalar("SELECT COUNT(*) FROM sale WHERE sale_no = 'NEW1'") == 1
    assert shop.scalar("SELECT COUNT(*) FROM sale_line WHERE sale_no = 'NEW1'") == 1


def test_what_was_restored_is_a_change_that_sync_has_still_to_carry_over(settings: Settings, shop: BulkConnection) -> None:
    """Were it not, SQL Server would keep the damaged rows, and the next reconciliation would blame TiDB."""
    manifest = create_snapshot(settings, SnapshotRequest(("S001",)), Silent())
    damage(shop)
    for table in ("sale", "points_ledger", "sale_line"):
        shop.execute(f"UPDATE {table} SET synced_at = updated_at, updated_at = updated_at")
    restore_store(settings, RestoreRequest("S001", manifest.id, execute=True), Silent())
    dirty = "SELECT sale_no FROM sale WHERE synced_at IS NULL OR updated_at <> synced_at ORDER BY 1"
    assert [row[0] for row in shop.query(dirty)] == ["N0000", "N0002", "N0004", "N0006", "N0008", "N0012", "N0016"]
    dirty = "SELECT entry_id FROM points_ledger WHERE synced_at IS NULL OR updated_at <> synced_at"
    assert [row[0] for row in shop.query(dirty)] == [5]


def test_a_row_that_is_sold_to_in_the_meantime_is_left_alone(
    settings: Settings, shop: BulkConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the question and the write the store may have changed the row: its change wins, and is reported."""
    manifest = create_snapshot(settings, SnapshotRequest(("S001",)), Silent())
    damage(shop)
    planned = restore.planned_table

    def meddle(*arguments: Any) -> Any:
        shop.execute("UPDATE sale SET status = 'refunded' WHERE sale_no = 'N0002'")
        return planned(*arguments)

    monkeypatch.setattr(restore, "planned_table", meddle)
    done = restore_store(settings, RestoreRequest("S001", manifest.id, execute=True), Silent())
    assert (done.tables[0].changed_since, done.left) == (1, 1)
    assert shop.scalar("SELECT status FROM sale WHERE sale_no = 'N0002'") == "refunded"


def test_a_unique_value_that_another_row_took_blocks_one_row_only(settings: Settings, shop: BulkConnection) -> None:
    manifest = create_snapshot(settings, SnapshotRequest(("S001",)), Silent())
    shop.execute("DELETE FROM points_ledger WHERE entry_id IN (1, 5)")
    shop.execute(
        "INSERT INTO points_ledger (entry_id, member_id, delta, reason, occurred_at, origin, origin_id) "
        "VALUES (9001, 7, 1, 'x', NOW(6), 'crm', 'o0')"
    )
    done = restore_store(settings, RestoreRequest("S001", manifest.id, execute=True), Silent())
    ledger = next(table for table in done.tables if table.table == "points_ledger")
    assert (ledger.inserted, ledger.blocked, ledger.left) == (1, 1, 1)


def test_restoring_twice_changes_nothing_the_second_time(settings: Settings, shop: BulkConnection) -> None:
    manifest = create_snapshot(settings, SnapshotRequest(("S001", "S002")), Silent())
    damage(shop)
    restore_store(settings, RestoreRequest("S001", manifest.id, delete_extra=True, execute=True), Silent())
    again = restore_store(settings, RestoreRequest("S001", manifest.id, delete_extra=True, execute=True), Silent())
    assert again.differing == 0
    assert restore_store(settings, RestoreRequest("S002", manifest.id, delete_extra=True), Silent()).differing == 0


def test_a_store_that_is_not_in_the_snapshot_is_refused(settings: Settings, shop: BulkConnection) -> None:
    manifest = create_snapshot(settings, SnapshotRequest(("S001",)), Silent())
    with pytest.raises(UsageError, match="S002"):
        restore_store(settings, RestoreRequest("S002", manifest.id), Silent())


def test_a_store_that_writes_to_sql_server_is_restored_only_when_both_sides_shall_go_back(
    settings: Settings, shop: BulkConnection
) -> None:
    """TiDB follows there: what is restored would go to SQL Server, over sales that are newer."""
    manifest = create_snapshot(settings, SnapshotRequest(("S001",)), Silent())
    damage(shop)
    with open_event_log(settings.state_dir) as log:
        log.append(Planned("autumn", (("S001",),), {"S001": Route.LEGACY, "S002": Route.LEGACY}))
    assert restore_store(settings, RestoreRequest("S001", manifest.id), Silent()).differing > 0, "looking is allowed"
    with pytest.raises(RefusedError, match="SQL Server"):
        restore_store(settings, RestoreRequest("S001", manifest.id, execute=True), Silent())
    assert restore_store(settings, RestoreRequest("S001", manifest.id, to_both=True, execute=True), Silent()).left == 0
