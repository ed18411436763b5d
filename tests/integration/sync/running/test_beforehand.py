"""Rows compared while stores sell: behind the fence only what changed since is looked at, and nothing that differs is missed."""

from __future__ import annotations

import pytest

from etl.errors import RefusedError
from etl.names import SourceTable
from etl.progress import Silent
from etl.sync import compare_stores
from etl.sync.beforehand import Baseline, compare_beforehand
from etl.sync.drain import DrainRequest, DrainResult, drain_store
from etl.sync.state import forward_name
from tests.integration.sync.running.support import Shop
from tests.integration.sync.running.test_drain import a_store, sell

SALES = SourceTable("pos", "dbo", "Sale")


def brought(shop: Shop, store: str) -> str:
    """A sale that is on both sides; its number."""
    number = sell(shop, store)
    with shop.running():
        done = drain_store(shop.settings, DrainRequest((store,), "target", 30.0), Silent())
    assert done.drained, done.left
    return number


def beforehand(shop: Shop, store: str, within_s: float = 60.0) -> Baseline:
    """What agrees."""
    found = compare_beforehand(shop.settings, (store,), within_s, 0.3, Silent())
    assert dict(found.differing) == {}
    return found


def fence(shop: Shop, store: str, baseline: Baseline | None) -> DrainResult:
    """Sync has ended, and is past everything."""
    return drain_store(shop.settings, DrainRequest((store,), "target", 5.0, 0.1, baseline=baseline), Silent())


def examined(done: DrainResult) -> dict[str, int]:
    """Rows of the target that were looked at behind the fence, by table."""
    assert done.compared is not None
    return {table.table: table.target_rows for table in done.compared.tables}


def take_back(shop: Shop, number: str) -> None:
    """The sale is gone from both sides."""
    shop.legacy("pos", f"DELETE FROM dbo.Sale WHERE SaleNo = '{number}'")
    shop.target.execute("DELETE FROM sale WHERE sale_no = %s", (number,))


def pass_over(shop: Shop) -> None:
    """Make sync believe that it has brought every sale."""
    shop.target.execute(
        f"UPDATE {shop.settings.target.state_schema}.sync_position SET position = %s WHERE name = %s",
        (shop.legacy("pos", "SELECT CHANGE_TRACKING_CURRENT_VERSION()")[0][0], forward_name(SALES)),
    )


def test_only_what_changed_since_is_compared_again(shop: Shop) -> None:
    """Stores would be closed for as long as all their rows take."""
    store = str(shop.rows("SELECT store_code FROM sale WHERE channel = 'pos' GROUP BY 1 ORDER BY COUNT(*) DESC LIMIT 1")[0][0])
    brought(shop, store)
    shop.target.execute("UPDATE sale SET updated_at = updated_at - INTERVAL 1 HOUR")  # they were loaded a moment ago
    baseline = beforehand(shop, store)
    whole = examined(fence(shop, store, None))
    assert baseline.rows["sale"] == whole["sale"] > 1
    brought(shop, store)
    done = fence(shop, store, baseline)
    assert done.drained, done.left
    assert examined(done)["sale"] < whole["sale"]
    assert examined(done).keys() == whole.keys()


def test_a_row_that_changed_on_the_target(shop: Shop) -> None:
    """It would go with the store as it is."""
    store = a_store(shop)
    number = brought(shop, store)
    baseline = beforehand(shop, store)
    shop.target.execute("UPDATE sale SET total = total + 1 WHERE sale_no = %s", (number,))
    done = fence(shop, store, baseline)
    assert (done.drained, dict(done.left)) == (False, {"sale": 1})
    shop.target.execute("UPDATE sale SET total = total - 1 WHERE sale_no = %s", (number,))
    assert fence(shop, store, baseline).drained


def test_a_row_that_vanished_from_the_target(shop: Shop) -> None:
    """Nothing on the target tells that it was ever there, but that it was seen."""
    store = a_store(shop)
    number = brought(shop, store)
    baseline = beforehand(shop, store)
    shop.target.execute("DELETE FROM sale WHERE sale_no = %s", (number,))
    done = fence(shop, store, baseline)
    assert (done.drained, dict(done.left)) == (False, {"sale": 1})
    take_back(shop, number)
    done = fence(shop, store, baseline)
    assert dict(done.left) == {str(SALES): 1}, "sync has not looked at the delete yet"


def test_a_row_that_sync_believes_to_have_brought(shop: Shop) -> None:
    """The comparison is there to doubt the stream."""
    store = a_store(shop)
    brought(shop, store)
    baseline = beforehand(shop, store)
    number = sell(shop, store)
    pass_over(shop)
    done = fence(shop, store, baseline)
    assert (done.drained, dict(done.left)) == (False, {"sale": 1})
    take_back(shop, number)


def test_a_row_that_has_left_the_store_on_the_legacy_side_alone(shop: Shop) -> None:
    """Asked for the store's own changes, the legacy side says nothing of it, and the target has it as it was."""
    store = a_store(shop)
    number = brought(shop, store)
    other = shop.rows("SELECT store_code FROM store WHERE store_code <> %s LIMIT 1", store)[0][0]
    baseline = beforehand(shop, store)
    shop.target.execute("UPDATE sale SET updated_at = updated_at - INTERVAL 1 HOUR")  # or it would be looked at for its time
    shop.legacy("pos", f"UPDATE dbo.Sale SET StoreCode = '{other}' WHERE SaleNo = '{number}'")
    pass_over(shop)
    done = fence(shop, store, baseline)
    assert (done.drained, dict(done.left)) == (False, {"sale": 1})
    take_back(shop, number)


def test_closed_stores_do_not_wait_for_a_comparison(shop: Shop) -> None:
    """Nothing would tell how long they stay closed: once it was two minutes, and the limit was one."""
    request = DrainRequest((a_store(shop),), "target", 5.0, 0.1, compared_within_s=0.01)
    with shop.running(), pytest.raises(RefusedError, match="could not be compared within") as caught:
        drain_store(shop.settings, request, Silent())
    assert "fence_limit_s" in caught.value.remedy


def test_many_changes_are_all_compared(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that changed are read page by page beside their changes, and none of them is left out."""
    store = a_store(shop)
    brought(shop, store)
    baseline = beforehand(shop, store)
    numbers = [sell(shop, store) for _ in range(7)]
    pass_over(shop)
    monkeypatch.setattr(compare_stores, "CHANGES", 2)
    done = fence(shop, store, baseline)
    assert (done.drained, dict(done.left)) == (False, {"sale": 7})
    for number in numbers:
        take_back(shop, number)


def test_without_time_what_changed_since_is_compared_all_the_same(shop: Shop) -> None:
    """Stores that go back do not wait for a comparison of years."""
    store = a_store(shop)
    brought(shop, store)
    baseline = compare_beforehand(shop.settings, (store,), 1e-9, 0.1, Silent())
    assert set(baseline.unfinished) >= {"sale", "member"}
    assert dict(baseline.rows) == {}
    number = brought(shop, store)
    shop.target.execute("UPDATE sale SET total = total + 1 WHERE sale_no = %s", (number,))
    assert dict(fence(shop, store, baseline).left) == {"sale": 1}
    shop.target.execute("UPDATE sale SET total = total - 1 WHERE sale_no = %s", (number,))
    assert fence(shop, store, baseline).drained
