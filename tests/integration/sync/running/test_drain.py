"""A fence: everything of a store has arrived, up to a mark, or it is said what has not and why."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from cli.app import run
from etl.errors import RefusedError, UsageError
from etl.names import SourceTable
from etl.progress import Silent
from etl.source.connect import open_source
from etl.sync.drain import NOBODY, DrainRequest, drain_store
from etl.sync.drain_left import OPEN, ReverseLeft
from etl.sync.mark import DatabaseMark, parse_mark, take_mark
from etl.sync.plan import plan_sync
from etl.sync.resync import ResyncRequest, run_resync
from etl.sync.throttle import THROTTLED
from tests.integration.sync.running.support import Shop, until


def a_store(shop: Shop) -> str:
    """Some store that sold something."""
    return str(shop.legacy("pos", "SELECT TOP (1) StoreCode FROM dbo.Sale ORDER BY SaleNo")[0][0])


def sell(shop: Shop, store: str) -> str:
    """A sale at a till of the legacy side; its number."""
    number = f"DRAIN-{next(shop.numbers)}"
    shop.legacy(
        "pos",
        "INSERT INTO dbo.Sale (SaleNo, StoreCode, CardNo, TillNo, SoldAt, Total, Discount, PayMethod) "
        f"VALUES ('{number}', '{store}', NULL, 1, '2024-05-01 10:00', 20, 0, 'CASH')",
    )
    return number


def sell_on_target(shop: Shop, store: str) -> str:
    """A sale at a till that has moved."""
    number = f"MOVED-{next(shop.numbers)}"
    shop.target.execute(
        "INSERT INTO sale (sale_no, channel, store_code, till_no, sold_at, status, total, discount, freight, paid, pay_method) "
        "VALUES (%s, 'pos', %s, 1, '2024-05-01 02:00:00', 'DONE', 20, 0, 0, 20, 'CASH')",
        (number, store),
    )
    return number


def test_up_to_a_mark_toward_the_target(shop: Shop) -> None:
    store = a_store(shop)
    number = sell(shop, store)
    text = take_mark(shop.settings, Silent()).text
    request = DrainRequest((store,), "target", 1.0, until=parse_mark(text))
    away = drain_store(shop.settings, request, Silent())
    assert (away.drained, away.held, away.mark) == (False, NOBODY, text)
    assert away.left["pos.dbo.Sale"] >= 1
    with shop.running():
        done = drain_store(shop.settings, replace(request, within_s=30), Silent())
        assert done.drained, done.left
        assert done.mark == text
        assert shop.rows("SELECT COUNT(*) FROM sale WHERE sale_no = %s", number) == [(1,)]


def test_a_throttle_that_holds_it_is_named(shop: Shop) -> None:
    store, file = a_store(shop), shop.settings.state_dir / "throttle"
    with shop.running():
        file.write_text("")
        try:
            until(
                lambda: drain_store(shop.settings, DrainRequest(("nowhere",), "target", 0.2), Silent()).held.startswith(THROTTLED)
            )
            sell(shop, store)
            held = drain_store(shop.settings, DrainRequest((store,), "target", 1.0), Silent())
            assert not held.drained
            assert held.held == f"{THROTTLED}file throttle"
            assert held.left == {"pos.dbo.Sale": 1}
        finally:
            file.unlink()
        assert drain_store(shop.settings, DrainRequest((store,), "target", 30.0), Silent()).drained


def noted(fence: ReverseLeft, shop: Shop) -> dict[str, int]:
    """What is left once nothing that began before the fence is open any more."""
    until(lambda: fence.look(shop.target) != {OPEN: 1}, look_s=0.3)  # MariaDB's list of transactions is renewed by itself only
    return fence.look(shop.target)


def test_toward_the_source_it_waits_for_what_was_there_and_for_nothing_later(shop: Shop) -> None:
    store = a_store(shop)
    number = sell_on_target(shop, store)
    mark = take_mark(shop.settings, Silent())
    with open_source(shop.settings.source) as source:
        plan = plan_sync(shop.settings, source, shop.target)
    fence = ReverseLeft(plan, (store,), mark.at_us)
    assert noted(fence, shop) == {"sale": 1}
    sell_on_target(shop, store)
    assert fence.look(shop.target) == {"sale": 1}
    shop.target.execute("UPDATE sale SET status = 'LATER' WHERE sale_no = %s", (number,))
    assert fence.look(shop.target) == {"sale": 1}  # written again, and still not sent
    with shop.running():
        shop.target.execute("UPDATE sale SET status = 'DONE' WHERE sale_no = %s", (number,))
        done = drain_store(shop.settings, DrainRequest((store,), "source", 30.0, until=mark), Silent())
        assert done.drained, done.left
    assert fence.look(shop.target) == {}
    assert shop.legacy("pos", f"SELECT COUNT(*) FROM dbo.Sale WHERE SaleNo = '{number}'") == [(1,)]


def test_another_stores_member_is_waited_for_too(shop: Shop) -> None:
    """A till of the store may have changed them."""
    ((member, store),) = shop.rows("SELECT member_id, store_code FROM member WHERE store_code IS NOT NULL LIMIT 1")
    shop.target.execute("UPDATE member SET points = points + 1 WHERE member_id = %s", (member,))
    mark = take_mark(shop.settings, Silent())
    with open_source(shop.settings.source) as source:
        plan = plan_sync(shop.settings, source, shop.target)
    fence = ReverseLeft(plan, (f"not {store}",), mark.at_us)
    assert noted(fence, shop) == {"member": 1}
    with shop.running():
        until(lambda: fence.look(shop.target) == {}, look_s=0.3)


@contextmanager
def untracked(shop: Shop, table: SourceTable) -> Iterator[None]:
    """The table without Change Tracking, begun anew; tracked again afterwards."""
    shop.legacy(table.database, f"ALTER TABLE {table.quoted} DISABLE CHANGE_TRACKING")
    try:
        run_resync(shop.settings, ResyncRequest((str(table),), execute=True), Silent())
        yield
    finally:
        shop.legacy(table.database, f"ALTER TABLE {table.quoted} ENABLE CHANGE_TRACKING")
        run_resync(shop.settings, ResyncRequest((str(table),), execute=True), Silent())


def test_a_table_without_change_tracking_is_waited_for_by_its_rowversion(shop: Shop) -> None:
    ((order, store),) = shop.legacy("ecom", "SELECT TOP (1) OrderNo, StoreCode FROM dbo.[Order] ORDER BY OrderNo")
    with untracked(shop, SourceTable("ecom", "dbo", "Order")):
        shop.legacy("ecom", f"UPDATE dbo.[Order] SET Status = 'LATE' WHERE OrderNo = {order}")
        mark = take_mark(shop.settings, Silent())
        request = DrainRequest((str(store),), "target", 1.0, until=mark)
        assert drain_store(shop.settings, request, Silent()).left["ecom.dbo.Order"] == 1
        with shop.running():
            done = drain_store(shop.settings, replace(request, within_s=30.0), Silent())
            assert done.drained, done.left
        assert shop.rows("SELECT status FROM sale WHERE sale_no = %s", f"E{order}") == [("LATE",)]


def test_marks_that_prove_nothing_are_refused(shop: Shop) -> None:
    mark = take_mark(shop.settings, Silent())
    for text in ("", "m1", mark.text[:-1], mark.text.replace("ct", "cx"), f"x{mark.text}"):
        with pytest.raises(UsageError):
            parse_mark(text)
    crm = mark.databases["crm"]
    assert crm.tracking is not None
    later = DatabaseMark(crm.tracking + 1, crm.row_version)
    for wrong in (
        replace(mark, databases={**mark.databases, "crm": later}),
        replace(mark, databases={**mark.databases, "crm": replace(crm, row_version=crm.row_version + 1)}),
        replace(mark, at_us=mark.at_us + 3_600_000_000),
        replace(mark, databases={"other": crm}),
    ):
        with pytest.raises(RefusedError):
            drain_store(shop.settings, DrainRequest(("S",), "target", 1.0, until=wrong), Silent())


def test_the_commands_hand_a_mark_on(shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As an operator does: a mark is printed, kept, and given back."""
    settings = shop.settings
    config = tmp_path / "membershift.toml"
    config.write_text(
        f"""
[source]
url = "{settings.source.url.get_secret_value()}"
databases = ["crm", "pos", "ecom"]
[target]
url = "{settings.target.url.get_secret_value()}"
schema = "{settings.target.schema_name}"
state_schema = "{settings.target.state_schema}"
"""
    )
    assert run(["sync", "mark", "--json", "--config", str(config)]) == 0
    text = json.loads(capsys.readouterr().out)["mark"]
    store = a_store(shop)
    sell(shop, store)
    drain = ["sync", "drain", "--store", store, "--config", str(config), "--within"]
    with shop.running():
        assert run([*drain, "30", "--until", text]) == 0
        assert text in capsys.readouterr().out.replace("\n", "")
    assert run([*drain, "1", "--json"]) in (0, 6)
    assert json.loads(capsys.readouterr().out)["held"] == NOBODY
