"""Rows that were born on the target and carried back agree: their legacy rows have keys of their own."""

from __future__ import annotations

from datetime import timedelta

from etl.progress import Silent
from etl.sync.verify import VerifyRequest, run_verify
from tests.integration.sync.running.support import Shop, until


def test_rows_born_on_the_target_are_not_extra(shop: Shop) -> None:
    """A clean store would have been told as thousands of extra rows, and its switch refused."""
    member = shop.a_member()
    shop.target.execute(
        "INSERT INTO points_ledger (member_id, delta, reason, ref_no, occurred_at, origin, origin_id) "
        "VALUES (%s, 5, 'BORN', 'V1', '2024-05-01 02:00:00', 'tidb', 'verify-1')",
        (member,),
    )
    with shop.running():
        until(lambda: shop.legacy("crm", "SELECT COUNT(*) FROM dbo.PointsLedger WHERE Reason = 'BORN'") == [(1,)])
        until(
            lambda: shop.rows("SELECT COUNT(*) FROM points_ledger WHERE synced_at IS NULL OR updated_at <> synced_at") == [(0,)]
        )
    result = run_verify(shop.settings, VerifyRequest(timedelta(hours=1), 0.0, ("points_ledger",)), Silent())
    (table,) = result.tables
    assert (table.differing, table.source_rows) == (0, table.target_rows)
    shop.legacy("crm", "UPDATE dbo.PointsLedger SET Delta = 6 WHERE Reason = 'BORN'")
    (after,) = run_verify(shop.settings, VerifyRequest(timedelta(hours=1), 0.0, ("points_ledger",)), Silent()).tables
    assert after.differing == 1, "its legacy row was not looked at"
