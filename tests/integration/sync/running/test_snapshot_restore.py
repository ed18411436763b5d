"""A store that is brought back from a snapshot: sync carries it to SQL Server like any other change, and both sides agree."""

from __future__ import annotations

import polars as pl

from etl.progress import Silent
from etl.sync.drain import DrainRequest, drain_store
from migrations.release.snapshots.create import SnapshotRequest, create_snapshot
from migrations.release.snapshots.files import read_rows
from migrations.release.snapshots.model import folder_of
from migrations.release.snapshots.restore import RestoreRequest, restore_store
from migrations.release.snapshots.verify import verify_snapshot
from tests.integration.sync.running.support import Shop, until
from tests.integration.sync.running.test_drain import sell_on_target


def a_store(shop: Shop) -> tuple[str, str]:
    """Some store that sold something, and one of its sales."""
    store, sale = shop.legacy("pos", "SELECT TOP (1) StoreCode, SaleNo FROM dbo.Sale ORDER BY SaleNo")[0]
    return str(store), str(sale)


def test_the_legacy_rows_of_a_store_are_kept_as_evidence(shop: Shop) -> None:
    store, _ = a_store(shop)
    manifest = create_snapshot(shop.settings, SnapshotRequest((store,), legacy=True), Silent())
    rows = {file.table: file for file in manifest.files if file.side == "legacy"}
    queries = {
        "pos.dbo.Sale": "SELECT COUNT(*) FROM dbo.Sale WHERE StoreCode = '{}'",
        "pos.dbo.SaleLine": "SELECT COUNT(*) FROM dbo.SaleLine l JOIN dbo.Sale s ON s.SaleNo = l.SaleNo WHERE s.StoreCode = '{}'",
    }
    for table, query in queries.items():
        assert rows[table].rows == shop.legacy("pos", query.format(store))[0][0] > 0
    lines = read_rows(folder_of(shop.settings.state_dir, manifest.id), rows["pos.dbo.SaleLine"], ())
    assert isinstance(lines, pl.DataFrame)
    assert "SaleNo" in lines.columns
    assert verify_snapshot(shop.settings, manifest.id, Silent()).sound


def test_what_is_restored_arrives_on_the_legacy_side(shop: Shop) -> None:
    """A sale that was lost on TiDB before sync had carried it over: once restored, it is a change like any other.

    Were it overlooked, the way back to SQL Server would lose it for good.
    """
    store, sale = a_store(shop)
    lost = sell_on_target(shop, store)
    manifest = create_snapshot(shop.settings, SnapshotRequest((store,)), Silent())
    shop.target.execute("DELETE FROM sale WHERE sale_no IN (%s, %s)", (lost, sale))
    shop.target.execute("UPDATE sale_line SET quantity = 99 WHERE sale_no = %s", (sale,))
    query = f"SELECT COUNT(*) FROM dbo.Sale WHERE SaleNo = '{lost}'"
    assert shop.legacy("pos", query) == [(0,)]
    done = restore_store(shop.settings, RestoreRequest(store, manifest.id, execute=True), Silent())
    assert (done.left, done.tables[0].inserted) == (0, 2)
    with shop.running():
        until(lambda: shop.legacy("pos", query) == [(1,)], 30)
        drained = drain_store(shop.settings, DrainRequest((store,), "source", 30.0), Silent())
        assert drained.drained, drained.left
