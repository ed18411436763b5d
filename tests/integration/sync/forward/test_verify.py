"""What changed lately, compared slice by slice."""

from __future__ import annotations

from datetime import timedelta

import pytest

from etl.progress import Silent
from etl.reconcile.differences import ReconcileResult
from etl.sync import compare_some
from etl.sync.standing import read_standing
from etl.sync.verify import VerifyRequest, run_verify
from tests.integration.sync.forward.support import Sides

SPAN = timedelta(hours=2)


def verify(sides: Sides, span: timedelta = SPAN) -> ReconcileResult:
    """Compare ledger rows that changed within a time."""
    return run_verify(sides.settings, VerifyRequest(span, 0.0, ("points_ledger",)), Silent())


def test_rows_from_the_future_are_told(sides: Sides) -> None:
    """A server whose clock is ahead wrote them: until then, scans do not see what the others write."""
    assert read_standing(sides.settings, sides.target, None).future == ()
    sides.target.execute("UPDATE sign_in SET updated_at = NOW(6) + INTERVAL 1 HOUR ORDER BY sign_in_id LIMIT 1")
    (found,) = read_standing(sides.settings, sides.target, None).future
    sides.target.execute("UPDATE sign_in SET updated_at = NOW(6)")
    sides.target.execute("UPDATE sign_in SET synced_at = updated_at, updated_at = updated_at")
    assert (found.table, found.count, found.ahead_s > 3000) == ("sign_in", 1, True)


def test_many_rows_are_compared_in_slices(sides: Sides, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many rows changed, only some are held at a time, and of those that differ only some are listed."""
    monkeypatch.setattr(compare_some, "SLICE_ROWS", 150)
    monkeypatch.setattr(compare_some, "PAGE_ROWS", 60)
    monkeypatch.setattr(compare_some, "MOST_KEPT", 3)
    ((rows,),) = sides.rows("SELECT COUNT(*) FROM points_ledger")
    # Times that are told apart, as rows that changed one after the other have.
    sides.target.execute("UPDATE points_ledger SET updated_at = TIMESTAMPADD(MINUTE, -MOD(entry_id, 97), NOW(6))")
    sides.target.execute("UPDATE points_ledger SET synced_at = updated_at, updated_at = updated_at")
    (table,) = verify(sides).tables
    assert (table.target_rows, table.differing) == (rows, 0)
    keys = [key for (key,) in sides.rows("SELECT entry_id FROM points_ledger ORDER BY entry_id LIMIT 8")]
    for key in keys:
        sides.target.execute("UPDATE points_ledger SET delta = delta + 1, updated_at = updated_at WHERE entry_id = %s", (key,))
    (table,) = verify(sides).tables
    assert (table.target_rows, table.differing) == (rows, 8)
    for key in keys:
        sides.target.execute("UPDATE points_ledger SET delta = delta - 1, updated_at = updated_at WHERE entry_id = %s", (key,))
    (few,) = verify(sides, timedelta(minutes=10)).tables
    assert 0 < few.target_rows < rows / 2
