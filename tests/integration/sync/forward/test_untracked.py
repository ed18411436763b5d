"""Tables without Change Tracking: told by their rowversion or a last-changed column, deletes by comparing keys."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from etl.errors import ConfigurationError
from etl.names import SourceTable
from etl.sync.forward.context import Limits
from etl.sync.forward.resync import resync_table
from tests.integration.sync.forward.support import Sides, following

ALWAYS = Limits(key_interval=timedelta(0), fetch_rows=50)


@contextmanager
def untracked(sides: Sides, table: SourceTable, clock: str | None = None) -> Iterator[Sides]:
    """The table without Change Tracking, begun anew; tracked again afterwards."""
    last_changed = {} if clock is None else {table: clock}
    sides.legacy(table.database, f"ALTER TABLE {table.quoted} DISABLE CHANGE_TRACKING")
    try:
        with following(sides.settings, sides.shop, limits=ALWAYS, last_changed=last_changed) as found:
            resync_table(found.context, table)
            yield found
    finally:
        sides.legacy(table.database, f"ALTER TABLE {table.quoted} ENABLE CHANGE_TRACKING")
        with following(sides.settings, sides.shop) as found:
            resync_table(found.context, table)


def test_a_rowversion_tells_changes(sides: Sides) -> None:
    ((order,), (gone,)) = sides.legacy("ecom", "SELECT TOP (2) OrderNo FROM dbo.[Order] ORDER BY OrderNo")
    with untracked(sides, SourceTable("ecom", "dbo", "Order")) as both:
        first = both.run("ecom").get("sale")
        assert first is None or first.written == 0
        both.legacy("ecom", f"UPDATE dbo.[Order] SET Status = 'LATE' WHERE OrderNo = {order}")
        assert both.run("ecom")["sale"].written == 1
        assert both.rows("SELECT status FROM sale WHERE sale_no = %s", f"E{order}") == [("LATE",)]
        before = both.rows("SELECT COUNT(*) FROM sale")[0][0]
        both.legacy("ecom", f"DELETE FROM dbo.[Order] WHERE OrderNo = {gone}")
        assert both.run("ecom")["sale"].deleted == 1
        assert both.rows("SELECT COUNT(*) FROM sale") == [(before - 1,)]
        assert both.rows("SELECT 1 FROM sale WHERE sale_no = %s", f"E{gone}") == []


def test_records_of_members_that_are_gone_are_found(sides: Sides) -> None:
    with untracked(sides, SourceTable("pos", "dbo", "PosMember")) as both:
        both.legacy(
            "pos", "INSERT INTO dbo.PosMember (CardNo, Name, JoinedOn, UpdatedAt) VALUES ('U-1', 'u', '2024-01-02', '2024-01-02')"
        )
        assert both.run("pos")["member"].written == 1
        ((member,),) = both.rows("SELECT member_id FROM member_source WHERE source_id = 'U-1'")
        both.legacy("pos", "DELETE FROM dbo.PosMember WHERE CardNo = 'U-1'")
        assert both.run("pos")["member"].deleted == 1
        assert both.rows("SELECT 1 FROM member WHERE member_id = %s", member) == []


def test_a_last_changed_column_tells_changes_with_an_overlap(sides: Sides) -> None:
    table = SourceTable("crm", "dbo", "CouponEvent")
    ((event, at),) = sides.legacy("crm", "SELECT TOP (1) CouponEventId, EventAt FROM dbo.CouponEvent ORDER BY EventAt DESC")
    with untracked(sides, table, "EventAt") as both:
        both.run("crm")
        earlier = (at - timedelta(minutes=2)).isoformat(timespec="milliseconds")
        both.legacy("crm", f"UPDATE dbo.CouponEvent SET Event = 'LATE', EventAt = '{earlier}' WHERE CouponEventId = {event}")
        both.context.looked.clear()
        done = both.run("crm")["coupon_event"]
        assert done.written == 1
        assert both.rows("SELECT event FROM coupon_event WHERE coupon_event_id = %s", event) == [("LATE",)]


def test_a_table_that_nothing_tells_of_is_refused_by_name(sides: Sides) -> None:
    table = SourceTable("ecom", "dbo", "OrderLine")
    with pytest.raises(ConfigurationError, match=r"ecom\.dbo\.OrderLine"), untracked(sides, table):
        pass
