"""Members and consents, which both sides change: merged by column, golden where several legacy records are one person."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import polars as pl
import pytest

from etl.sync.base import read_bases, write_bases
from etl.sync.digest import digest
from etl.sync.forward import both
from etl.sync.forward.gather_members import gather_members
from etl.sync.forward.round import forward_round
from etl.sync.forward.wanted import Wanted
from etl.sync.forward.work import Work
from tests.integration.sync.forward.support import Sides, following

CARD = (
    "INSERT INTO dbo.PosMember (CardNo, Name, Phone, JoinedOn, UpdatedAt) "
    "VALUES ('{card}', '{name}', '{phone}', '2024-01-02', '{at}')"
)
OURS = "WITH CHANGE_TRACKING_CONTEXT (0x6D656D626572736869667400)"
PERSON = (
    "INSERT INTO dbo.Member (Name, Phone, Tier, Points, Balance, CreatedAt, UpdatedAt) "
    "VALUES ('{name}', '{phone}', 1, {points}, 2.5, '2024-01-02', '2024-01-02')"
)


@pytest.fixture
def member(sides: Sides) -> int:
    """A new member of crm, with 10 points, on both sides."""
    ((found,),) = sides.legacy(
        "crm", PERSON.format(name="李雷", phone="13900001111", points=10), "SELECT MAX(MemberId) FROM dbo.Member"
    )
    assert sides.run("crm")["member"].written == 1
    return int(found)


def one(sides: Sides, member: int, *columns: str) -> tuple[object, ...]:
    """Columns of a member."""
    (found,) = sides.rows(f"SELECT {', '.join(columns)} FROM member WHERE member_id = %s", member)
    return found


def test_a_newcomer_keeps_its_id_and_gets_an_entry(sides: Sides, member: int) -> None:
    assert one(sides, member, "name", "points", "synced_at <=> updated_at") == ("李雷", 10, 1)
    entry = sides.rows("SELECT member_id, linked_by FROM member_source WHERE source = 'crm' AND source_id = %s", str(member))
    assert entry == [(member, "sync")]


def test_newcomers_of_the_till_get_new_ids_once(sides: Sides) -> None:
    for card in ("F-1", "F-2"):
        sides.legacy("pos", CARD.format(card=card, name="x", phone="13900002222", at="2024-01-02"))
    assert sides.run("pos")["member"].written == 2
    ids = [row[0] for row in sides.rows("SELECT member_id FROM member_source WHERE source_id IN ('F-1', 'F-2')")]
    assert len(set(ids)) == 2
    assert min(ids) >= 2**32
    sides.legacy("pos", "UPDATE dbo.PosMember SET Phone = '13900003333' WHERE CardNo = 'F-1'")
    assert sides.run("pos")["member"].written == 1
    ((phone,),) = sides.rows("SELECT m.phone FROM member m JOIN member_source s USING (member_id) WHERE s.source_id = 'F-1'")
    assert phone.endswith("13900003333")


def test_each_side_keeps_the_columns_it_changed(sides: Sides, member: int) -> None:
    sides.target.execute("UPDATE member SET email = 'a@b.cn', points = points + 7 WHERE member_id = %s", (member,))
    sides.legacy("crm", f"UPDATE dbo.Member SET Points = Points + 5, StoreCode = 'S001' WHERE MemberId = {member}")
    done = sides.run("crm")["member"]
    assert (done.written, done.conflicts) == (1, 0)
    assert one(sides, member, "email", "points", "store_code") == ("a@b.cn", 22, "S001")
    assert not sides.in_step("member", f"member_id = {member}")
    assert sides.run("crm") == {}
    sides.legacy("crm", f"UPDATE dbo.Member SET Points = Points + 1 WHERE MemberId = {member}")
    sides.run("crm")
    assert one(sides, member, "points") == (23,)


def test_counters_know_what_reverse_has_added(sides: Sides, member: int) -> None:
    """Reverse brought 7 points of the target to the legacy side: they are not added again."""
    sides.target.execute("UPDATE member SET points = points + 7 WHERE member_id = %s", (member,))
    sides.legacy(
        "crm",
        "INSERT INTO dbo.membershift_counter (part, legacy_key, column_name, total) "
        f"VALUES ('member/crm', '{member}', 'points', 7)",
        f"{OURS} UPDATE dbo.Member SET Points = Points + 7 WHERE MemberId = {member}",
    )
    assert sides.run("crm")["member"].own == 1
    assert one(sides, member, "points", "synced_at <=> updated_at") == (17, 1)
    bases = read_bases(sides.target, sides.settings.target.state_schema, "member", (), [str(member)])
    assert bases[str(member)].added["points"] == Decimal(10)


@pytest.mark.parametrize(("at", "name", "winner"), [("2031-01-01", "韩梅", "source"), ("2024-02-02", "梅梅", "target")])
def test_the_latest_wins_a_conflict(sides: Sides, member: int, at: str, name: str, winner: str) -> None:
    sides.target.execute("UPDATE member SET name = '梅梅' WHERE member_id = %s", (member,))
    sides.legacy("crm", f"UPDATE dbo.Member SET Name = N'韩梅', UpdatedAt = '{at}' WHERE MemberId = {member}")
    assert sides.run("crm")["member"].conflicts >= 1
    assert one(sides, member, "name") == (name,)
    images = "SELECT winner, source_image, target_image FROM {s}.sync_conflict"
    found = sides.state(f"{images} WHERE row_key = '{member}' AND column_names LIKE '%name%'")
    assert found[0][0] == winner
    assert "韩梅" in found[0][1]
    assert "梅梅" in found[0][2]
    assert sides.in_step("member", f"member_id = {member}") is (winner == "source")


def test_a_record_that_is_gone_takes_its_member_along(sides: Sides, member: int) -> None:
    sides.legacy("crm", f"DELETE FROM dbo.Member WHERE MemberId = {member}")
    assert sides.run("crm")["member"].deleted == 1
    assert sides.rows("SELECT 1 FROM member WHERE member_id = %s", member) == []
    assert sides.rows("SELECT 1 FROM member_source WHERE source = 'crm' AND source_id = %s", str(member)) == []
    assert sides.state(f"SELECT 1 FROM {{s}}.sync_base WHERE row_key = '{member}'") == []


def test_a_member_that_changed_here_outlives_its_record(sides: Sides, member: int) -> None:
    sides.target.execute("UPDATE member SET name = '在' WHERE member_id = %s", (member,))
    sides.legacy("crm", f"DELETE FROM dbo.Member WHERE MemberId = {member}")
    done = sides.run("crm")["member"]
    assert (done.deleted, done.conflicts) == (0, 1)
    assert one(sides, member, "name") == ("在",)


def test_a_known_person_is_matched_and_made_golden(sides: Sides, member: int) -> None:
    """A card of a member of crm: deduplication knows who it is. Then each record is gone in turn."""

    def match(part: str, newcomers: pl.DataFrame) -> pl.Series:
        assert (part, newcomers["CardNo"].to_list()) == ("member/pos", ["G-1"])
        return pl.Series([member], dtype=pl.Int64)

    sides.legacy("pos", CARD.format(card="G-1", name="李雷", phone="13900001111", at="2029-01-02"))
    with following(sides.settings, sides.shop, match=match) as matching:
        assert matching.run("pos")["member"].written == 1
    assert one(sides, member, "points", "balance", "synced_at <=> updated_at") == (10, Decimal("2.5"), 1)
    entries = sides.rows("SELECT source, linked_by FROM member_source WHERE member_id = %s ORDER BY source", member)
    assert entries == [("crm", "dedupe"), ("pos", "dedupe")]
    events = sides.state(f"SELECT kind, system FROM {{s}}.merge_event WHERE member_id = {member} ORDER BY event_id")
    assert events == [("create", "crm"), ("merge", "pos")]
    sides.legacy("pos", "UPDATE dbo.PosMember SET Address = N'上海', UpdatedAt = '2030-01-02' WHERE CardNo = 'G-1'")
    assert sides.run("pos")["member"].written == 1
    assert one(sides, member, "address") == ("上海",)
    sides.legacy("crm", f"UPDATE dbo.Member SET Points = 30 WHERE MemberId = {member}")
    sides.run("crm")
    assert one(sides, member, "points", "address") == (30, "上海")
    sides.legacy("crm", f"DELETE FROM dbo.Member WHERE MemberId = {member}")
    sides.run("crm")
    assert one(sides, member, "points", "address", "origin") == (0, "上海", "pos")
    sides.legacy("pos", "DELETE FROM dbo.PosMember WHERE CardNo = 'G-1'")
    assert sides.run("pos")["member"].deleted == 1


def test_rows_may_come_before_their_member(sides: Sides) -> None:
    """The ledger is read before the member's own change: the member is brought in for it."""
    ((member,),) = sides.legacy(
        "crm", PERSON.format(name="早", phone="13900004444", points=1), "SELECT MAX(MemberId) FROM dbo.Member"
    )
    sides.legacy(
        "crm",
        f"INSERT INTO dbo.PointsLedger (MemberId, Delta, Reason, CreatedAt) VALUES ({member}, 1, 'EARLY', '2024-05-01')",
    )
    plan = sides.context.plan
    members_last = tuple(sorted(plan.tables, key=lambda table: table.name == "member"))
    turned = replace(sides.context, plan=replace(plan, tables=members_last))
    done = forward_round(turned, "crm")
    assert (done["points_ledger"].written, done["points_ledger"].dead) == (1, 0)
    assert sides.rows("SELECT member_id FROM points_ledger WHERE reason = 'EARLY'") == [(member,)]


def test_consents_taken_back_on_either_side_are_taken_back(sides: Sides) -> None:
    ((first,), (second,)) = sides.legacy("crm", "SELECT TOP (2) ConsentId FROM dbo.Consent WHERE Granted = 1 ORDER BY ConsentId")
    sides.target.execute("UPDATE consent SET granted = 0 WHERE consent_id = %s", (first,))
    sides.target.execute("UPDATE consent SET kind = 'T' WHERE consent_id = %s", (second,))
    sides.legacy(
        "crm",
        f"UPDATE dbo.Consent SET Source = 'X' WHERE ConsentId = {first}",
        f"UPDATE dbo.Consent SET Granted = 0 WHERE ConsentId = {second}",
    )
    assert sides.run("crm")["consent"].conflicts == 1
    found = "SELECT granted, source, kind FROM consent WHERE consent_id = %s"
    assert sides.rows(found, first)[0][0] == 0
    assert sides.rows(found, first)[0][1] != "X"  # by whom and how it was given belongs to the answer that stands
    assert sides.rows(found, second)[0][::2] == (0, "T")


def test_a_row_that_reverse_wrote_meanwhile_is_not_set_back(sides: Sides, member: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forward has read the legacy row; then reverse brings the target's new name to it, and notes it as common to both."""
    sides.legacy("crm", f"UPDATE dbo.Member SET StoreCode = 'S002' WHERE MemberId = {member}")
    sides.target.execute("UPDATE member SET name = '新名' WHERE member_id = %s", (member,))
    gather = gather_members
    state, table = sides.settings.target.state_schema, sides.context.plan.table("member")

    def gather_then_reverse(work: Work, changes: pl.DataFrame) -> Wanted:
        wanted = gather(work, changes)
        sides.legacy("crm", f"{OURS} UPDATE dbo.Member SET Name = N'新名' WHERE MemberId = {member}")
        base = read_bases(sides.target, state, "member", table.kept, [str(member)])[str(member)]
        with sides.target.transaction():
            hashes = {**base.hashes, "name": digest("新名"), "name_key": digest(one(sides, member, "name_key")[0])}
            common = replace(base, hashes=hashes)
            write_bases(sides.target, state, "member", table.kept, {str(member): common})
            mark = "UPDATE member SET synced_at = updated_at, updated_at = updated_at WHERE member_id = %s"
            sides.target.execute(mark, (member,))
        return wanted

    monkeypatch.setattr(both, "gather_members", gather_then_reverse)
    assert sides.run("crm")["member"].held == 1
    assert one(sides, member, "name") == ("新名",)
    monkeypatch.undo()
    assert sides.run("crm")["member"].written == 1
    assert one(sides, member, "name", "store_code") == ("新名", "S002")
