"""Tables that one side makes and the other copies: ledgers, sales, campaigns."""

from __future__ import annotations

from etl.sync.forward.context import Limits
from tests.integration.sync.forward.support import Sides, following

LEDGER = "INSERT INTO dbo.PointsLedger (MemberId, Delta, Reason, CreatedAt) VALUES ({member}, {delta}, 'TEST', '2024-05-01')"


def some_member(sides: Sides) -> int:
    """A member of crm."""
    ((found,),) = sides.rows("SELECT MIN(source_id + 0) FROM member_source WHERE source = 'crm'")
    return int(found)


def test_ledger_rows_come_over_in_step(sides: Sides) -> None:
    member = some_member(sides)
    before = sides.position("crm.dbo.PointsLedger")[0]
    sides.legacy("crm", LEDGER.format(member=member, delta=17), LEDGER.format(member=member, delta=-3))
    done = sides.run("crm")["points_ledger"]
    assert (done.written, done.deleted, done.conflicts, done.dead) == (2, 0, 0, 0)
    found = sides.rows(
        "SELECT delta, member_id, synced_at <=> updated_at FROM points_ledger WHERE reason = 'TEST' ORDER BY delta"
    )
    assert found == [(-3, member, 1), (17, member, 1)]
    assert sides.position("crm.dbo.PointsLedger")[0] > before
    assert "points_ledger" not in sides.run("crm")


def test_updates_deletes_and_codes_as_keys(sides: Sides) -> None:
    ((number, store),) = sides.legacy("pos", "SELECT TOP (1) SaleNo, StoreCode FROM dbo.Sale ORDER BY SaleNo")
    sides.legacy(
        "pos",
        f"UPDATE dbo.Sale SET Total = Total + 5 WHERE SaleNo = '{number}'",
        "INSERT INTO dbo.Sale (SaleNo, StoreCode, CardNo, TillNo, SoldAt, Total, Discount, PayMethod) "
        f"VALUES ('ZZ-1', '{store}', 'NOBODY-1', 1, '2024-05-01T10:00:00', 20, 1, 'CASH')",
        "INSERT INTO dbo.SaleLine (SaleNo, [LineNo], ProductId, Quantity, UnitPrice, Amount) VALUES ('ZZ-1', 1, 1, 2, 10, 20), "
        "('ZZ-1', 2, 1, 2, 10, 20)",
    )
    done = sides.run("pos")
    assert (done["sale"].written, done["sale_line"].written) == (2, 2)
    assert sides.rows("SELECT member_id, paid, total FROM sale WHERE sale_no = 'ZZ-1'") == [(None, 19, 20)]
    assert sides.in_step("sale", "sale_no = 'ZZ-1'")
    sides.legacy(
        "pos", "DELETE FROM dbo.SaleLine WHERE SaleNo = 'ZZ-1' AND [LineNo] = 2", "DELETE FROM dbo.Sale WHERE SaleNo = 'ZZ-1'"
    )
    done = sides.run("pos")
    assert (done["sale"].deleted, done["sale_line"].deleted) == (1, 1)
    assert sides.rows("SELECT line_no FROM sale_line WHERE sale_no = 'ZZ-1'") == [(1,)]


def test_our_own_writes_do_not_come_back(sides: Sides) -> None:
    own = "WITH CHANGE_TRACKING_CONTEXT (0x6D656D626572736869667400) "
    sides.legacy("crm", own + LEDGER.format(member=some_member(sides), delta=99).replace("TEST", "OWN"))
    done = sides.run("crm")["points_ledger"]
    assert (done.own, done.written) == (1, 0)
    assert sides.rows("SELECT 1 FROM points_ledger WHERE reason = 'OWN'") == []


def test_a_row_born_on_the_target_keeps_its_key(sides: Sides) -> None:
    """Reverse inserted it; then somebody changed it on the legacy side."""
    member = some_member(sides)
    sides.target.execute(
        "INSERT INTO points_ledger (entry_id, member_id, delta, reason, occurred_at, origin, origin_id) "
        "VALUES (9000000001, %s, 4, 'BORN', '2024-05-01', 'crm', 'x1')",
        (member,),
    )
    sides.target.execute("UPDATE points_ledger SET synced_at = updated_at, updated_at = updated_at WHERE reason = 'BORN'")
    ((entry,),) = sides.legacy("crm", LEDGER.format(member=member, delta=4), "SELECT MAX(EntryId) FROM dbo.PointsLedger")
    sides.legacy(
        "crm",
        f"INSERT INTO dbo.membershift_row (part, target_key, legacy_key) VALUES ('points_ledger/crm', '9000000001', '{entry}')",
        f"UPDATE dbo.PointsLedger SET Delta = 5 WHERE EntryId = {entry}",
    )
    assert sides.run("crm")["points_ledger"].written == 1
    assert sides.rows("SELECT entry_id FROM points_ledger WHERE delta = 5 AND entry_id IN (%s, 9000000001)", entry) == [
        (9000000001,)
    ]
    sides.legacy("crm", f"DELETE FROM dbo.PointsLedger WHERE EntryId = {entry}")
    assert sides.run("crm")["points_ledger"].deleted == 1


def test_a_dirty_row_is_left_alone_and_kept_as_a_conflict(sides: Sides) -> None:
    ((number,),) = sides.legacy("pos", "SELECT MAX(SaleNo) FROM dbo.Sale")
    sides.target.execute("UPDATE sale SET pay_method = 'T' WHERE sale_no = %s", (number,))
    sides.legacy("pos", f"UPDATE dbo.Sale SET TillNo = 77 WHERE SaleNo = '{number}'")
    before = sides.state("SELECT COUNT(*) FROM {s}.sync_conflict")[0][0]
    done = sides.run("pos")["sale"]
    assert (done.written, done.conflicts) == (0, 1)
    ((columns, winner),) = sides.state(f"SELECT column_names, winner FROM {{s}}.sync_conflict WHERE conflict_id > {before}")
    assert (columns, winner) == ("till_no, pay_method", "target")
    assert sides.rows("SELECT pay_method FROM sale WHERE sale_no = %s AND till_no <> 77", number) == [("T",)]
    sides.legacy("pos", f"DELETE FROM dbo.Sale WHERE SaleNo = '{number}'")
    assert sides.run("pos")["sale"].conflicts == 1
    assert sides.rows("SELECT 1 FROM sale WHERE sale_no = %s", number) == [(1,)]


def test_the_source_rules_its_own_tables(sides: Sides) -> None:
    ((code,),) = sides.legacy("pos", "SELECT MIN(StoreCode) FROM dbo.Store")
    sides.target.execute("UPDATE store SET city = 'Elsewhere' WHERE store_code = %s", (code,))
    sides.legacy("pos", f"UPDATE dbo.Store SET City = N'上海' WHERE StoreCode = '{code}'")
    done = sides.run("pos")["store"]
    assert (done.written, done.conflicts) == (1, 1)
    assert sides.rows("SELECT city FROM store WHERE store_code = %s", code) == [("上海",)]
    assert sides.in_step("store", f"store_code = '{code}'")


def test_unique_values_may_change_hands(sides: Sides) -> None:
    """Codes of two campaigns are exchanged, far apart; a third takes over the code of one that is deleted."""
    sides.legacy(
        "crm",
        *(
            "INSERT INTO dbo.Campaign (Code, Name, StartsAt, EndsAt) "
            f"VALUES ('SWAP-{letter}', N'{letter}', '2024-01-01', '2024-02-01')"
            for letter in "ABCD"
        ),
    )
    sides.run("crm")
    sides.legacy(
        "crm",
        "UPDATE dbo.Campaign SET Code = 'SWAP-X' WHERE Name = N'A'",
        "UPDATE dbo.Campaign SET Code = 'SWAP-A' WHERE Name = N'B'",
        "UPDATE dbo.Campaign SET Code = 'SWAP-B' WHERE Name = N'A'",
        "UPDATE dbo.Campaign SET Code = 'SWAP-Y' WHERE Name = N'D'",
        "UPDATE dbo.Campaign SET Code = 'SWAP-D' WHERE Name = N'C'",
        "DELETE FROM dbo.Campaign WHERE Name = N'D'",
    )
    with following(sides.settings, sides.shop, limits=Limits(page_rows=1)) as small:
        done = small.run("crm")["campaign"]
    assert done.dead == 0
    found = dict(sides.rows("SELECT name, code FROM campaign WHERE name IN ('A', 'B', 'C', 'D')"))
    assert found == {"A": "SWAP-B", "B": "SWAP-A", "C": "SWAP-D"}


def test_what_the_mapping_refuses_waits_in_quarantine(sides: Sides) -> None:
    ledger = LEDGER.format(member=999_999, delta=1)
    ((entry,),) = sides.legacy("crm", ledger, "SELECT MAX(EntryId) FROM dbo.PointsLedger")
    assert sides.run("crm")["points_ledger"].dead == 1
    where = f"mapping_part = 'points_ledger/crm' AND source_key = '{entry}'"
    assert sides.state(f"SELECT reason FROM {{s}}.reject WHERE {where} AND settled_at IS NULL") == [("unknown_member",)]
    sides.legacy("crm", f"UPDATE dbo.PointsLedger SET MemberId = {some_member(sides)} WHERE EntryId = {entry}")
    assert sides.run("crm")["points_ledger"].written == 1
    assert sides.state(f"SELECT 1 FROM {{s}}.reject WHERE {where} AND settled_at IS NULL") == []
