"""Members: changed on the target, born there, of several legacy records; and consents, which both sides change too."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from pydantic import SecretStr

from etl.reconcile.merged import read_survive
from etl.source.connect import open_source
from etl.sync.base import RowBase, read_bases, write_bases
from etl.sync.capture.sweep import sweep_dirty
from etl.sync.conflicts import HIDDEN, list_conflicts
from etl.sync.digest import digest
from etl.sync.reverse.delete import delete_rows
from etl.sync.reverse.images import Tools, read_images
from etl.sync.reverse.legacy_tables import entries_by_target, missing_rights, read_returned
from etl.sync.reverse.locate import locate_members
from etl.sync.reverse.model import ReverseContext
from etl.sync.reverse.records import Records
from etl.sync.reverse.round import open_page
from etl.sync.reverse.write_back import transaction
from tests.integration.sync.reverse.support import READER, Bridge, somebody

SINGLE = (
    "SELECT m.member_id FROM member m JOIN member_source s ON s.member_id = m.member_id WHERE m.origin = %s "
    "GROUP BY m.member_id HAVING COUNT(*) = 1 ORDER BY m.member_id LIMIT 1 OFFSET %s"
)
BORN = (
    "INSERT INTO member (member_id, name, name_key, phone, tier, points, balance, registered_at, origin) "
    "VALUES (%s, %s, %s, %s, 'GOLD', %s, 1.5, '2026-11-11 12:00:00.123456', 'tidb')"
)


def single(bridge: Bridge, origin: str, at: int) -> int:
    """A member of one legacy record; each test takes another."""
    return int(bridge.target(SINGLE, origin, at)[0][0])


def crm(bridge: Bridge, member: int, columns: str) -> tuple[Any, ...]:
    """A row of crm.dbo.Member."""
    return bridge.legacy(f"SELECT {columns} FROM crm.dbo.Member WHERE MemberId = {member}")[0]


def test_a_change_reaches_the_legacy_row_and_nothing_else_of_it(bridge: Bridge) -> None:
    member = single(bridge, "crm", 0)
    before = crm(bridge, member, "Phone, Birthday, Points, CreatedAt")
    bridge.target(
        "UPDATE member SET name = '欧阳大明', name_key = '欧阳大明', gender = 'F', tier = 'PLATINUM' WHERE member_id = %s", member
    )
    result = bridge.bring("member")
    assert (result.written, result.done, result.dead) == (1, {str(member)}, [])
    assert crm(bridge, member, "Name, Gender, Tier") == ("欧阳大明", "F", 3)
    assert crm(bridge, member, "Phone, Birthday, Points, CreatedAt") == before
    changed_at = bridge.target("SELECT legacy_updated_at, updated_at FROM member WHERE member_id = %s", member)[0]
    (legacy,) = crm(bridge, member, "DATEADD(hour, -8, UpdatedAt)")
    assert changed_at[0] == legacy  # the legacy clock says when the target changed it, to a 300th of a second
    assert abs((changed_at[1] - legacy).total_seconds()) < 0.004
    assert bridge.bring("member").done == set()


def test_spellings_of_the_legacy_side_stay(bridge: Bridge) -> None:
    member = single(bridge, "crm", 1)
    bridge.legacy(
        f"UPDATE crm.dbo.Member SET Gender = '女', Name = '　王 小美　', Phone = '139-1234-5678' WHERE MemberId = {member}"
    )
    bridge.target("UPDATE member SET gender = 'F', name = '王 小美', name_key = '王小美', phone = '+8613912345678', "
                  "address = '新路1号' WHERE member_id = %s", member)  # fmt: skip
    bridge.bring("member")
    assert crm(bridge, member, "Gender, Phone") == ("女", "139-1234-5678")


def test_counters_add_from_both_sides(bridge: Bridge) -> None:
    member = single(bridge, "crm", 2)
    (points,) = crm(bridge, member, "Points")
    for gain, loss in ((7, 3), (-2, 10)):
        bridge.target("UPDATE member SET points = points + %s, balance = balance + 1.25 WHERE member_id = %s", gain, member)
        bridge.legacy(f"UPDATE crm.dbo.Member SET Points = Points - {loss} WHERE MemberId = {member}")
        bridge.bring("member", note=False)
        bridge.bring("member")  # again adds nothing
    assert crm(bridge, member, "Points") == (points + 5 - 13,)
    returned = read_returned(bridge.source, "crm", "member/crm", [str(member)])
    assert returned == {str(member): {"points": Decimal(5), "balance": Decimal("2.5")}}


def test_a_column_that_both_sides_changed_is_held(bridge: Bridge) -> None:
    member = single(bridge, "crm", 3)
    bridge.legacy(f"UPDATE crm.dbo.Member SET Email = 'legacy@example.com' WHERE MemberId = {member}")
    bridge.target("UPDATE member SET email = 'target@example.com', address = '南京路2号' WHERE member_id = %s", member)
    result = bridge.bring("member")
    assert (result.held, result.done) == ({str(member): ("email",)}, set())
    assert crm(bridge, member, "Email, Address") == ("legacy@example.com", "南京路2号")
    table = bridge.plan.table("member")
    base = read_bases(bridge.work, bridge.plan.state_schema, "member", table.kept, [str(member)])[str(member)]
    assert base.hashes["address"] == digest("南京路2号")
    assert base.hashes["email"] != digest("target@example.com")


def test_a_member_born_on_the_target_gets_a_row_once(bridge: Bridge) -> None:
    member = bridge.own_id()
    bridge.target(BORN, member, "李新", "李新", "+8613900001111", 5)
    first = bridge.bring("member", note=False)
    bridge.target("DELETE FROM member_source WHERE member_id = %s", member)  # killed before the crosswalk was written
    again = bridge.bring("member")
    assert (first.born, again.born, again.done) == (1, 0, {str(member)})
    (number,) = entries_by_target(bridge.source, "crm", "member/crm", [str(member)]).values()
    assert crm(bridge, int(number), "Name, Phone, Tier, Points, Balance") == ("李新", "13900001111", 2, 5, Decimal("1.5"))
    links = bridge.target("SELECT source, source_id, linked_by FROM member_source WHERE member_id = %s", member)
    assert links == [("crm", number, "sync")]
    # What it was born with is the target's part of its counters, and is not added again.
    bridge.target("UPDATE member SET points = points + 1, name = '李更新', name_key = '李更新' WHERE member_id = %s", member)
    assert bridge.bring("member").written == 1
    assert crm(bridge, int(number), "Name, Points") == ("李更新", 6)
    assert bridge.target("SELECT origin FROM member WHERE member_id = %s", member) == [("tidb",)]
    assert bridge.legacy("SELECT COUNT(*) FROM crm.dbo.Member WHERE Phone = '13900001111'") == [(1,)]


def test_entries_of_somebody_just_born_may_come_first(bridge: Bridge) -> None:
    member, entry = bridge.own_id(), bridge.own_id()
    bridge.target(BORN, member, "吴早", "吴早", None, 12)
    bridge.target("INSERT INTO points_ledger (entry_id, member_id, delta, reason, occurred_at, origin, origin_id) "
                  "VALUES (%s, %s, 12, 'PURCHASE', NOW(6), 'tidb', %s)", entry, member, str(entry))  # fmt: skip
    assert bridge.bring("points_ledger").done == {str(entry)}
    (number,) = entries_by_target(bridge.source, "crm", "member/crm", [str(member)]).values()
    (row,) = entries_by_target(bridge.source, "crm", "points_ledger/crm", [str(entry)]).values()
    assert bridge.legacy(f"SELECT MemberId FROM crm.dbo.PointsLedger WHERE EntryId = {row}") == [(int(number),)]
    assert crm(bridge, int(number), "Name, Points") == ("吴早", 0)  # its points are its own row's to bring
    result = bridge.bring("member")
    assert (result.born, result.done) == (0, {str(member)})
    assert crm(bridge, int(number), "Points, Balance") == (12, Decimal("1.5"))


def test_points_of_somebody_with_but_a_card_get_a_record_of_their_own(bridge: Bridge) -> None:
    member = single(bridge, "pos", 0)
    bridge.target("UPDATE member SET points = points + 9, email = 'card@example.com' WHERE member_id = %s", member)
    assert bridge.bring("member").done == {str(member)}
    (number,) = entries_by_target(bridge.source, "crm", "member/crm", [str(member)]).values()
    assert crm(bridge, int(number), "Points, Email") == (9, "card@example.com")
    bridge.target("UPDATE member SET points = points - 4 WHERE member_id = %s", member)
    assert (bridge.bring("member").inserted, crm(bridge, int(number), "Points")) == (0, (5,))


def test_a_change_of_a_merged_person_reaches_every_record(bridge: Bridge) -> None:
    member, card, account = single(bridge, "crm", 4), single(bridge, "pos", 1), single(bridge, "ecom", 1)
    bridge.target("UPDATE member_source SET member_id = %s WHERE member_id IN (%s, %s)", member, card, account)
    bridge.target("UPDATE member SET merged_into = %s WHERE member_id IN (%s, %s)", member, card, account)
    bridge.settle()
    names = {"phone": "+8613712345678", "name": "张三丰", "name_key": "张三丰", "address": "天桥路8号"}
    sets = ", ".join(f"{column} = %s" for column in names)
    (points,) = bridge.target("SELECT points FROM member WHERE member_id = %s", member)[0]
    bridge.target(f"UPDATE member SET {sets}, points = points + 3 WHERE member_id = %s", *names.values(), member)
    align(bridge, member, {*names, "points"})
    result = bridge.bring("member")
    assert (result.dead, result.held, result.done) == ([], {}, {str(member)})
    assert crm(bridge, member, "Name, Phone, Address, Points") == ("张三丰", "13712345678", "天桥路8号", points + 3)
    ids = dict(bridge.target("SELECT source, source_id FROM member_source WHERE member_id = %s", member))
    assert bridge.legacy(f"SELECT Name, Phone, Address FROM pos.dbo.PosMember WHERE CardNo = '{ids['pos']}'") == [
        ("张三丰", "13712345678", "天桥路8号")
    ]
    assert bridge.legacy(f"SELECT RealName, Phone FROM ecom.dbo.Account WHERE AccountId = '{ids['ecom']}'") == [
        ("张三丰", "13712345678")
    ]


@pytest.mark.parametrize("also_here", [False, True])
def test_a_change_still_to_come_is_not_hidden_by_another_record(bridge: Bridge, also_here: bool) -> None:
    """A till noted a new phone, and before it came over the member's mail address changed on the target: writing that to another
    of their records made the old phone the most recent one, and the new one was gone. `also_here`: the target has another phone
    by then, too: a conflict, which forward can only see while both are there."""
    member, card = single(bridge, "crm", 6), single(bridge, "pos", 3)
    bridge.target("UPDATE member_source SET member_id = %s WHERE member_id = %s", member, card)
    bridge.target("UPDATE member SET merged_into = %s WHERE member_id = %s", member, card)
    (number,) = bridge.target("SELECT source_id FROM member_source WHERE member_id = %s AND source = 'pos'", member)[0]
    bridge.legacy(f"UPDATE pos.dbo.PosMember SET Phone = '13900001111' WHERE CardNo = '{number}'")
    bridge.legacy(f"UPDATE crm.dbo.Member SET Phone = '13900001111' WHERE MemberId = {member}")
    bridge.target("UPDATE member SET phone = '+8613900001111' WHERE member_id = %s", member)
    bridge.settle()
    align(bridge, member, {"email"})
    bridge.legacy(f"UPDATE pos.dbo.PosMember SET Phone = '13900002222', UpdatedAt = '2026-01-02 03:04' WHERE CardNo = '{number}'")
    phone = "+8613900003333" if also_here else "+8613900001111"
    bridge.target("UPDATE member SET email = 'new@example.com', phone = %s WHERE member_id = %s", phone, member)
    result = bridge.bring("member")
    assert result.dead == []
    assert ("phone" in result.held.get(str(member), ())) is also_here
    assert "phone" not in result.settled.get(str(member), ())
    assert crm(bridge, member, "Email, Phone") == ("new@example.com", "13900002222")
    assert image_of(bridge, member)["phone"] == "+8613900002222"


def with_hidden_phone(bridge: Bridge, at: int, column: str) -> int:
    """A till noted a new phone in one record, then another one touched the person's other record, whose older phone counts from
    then on. Both sides agree, but for what `column` will say."""
    member, card = single(bridge, "crm", at), single(bridge, "pos", at - 3)
    bridge.target("UPDATE member_source SET member_id = %s WHERE member_id = %s", member, card)
    bridge.target("UPDATE member SET merged_into = %s WHERE member_id = %s", member, card)
    (number,) = bridge.target("SELECT source_id FROM member_source WHERE member_id = %s AND source = 'pos'", member)[0]
    sets = "SET Phone = '13900001111', UpdatedAt"
    bridge.legacy(f"UPDATE pos.dbo.PosMember {sets} = '2026-01-02 03:04' WHERE CardNo = '{number}'")
    bridge.legacy(f"UPDATE crm.dbo.Member SET Phone = '13900002222', UpdatedAt = '2026-01-01' WHERE MemberId = {member}")
    bridge.target("UPDATE member SET phone = '+8613900001111' WHERE member_id = %s", member)
    bridge.settle()
    align(bridge, member, {column})
    return member


def test_what_stood_behind_another_record_is_on_record(bridge: Bridge) -> None:
    """A change on the target makes the first record the most recent one again: it gets the member's phone, and what it had was
    gone without a trace."""
    member = with_hidden_phone(bridge, 7, "email")
    bridge.target("UPDATE member SET email = 'new@example.com' WHERE member_id = %s", member)
    result = bridge.bring("member")
    assert (result.dead, result.done) == ([], {str(member)})
    assert crm(bridge, member, "Email, Phone") == ("new@example.com", "13900001111")
    (kept,) = [one for one in list_conflicts(bridge.work, bridge.plan.state_schema, every=True) if one.key == str(member)]
    assert (kept.table, kept.rule, kept.winner, kept.settled_by) == ("member", HIDDEN, "target", "sync")
    assert "phone" in kept.columns
    assert (kept.source["phone"], kept.target["phone"]) == ("+8613900002222", "+8613900001111")


def test_points_replace_nothing_in_the_record_that_takes_them(bridge: Bridge) -> None:
    """Each sale on the target made the record that counts points the most recent one, and cost it what only it knew."""
    member = with_hidden_phone(bridge, 8, "points")
    (points,) = crm(bridge, member, "Points")
    bridge.target("UPDATE member SET points = points + 3 WHERE member_id = %s", member)
    result = bridge.bring("member")
    assert (result.dead, result.done) == ([], {str(member)})
    assert crm(bridge, member, "Points, Phone") == (points + 3, "13900002222")
    assert [one for one in list_conflicts(bridge.work, bridge.plan.state_schema, every=True) if one.key == str(member)] == []


@pytest.mark.parametrize("at", ["12:00:10.123", "12:00:50.121", "12:00:00"])
def test_a_card_that_counts_minutes_does_not_move_the_registration(bridge: Bridge, at: str) -> None:
    """The earliest registration survives: a new card of the till, rounded down, would be earlier than the member."""
    member, number = bridge.own_id(), bridge.own_id()
    bridge.target(BORN.replace("12:00:00.123456", at), member, "陈卡", "陈卡", None, 0)
    bridge.bring("member")
    bridge.target("INSERT INTO sale (sale_no, channel, store_code, member_id, till_no, sold_at, status, total, discount, "
                  "freight, paid, pay_method) VALUES (%s, 'pos', 'S0001', %s, 3, '2026-11-11 12:00', 'DONE', 10, 0, 0, 10, 'WX')",
                  f"C{number}", member)  # fmt: skip
    assert bridge.bring("sale").inserted == 1
    ids = dict(bridge.target("SELECT source, source_id FROM member_source WHERE member_id = %s", member))
    assert sorted(ids) == ["crm", "pos"]
    ((registered,),) = bridge.target("SELECT registered_at FROM member WHERE member_id = %s", member)
    assert image_of(bridge, member)["registered_at"] == registered


def test_a_sum_that_does_not_fit_stops_nobody_else(bridge: Bridge) -> None:
    """Two records of one person, whose balances together have a digit too many: nothing can be said of that member alone."""
    rich, again, other = single(bridge, "crm", 11), single(bridge, "crm", 12), single(bridge, "crm", 13)
    bridge.target("UPDATE member_source SET member_id = %s WHERE member_id = %s", rich, again)
    bridge.target("UPDATE member SET merged_into = %s WHERE member_id = %s", rich, again)
    bridge.settle()
    both = f"WHERE MemberId IN ({rich}, {again})"
    old = bridge.legacy(f"SELECT MAX(Balance) FROM crm.dbo.Member {both}")[0][0]
    bridge.legacy(f"UPDATE crm.dbo.Member SET Balance = 900000000000000 {both}")
    bridge.target("UPDATE member SET address = '南京路7号' WHERE member_id IN (%s, %s)", rich, other)
    result = bridge.bring("member")
    assert [(letter.key, letter.reason) for letter in result.dead] == [(str(rich), "legacy_row_refused")]
    assert result.done == {str(other)}
    assert crm(bridge, other, "Address") == ("南京路7号",)
    bridge.legacy(f"UPDATE crm.dbo.Member SET Balance = {old} {both}")


def image_of(bridge: Bridge, member: int) -> dict[str, Any]:
    """What all legacy records of a member make of it together."""
    table = bridge.plan.table("member")
    bridge.settle()
    bridge.target("UPDATE member SET synced_at = NULL WHERE member_id = %s", member)
    page = open_page(ReverseContext(bridge.plan, bridge.source, bridge.work, read_survive(bridge.settings)), table, {})
    (dirty,) = list(sweep_dirty(bridge.apply, bridge.plan.schema, table, 1000))
    with transaction(bridge.source, 1000) as session:
        located = locate_members(session, table, page.inverses, dirty.rows, Records(bridge.work, bridge.plan.schema))
        tools = Tools(page.records.lookup, {}, page.context.survive)
        frames = [place.frame for place in located.places]
        return read_images(table.plan, located.places, frames, dirty.rows["member_id"], tools).rows[0]


def align(bridge: Bridge, member: int, changed: set[str]) -> None:
    """What both sides have in common of a member that was merged just now: what its golden record says of the other columns."""
    table, image = bridge.plan.table("member"), image_of(bridge, member)
    sets = {name: value for name, value in image.items() if name not in changed and name != "member_id"}
    bridge.target(f"UPDATE member SET {', '.join(f'{name} = %s' for name in sets)} WHERE member_id = %s", *sets.values(), member)
    added = {"points": Decimal(image["points"]), "balance": Decimal(image["balance"])}
    base = RowBase({name: digest(image[name]) for name in table.kept}, added)
    with bridge.work.transaction():
        write_bases(bridge.work, bridge.plan.state_schema, "member", table.kept, {str(member): base})


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("name", "很" * 21, "too_long"),
        ("name", "王\U0001f600", "not_in_code_page"),
        ("name", "\U00020bb7野", "not_in_code_page"),
        ("birthday", "1752-12-31", "out_of_range"),
        ("registered_at", "1600-01-01", "out_of_range"),
        ("points", 2**40, "out_of_range"),
        ("balance", "922337203685478", "out_of_range"),
        ("tier", "DIAMOND", "no_inverse"),
        ("name", "王先生", "not_reversible"),  # a title says something
        ("birthday", "1900-01-01", "not_reversible"),  # a sentinel: it would come back as no birthday at all
    ],
)
def test_what_does_not_fit_is_not_written_at_all(bridge: Bridge, column: str, value: object, reason: str) -> None:
    member = single(bridge, "crm", 5)
    before = crm(bridge, member, "Name, Email, Points, RowVer")
    old = bridge.target(f"SELECT {column}, email FROM member WHERE member_id = %s", member)[0]
    bridge.target(f"UPDATE member SET {column} = %s, email = 'new@example.com' WHERE member_id = %s", value, member)
    result = bridge.bring("member")
    bridge.target(f"UPDATE member SET {column} = %s, email = %s WHERE member_id = %s", *old, member)
    assert [(letter.key, letter.reason) for letter in result.dead] == [(str(member), reason)]
    assert str(value) not in result.dead[0].detail
    assert crm(bridge, member, "Name, Email, Points, RowVer") == before


def test_a_locked_row_waits_and_stops_no_other(bridge: Bridge) -> None:
    locked, free = single(bridge, "crm", 6), single(bridge, "crm", 7)
    bridge.target("UPDATE member SET address = '北京路3号' WHERE member_id IN (%s, %s)", locked, free)
    with somebody(bridge) as session:
        session.execute(f"BEGIN TRAN; UPDATE crm.dbo.Member SET Points = Points WHERE MemberId = {locked}")
        result = bridge.bring("member")
        session.execute("ROLLBACK TRAN")
    assert (result.later, result.done) == ({str(locked): "locked"}, {str(free)})
    assert bridge.bring("member").done == {str(locked)}


def test_consents_go_both_ways(bridge: Bridge) -> None:
    member, new = single(bridge, "crm", 8), bridge.own_id()
    bridge.target("INSERT INTO consent (consent_id, member_id, kind, granted, source, granted_at, evidence) "
                  "VALUES (%s, %s, 'SMS', 1, 'APP', '2026-11-11 12:00:00.1239', '<a>同意</a>')", new, member)  # fmt: skip
    bridge.target("INSERT INTO consent (consent_id, member_id, kind, granted, source, granted_at, evidence) "
                  "VALUES (%s, %s, 'SMS', 1, 'APP', NOW(6), '<a>')", bad := bridge.own_id(), member)  # fmt: skip
    bridge.target("UPDATE consent SET granted = 1 - granted WHERE consent_id = 1")
    (granted,) = bridge.legacy("SELECT Granted FROM crm.dbo.Consent WHERE ConsentId = 1")[0]
    result = bridge.bring("consent")
    assert (result.inserted, result.written) == (1, 1)
    assert [(letter.key, letter.reason) for letter in result.dead] == [(str(bad), "not_xml")]
    assert bridge.legacy("SELECT Granted FROM crm.dbo.Consent WHERE ConsentId = 1") == [(not granted,)]
    (number,) = entries_by_target(bridge.source, "crm", "consent/crm", [str(new)]).values()
    row = bridge.legacy(f"SELECT Granted, GrantedAt, Evidence FROM crm.dbo.Consent WHERE ConsentId = {number}")[0]
    assert (row[0], row[1].isoformat(), row[2]) == (True, "2026-11-11T20:00:00.124000+08:00", "<a>同意</a>")


def test_deleted_rows_are_deleted_unless_somebody_changed_them(bridge: Bridge) -> None:
    member, keys = single(bridge, "crm", 8), [bridge.own_id(), bridge.own_id()]
    for key in keys:
        bridge.target("INSERT INTO sign_in (sign_in_id, member_id, signed_at, channel) VALUES (%s, %s, '2026-11-11', 'APP')",
                      key, member)  # fmt: skip
    bridge.bring("sign_in")
    noted = entries_by_target(bridge.source, "crm", "sign_in/crm", map(str, keys))
    version = int(bridge.source.scalar("SELECT CHANGE_TRACKING_CURRENT_VERSION()", database="crm"))
    bridge.legacy(f"UPDATE crm.dbo.SignIn SET Channel = 'POS' WHERE SignInId = {noted[str(keys[1])]}")
    table = bridge.plan.table("sign_in")
    positions = {table.plan.parts[0].part.source: version}
    context = ReverseContext(bridge.plan, bridge.source, bridge.work, read_survive(bridge.settings), positions)
    result = delete_rows(context, table, map(str, keys))
    assert (result.done, result.later) == ({str(keys[0])}, {str(keys[1]): "pending"})
    numbers = ", ".join(noted.values())
    assert bridge.legacy(f"SELECT SignInId FROM crm.dbo.SignIn WHERE SignInId IN ({numbers})") == [(int(noted[str(keys[1])]),)]
    assert entries_by_target(bridge.source, "crm", "sign_in/crm", [str(keys[0])]) == {}
    assert delete_rows(context, table, [str(keys[0])]).done == {str(keys[0])}


def test_a_row_that_cannot_be_deleted_stops_no_other(bridge: Bridge) -> None:
    """Other rows refer to it (error 547): it is kept as a letter, and the rest of its batch is gone."""
    member, keys = single(bridge, "crm", 8), [bridge.own_id() for _ in range(3)]
    for key in keys:
        bridge.target("INSERT INTO sign_in (sign_in_id, member_id, signed_at, channel) VALUES (%s, %s, '2026-11-11', 'APP')",
                      key, member)  # fmt: skip
    bridge.bring("sign_in")
    noted = entries_by_target(bridge.source, "crm", "sign_in/crm", map(str, keys))
    refers = "Id int NOT NULL PRIMARY KEY, SignInId bigint NOT NULL REFERENCES dbo.SignIn (SignInId)"
    with somebody(bridge) as session:
        session.execute(f"USE crm; CREATE TABLE dbo.Refers ({refers})")
        session.execute(f"INSERT INTO dbo.Refers (Id, SignInId) VALUES (1, {noted[str(keys[1])]})")
        context = ReverseContext(bridge.plan, bridge.source, bridge.work, read_survive(bridge.settings))
        result = delete_rows(context, bridge.plan.table("sign_in"), map(str, keys))
        session.execute("DROP TABLE dbo.Refers")
    found = [(one.key, one.reason) for one in result.dead]
    assert (result.done, found) == ({str(keys[0]), str(keys[2])}, [(str(keys[1]), "delete_refused")])


def test_a_login_that_only_reads_is_told_what_to_grant(bridge: Bridge) -> None:
    assert missing_rights(bridge.source, bridge.plan) == ()
    url = bridge.settings.source.url.get_secret_value().replace("sa:", f"{READER}:")
    with open_source(bridge.settings.source.model_copy(update={"url": SecretStr(url)})) as reader:
        plan = replace(bridge.plan, settings=bridge.settings.model_copy(update={"source": reader.settings}))
        grants = missing_rights(reader, plan)
    assert "USE [crm]; GRANT INSERT, UPDATE, DELETE ON [crm].[dbo].[Member] TO [reader]" in grants
    assert "USE [pos]; GRANT INSERT, UPDATE, DELETE ON [pos].[dbo].[membershift_row] TO [reader]" in grants
    assert not any("Campaign" in grant for grant in grants)  # nothing is written back there
