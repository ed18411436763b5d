"""Ledger entries, sales and the like: inserted once, under the key that either side gives."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from etl.source.errors import ServerError
from etl.sync.reverse import attempt, statements, write_back
from etl.sync.reverse.legacy_tables import entries_by_target
from tests.integration.sync.reverse.support import Bridge, somebody

CHINA = timezone(timedelta(hours=8))
LEDGER = (
    "INSERT INTO points_ledger (entry_id, member_id, delta, reason, ref_no, store_code, note, occurred_at, origin, origin_id) "
    "VALUES (%s, %s, %s, 'PURCHASE', %s, 'S0001', %s, '2026-11-11 12:00:00.123456', 'tidb', %s)"
)
SALE = (
    "INSERT INTO sale (sale_no, channel, store_code, member_id, till_no, sold_at, status, total, discount, freight, paid, "
    "pay_method) VALUES (%s, 'pos', 'S0001', %s, 3, '2026-11-11 12:00:00.5', %s, 10.5, 0.5, %s, %s, 'WX')"
)
ORDER = (
    "INSERT INTO sale (sale_no, channel, store_code, member_id, sold_at, sold_at_offset, status, total, discount, freight, "
    "paid, utm_source) VALUES (%s, 'ecom', 'S0001', %s, '2026-11-11 12:00:00.123456', %s, 'PAID', 10.5, 0, 2, 12.5, '微信')"
)
LINE = "INSERT INTO sale_line (sale_no, line_no, product_id, quantity, unit_price, amount) VALUES (%s, %s, 1, %s, 7, 10.5)"


def member_of(bridge: Bridge, origin: str, at: int = 0) -> int:
    """A member of one legacy record."""
    return int(bridge.target("SELECT member_id FROM member WHERE origin = %s ORDER BY member_id", origin)[at][0])


def earn(bridge: Bridge, member: int, delta: int = 5, note: str | None = "双十一") -> int:
    """A ledger entry written on the target."""
    entry = bridge.own_id()
    bridge.target(LEDGER, entry, member, delta, f"R{entry}", note, f"o{entry}")
    return entry


def numbers(bridge: Bridge, part: str, *entries: int) -> dict[str, str]:
    """What these rows were numbered on the legacy side."""
    return entries_by_target(bridge.source, "crm", part, map(str, entries))


def test_entries_get_their_numbers_in_order_and_only_once(bridge: Bridge) -> None:
    member = member_of(bridge, "crm")
    entries = [earn(bridge, member, delta) for delta in (1, 2, 3)]
    first = bridge.bring("points_ledger", note=False)
    again = bridge.bring("points_ledger")  # what a crash before any note on the target leaves is found, not inserted again
    assert (first.inserted, again.inserted, again.unchanged) == (3, 0, 3)
    assert bridge.bring("points_ledger") == type(first)()
    noted = numbers(bridge, "points_ledger/crm", *entries)
    rows = bridge.legacy(
        "SELECT EntryId, MemberId, Delta, Reason, Note, CreatedAt FROM crm.dbo.PointsLedger "
        f"WHERE RefNo IN ('R{entries[0]}', 'R{entries[1]}', 'R{entries[2]}') ORDER BY Delta"
    )
    at = datetime(2026, 11, 11, 20, 0, 0, 123_000)
    assert rows == [(int(noted[str(entry)]), member, delta, "PURCHASE", "双十一", at) for delta, entry in enumerate(entries, 1)]
    assert bridge.target("SELECT occurred_at, origin FROM points_ledger WHERE entry_id = %s", entries[0]) == [
        (datetime(2026, 11, 11, 12, 0, 0, 123_000), "tidb")
    ]


def test_writes_carry_our_context(bridge: Bridge) -> None:
    entry = earn(bridge, member_of(bridge, "crm"))
    bridge.bring("points_ledger")
    number = numbers(bridge, "points_ledger/crm", entry)[str(entry)]
    changes = bridge.legacy(
        f"SELECT c.SYS_CHANGE_CONTEXT FROM CHANGETABLE(CHANGES crm.dbo.PointsLedger, 0) AS c WHERE c.EntryId = {number}"
    )
    assert changes == [(b"membershift\x00",)]


def test_a_table_with_triggers_is_numbered_row_by_row(bridge: Bridge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_back, "has_triggers", lambda session, table: True)
    entries = [earn(bridge, member_of(bridge, "crm"), delta) for delta in (7, 8)]
    assert bridge.bring("points_ledger").inserted == 2
    for delta, number in zip((7, 8), numbers(bridge, "points_ledger/crm", *entries).values(), strict=True):
        assert bridge.legacy(f"SELECT Delta FROM crm.dbo.PointsLedger WHERE EntryId = {number}") == [(delta,)]


def test_triggers_that_the_login_may_not_see(bridge: Bridge, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQL Server refuses OUTPUT without INTO there (error 334), and nothing has told before."""
    many = statements.insert_numbered

    def refused(*given: Any) -> str:
        raise ServerError("OUTPUT is refused.", "", number=334)

    monkeypatch.setattr(statements, "insert_numbered", refused)
    entry = earn(bridge, member_of(bridge, "crm"), 9)
    result = bridge.bring("points_ledger")
    assert (result.inserted, result.dead) == (1, [])
    assert many is not statements.insert_numbered
    assert len(numbers(bridge, "points_ledger/crm", entry)) == 1


def test_every_other_identity_table(bridge: Bridge) -> None:
    member, key = member_of(bridge, "crm"), bridge.own_id()
    bridge.target("INSERT INTO sign_in (sign_in_id, member_id, signed_at, channel) "
                  "VALUES (%s, %s, '2026-11-11 15:59:59.9', 'APP')", key, member)  # fmt: skip
    bridge.target("INSERT INTO tier_history (tier_history_id, member_id, from_tier, to_tier, reason, changed_at) "
                  "VALUES (%s, %s, NULL, 'GOLD', '升级', '2026-11-11 16:00:00')", key, member)  # fmt: skip
    bridge.target("INSERT INTO coupon_event (coupon_event_id, coupon_id, member_id, event, sale_no, amount, occurred_at) "
                  "VALUES (%s, 1, %s, 'USE', 'S1', 5.25, '2026-11-11 16:00:00')", key, member)  # fmt: skip
    results = [bridge.bring(name) for name in ("sign_in", "tier_history", "coupon_event")]
    assert [(result.inserted, result.dead) for result in results] == [(1, [])] * 3
    one = "SELECT TOP (1) {} FROM crm.dbo.{} ORDER BY 1 DESC"
    # Rounded before it is cut in two, and told: a time(0) has no tenths.
    signed = bridge.legacy(one.format("SignInId, SignDate, SignTime", "SignIn"))
    assert signed[0][1:] == (date(2026, 11, 12), time(0))
    assert results[0].echoes == {str(key): {"signed_at": datetime(2026, 11, 11, 16)}}
    history = bridge.legacy(one.format("TierHistoryId, FromTier, ToTier, Reason", "TierHistory"))
    assert history[0][1:] == (None, 2, "升级")
    used = bridge.legacy(one.format("CouponEventId, Event, Amount", "CouponEvent"))
    assert used[0][1:] == ("USE", Decimal("5.2500"))


def test_a_sale_keeps_its_number(bridge: Bridge) -> None:
    holder = member_of(bridge, "pos")
    bridge.target(SALE, "SA1", holder, "DONE", 0, 10)
    bridge.target(SALE, "SA2", None, "DONE", 0, 10)
    bridge.target(LINE, "SA1", 1, "1.5")
    bridge.target(LINE, "SA1", 2, "2.125")
    assert (bridge.bring("sale", note=False).inserted, bridge.bring("sale").inserted) == (2, 0)
    assert bridge.bring("sale_line").inserted == 2
    card = bridge.target("SELECT source_id FROM member_source WHERE source = 'pos' AND member_id = %s", holder)[0][0]
    rows = bridge.legacy(
        "SELECT SaleNo, CardNo, SoldAt, Paid, PayMethod FROM pos.dbo.Sale WHERE SaleNo LIKE 'SA_' ORDER BY SaleNo"
    )
    at = datetime(2026, 11, 11, 20, 0, 0, 500_000)
    assert rows == [("SA1", card, at, Decimal("10.0000"), "WX  "), ("SA2", None, at, Decimal("10.0000"), "WX  ")]
    assert bridge.legacy("SELECT [LineNo], Quantity FROM pos.dbo.SaleLine WHERE SaleNo = 'SA1' ORDER BY [LineNo]") == [
        (1, Decimal("1.500")), (2, Decimal("2.125")),
    ]  # fmt: skip


def test_an_order_goes_to_the_shop_by_the_beginning_of_its_number(bridge: Bridge) -> None:
    buyer = member_of(bridge, "ecom")
    bridge.target(ORDER, "E990001", buyer, 480)
    bridge.target(ORDER, "E990002", buyer, None)
    bridge.target(LINE, "E990001", 1, "2")
    result = bridge.bring("sale")
    assert (result.inserted, bridge.bring("sale_line").inserted) == (2, 1)
    at = datetime(2026, 11, 11, 20, 0, 0, 123_456, tzinfo=CHINA)
    assert bridge.legacy("SELECT PlacedAt, Total, Freight, UtmSource FROM ecom.dbo.[Order] WHERE OrderNo = 990001") == [
        (at, Decimal("10.50"), Decimal("2.00"), "微信")
    ]
    # Nobody said which offset the second one was given in: it has the zone's, and the target is told.
    assert result.echoes["E990002"] == {"sold_at_offset": 480}
    assert bridge.target("SELECT sold_at_offset FROM sale WHERE sale_no = 'E990002'") == [(480,)]
    assert bridge.legacy("SELECT Quantity FROM ecom.dbo.OrderLine WHERE OrderNo = 990001") == [(2,)]
    bridge.target("UPDATE sale SET status = 'DONE' WHERE sale_no = 'E990001'")
    assert bridge.bring("sale").written == 1
    assert bridge.legacy("SELECT Status FROM ecom.dbo.[Order] WHERE OrderNo = 990001") == [("DONE",)]


def test_a_sale_by_a_member_without_a_card_makes_the_card_first(bridge: Bridge) -> None:
    member = member_of(bridge, "crm", 3)
    bridge.target(SALE, "SB1", member, "DONE", 0, 10)
    bridge.target(ORDER, "E990101", member, 480)
    assert (bridge.bring("sale", note=False).inserted, bridge.bring("sale").inserted) == (2, 0)
    assert bridge.legacy("SELECT CardNo FROM pos.dbo.Sale WHERE SaleNo = 'SB1'") == [(f"T{member}",)]
    card = bridge.legacy(f"SELECT Name, Phone, JoinedOn FROM pos.dbo.PosMember WHERE CardNo = 'T{member}'")
    name, phone = bridge.target("SELECT name, phone FROM member WHERE member_id = %s", member)[0]
    assert card[0][:2] == (name, None if phone is None else phone.removeprefix("+86"))
    links = bridge.target("SELECT source, linked_by FROM member_source WHERE member_id = %s ORDER BY source", member)
    assert links == [("crm", "load"), ("ecom", "sync"), ("pos", "sync")]
    accounts = bridge.legacy(
        "SELECT a.Username FROM ecom.dbo.[Order] AS o JOIN ecom.dbo.Account AS a ON a.AccountId = o.AccountId "
        "WHERE o.OrderNo = 990101"
    )
    assert len(accounts[0][0]) == 36  # a column that nobody knows what to put in has the row's own key


def test_what_a_legacy_row_cannot_say_is_told_and_not_written(bridge: Bridge) -> None:
    member = member_of(bridge, "pos")
    bridge.target(SALE, "SC1", member, "REFUNDED", 0, 10)
    bridge.target(SALE, "SC2", member, "DONE", 3, 13)
    bridge.target(SALE, "SC3", member, "DONE", 0, 9)  # not what total and discount come to
    bridge.target(SALE, "sc4", member, "DONE", 0, 10)  # a number is kept in upper case
    bridge.target(SALE, "SC5" + "x" * 22, member, "DONE", 0, 10)
    bridge.target(SALE.replace("'S0001'", "NULL"), "SC6", member, "DONE", 0, 10)
    bridge.target(LINE, "EX1", 1, "1")  # no order, since behind the E stands no number: a sale of the tills
    result = bridge.bring("sale")
    assert {letter.key: letter.reason for letter in result.dead} == {
        "SC1": "cannot_hold", "SC2": "cannot_hold", "SC3": "not_reversible", "sc4": "not_reversible",
        "SC5" + "x" * 22: "too_long", "SC6": "null_not_allowed",
    }  # fmt: skip
    assert not any("REFUNDED" in letter.detail for letter in result.dead)
    assert bridge.legacy("SELECT COUNT(*) FROM pos.dbo.Sale WHERE SaleNo LIKE 'SC%'") == [(0,)]
    bridge.bring("sale_line")
    assert bridge.legacy("SELECT COUNT(*) FROM pos.dbo.SaleLine WHERE SaleNo = 'EX1'") == [(1,)]


def test_a_poisoned_row_stands_alone(bridge: Bridge) -> None:
    bridge.legacy("ALTER TABLE crm.dbo.PointsLedger ADD CONSTRAINT CK_Delta CHECK (Delta < 100000)")
    try:
        good = [earn(bridge, member_of(bridge, "crm"), 1) for _ in range(60)]
        bad = earn(bridge, member_of(bridge, "crm"), 100_000)
        more = [earn(bridge, member_of(bridge, "crm"), 1) for _ in range(39)]
        result = bridge.bring("points_ledger")
        assert (result.inserted, [(letter.key, letter.reason) for letter in result.dead]) == (
            99,
            [(str(bad), "refused_by_server")],
        )
        assert set(numbers(bridge, "points_ledger/crm", bad, *good, *more)) == set(map(str, good + more))
    finally:
        bridge.legacy("ALTER TABLE crm.dbo.PointsLedger DROP CONSTRAINT CK_Delta")


def test_what_does_not_fit_is_a_dead_letter(bridge: Bridge) -> None:
    member = member_of(bridge, "crm")
    emoji, long_reason, absent = bridge.own_id(), bridge.own_id(), earn(bridge, 77_777_777_777)
    insert = "INSERT INTO tier_history (tier_history_id, member_id, to_tier, reason, changed_at) VALUES (%s, %s, %s, %s, %s)"
    now = datetime(2026, 11, 11, 12)
    bridge.target(insert, emoji, member, "GOLD", "升级\U0001f600", now)
    bridge.target(insert, long_reason, member, "GOLD", "升" * 26, now)
    bridge.target(insert, early := bridge.own_id(), member, "GOLD", "x", datetime(1700, 1, 1))
    bridge.target(insert, unknown := bridge.own_id(), member, "DIAMOND", "x", now)
    result = bridge.bring("tier_history")
    assert {int(letter.key): letter.reason for letter in result.dead} == {
        emoji: "not_in_code_page", long_reason: "too_long", early: "out_of_range", unknown: "no_inverse",
    }  # fmt: skip
    (found,) = (letter for letter in result.dead if int(letter.key) == long_reason)
    assert found.detail == "Reason (varchar(50)) holds 50 bytes, 52 needed"
    assert [(int(letter.key), letter.reason) for letter in bridge.bring("points_ledger").dead] == [(absent, "unknown_member")]


def test_a_lost_connection_at_commit_is_harmless(bridge: Bridge, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = earn(bridge, member_of(bridge, "crm"))
    real = write_back.write_batch

    def committed_but_nobody_heard(*arguments: object) -> None:
        real(*arguments)  # type: ignore[arg-type]  # whatever attempt passes on
        raise ServerError("lost", "try again", number=20047, transient=True)

    monkeypatch.setattr(attempt, "write_batch", committed_but_nobody_heard)
    assert bridge.bring("points_ledger").later == {str(entry): "lost"}
    monkeypatch.undo()
    assert bridge.bring("points_ledger").done == {str(entry)}
    assert bridge.legacy(f"SELECT COUNT(*) FROM crm.dbo.PointsLedger WHERE RefNo = 'R{entry}'") == [(1,)]


def test_a_row_that_somebody_else_changed_waits_for_forward(bridge: Bridge) -> None:
    bridge.target(SALE, "SD1", None, "DONE", 0, 10)
    bridge.bring("sale")
    version = int(bridge.source.scalar("SELECT CHANGE_TRACKING_CURRENT_VERSION()", database="pos"))
    positions = {bridge.plan.table("sale").plan.parts[0].part.source: version}
    bridge.target("UPDATE sale SET pay_method = 'CARD' WHERE sale_no = 'SD1'")
    bridge.legacy("UPDATE pos.dbo.Sale SET TillNo = 9 WHERE SaleNo = 'SD1'")
    assert bridge.bring("sale", positions=positions).later == {"SD1": "pending"}
    newer = {source: version + 1 for source, version in positions.items()}
    assert bridge.bring("sale", positions=newer).done == {"SD1"}
    assert bridge.legacy("SELECT PayMethod, TillNo FROM pos.dbo.Sale WHERE SaleNo = 'SD1'") == [("CARD", 3)]


def test_two_at_once_insert_a_row_once(bridge: Bridge, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [earn(bridge, member_of(bridge, "crm"), delta) for delta in (1, 2)]
    real, met = attempt.locate, list[bool]()

    def the_other_is_faster(*arguments: Any) -> Any:
        found = real(*arguments)
        if not met:
            met.append(True)
            assert bridge.bring("points_ledger", note=False).inserted == 2
        return found

    monkeypatch.setattr(attempt, "locate", the_other_is_faster)
    result = bridge.bring("points_ledger")
    assert (result.done, result.dead, result.later) == (set(map(str, entries)), [], {})
    listed = ", ".join(f"'R{entry}'" for entry in entries)
    assert bridge.legacy(f"SELECT COUNT(*) FROM crm.dbo.PointsLedger WHERE RefNo IN ({listed})") == [(2,)]


def test_a_place_that_somebody_holds_stops_no_other(bridge: Bridge) -> None:
    for number in range(4):
        bridge.target(SALE, f"SE{number}", None, "DONE", 0, 10)
    with somebody(bridge) as session:
        session.execute(
            "BEGIN TRAN; INSERT INTO pos.dbo.Sale (SaleNo, StoreCode, TillNo, SoldAt, Total) "
            "VALUES ('SE2', 'S1', 1, GETDATE(), 1)"
        )
        result = bridge.bring("sale", lock_wait_ms=100)
        session.execute("ROLLBACK TRAN")
    assert (result.later, result.inserted) == ({"SE2": "locked"}, 3)
    assert bridge.bring("sale").done == {"SE2"}


def test_when_everything_is_refused_it_is_no_matter_of_rows(bridge: Bridge) -> None:
    bridge.legacy("ALTER TABLE crm.dbo.SignIn ADD CONSTRAINT CK_Never CHECK (SignDate < '2026-12-24')")
    try:
        member = member_of(bridge, "crm")
        for _ in range(20):
            bridge.target(
                "INSERT INTO sign_in (sign_in_id, member_id, signed_at, channel) VALUES (%s, %s, '2026-12-24', 'APP')",
                bridge.own_id(), member,
            )  # fmt: skip
        with pytest.raises(ServerError) as caught:
            bridge.bring("sign_in", batch_rows=5)
        assert caught.value.number == 547
    finally:
        bridge.legacy("ALTER TABLE crm.dbo.SignIn DROP CONSTRAINT CK_Never")
