"""Whole rounds of reverse, marks and letters included: text that the mapping tidies, and letters that settle by themselves."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from etl.sync.base import read_bases
from etl.sync.digest import digest
from etl.sync.reverse_round import ReverseSync, open_reverse, sweep_round
from tests.integration.sync.reverse.support import Bridge
from tests.integration.sync.reverse.test_members import crm, single

OPEN = "SELECT row_key, reason FROM {s}.sync_dead_letter WHERE direction = 'reverse' AND settled_at IS NULL"


@pytest.fixture
def rounds(bridge: Bridge) -> Iterator[ReverseSync]:
    """Reverse as `sync run` has it, nothing left to send."""
    bridge.settle()
    sync = open_reverse(bridge.settings, bridge.plan, bridge.source)
    yield sync
    sync.close()


def letters(bridge: Bridge) -> list[tuple[object, ...]]:
    """Open letters of reverse."""
    return bridge.target(OPEN.format(s=bridge.settings.target.state_schema))


def test_untidy_text_is_tidied_on_both_sides(bridge: Bridge, rounds: ReverseSync) -> None:
    member = single(bridge, "crm", 9)
    untidy = {
        "store_code": "s０01 ",
        "email": "New@Example.COM",
        "phone": "139-1234-9876",
        "address": "世纪大道１００号",
        "name": "欧阳　娜娜",
    }
    tidy = {
        "store_code": "S001",
        "email": "new@example.com",
        "phone": "+8613912349876",
        "address": "世纪大道100号",
        "name": "欧阳 娜娜",
    }
    sets = ", ".join(f"{name} = %s" for name in untidy)
    bridge.target(f"UPDATE member SET {sets} WHERE member_id = %s", *untidy.values(), member)
    assert sweep_round(rounds)["member"].written == 1
    assert letters(bridge) == []
    held = crm(bridge, member, "StoreCode, Email, Phone, Name, Address")
    assert held == ("S001", "new@example.com", "13912349876", "欧阳 娜娜", "世纪大道100号")
    found = bridge.target(f"SELECT {', '.join(tidy)}, synced_at <=> updated_at FROM member WHERE member_id = %s", member)
    assert found == [(*tidy.values(), 1)]
    table = bridge.plan.table("member")
    base = read_bases(bridge.work, bridge.plan.state_schema, "member", table.kept, [str(member)])[str(member)]
    assert all(base.hashes[name] == digest(value) for name, value in tidy.items())
    again = sweep_round(rounds)["member"]
    assert (again.written, again.unchanged) == (0, 0)  # it does not loop


def test_untidy_text_of_rows_that_are_inserted(bridge: Bridge, rounds: ReverseSync) -> None:
    entry, member = bridge.own_id(), single(bridge, "crm", 9)
    bridge.target(
        "INSERT INTO points_ledger (entry_id, member_id, delta, reason, store_code, occurred_at, origin, origin_id) "
        "VALUES (%s, %s, 5, 'PURCHASE', 's0001', '2026-11-11 12:00:00', 'tidb', %s)",
        entry,
        member,
        f"t{entry}",
    )
    assert sweep_round(rounds)["points_ledger"].written == 1
    found = bridge.target("SELECT store_code, synced_at <=> updated_at FROM points_ledger WHERE entry_id = %s", entry)
    assert (found, letters(bridge)) == ([("S0001", 1)], [])


@pytest.mark.parametrize(("column", "value"), [("name", "王先生"), ("phone", "010-65529988-12"), ("email", "   ")])
def test_what_tidying_would_lose_stays(bridge: Bridge, rounds: ReverseSync, column: str, value: str) -> None:
    """A title, an extension, a text that would be none: nothing is taken away from what an application wrote."""
    member = single(bridge, "crm", 10)
    (old,) = bridge.target(f"SELECT {column} FROM member WHERE member_id = %s", member)[0]
    bridge.target(f"UPDATE member SET {column} = %s WHERE member_id = %s", value, member)
    sweep_round(rounds)
    assert letters(bridge) == [(str(member), "not_reversible")]
    assert bridge.target(f"SELECT {column} FROM member WHERE member_id = %s", member) == [(value,)]
    bridge.target(f"UPDATE member SET {column} = %s WHERE member_id = %s", old, member)
    sweep_round(rounds)  # a later change goes through: the letter is settled
    assert letters(bridge) == []


def test_letters_of_rows_with_nothing_left_to_send_settle(bridge: Bridge, rounds: ReverseSync) -> None:
    """Forward brought another value, and the row is in step; or it is gone."""
    first, second = single(bridge, "crm", 10), bridge.own_id()
    bridge.target("UPDATE member SET name = %s WHERE member_id = %s", "很" * 21, first)
    bridge.target(
        "INSERT INTO sign_in (sign_in_id, member_id, signed_at, channel) VALUES (%s, %s, '1600-01-01', '很很很很很很')",
        second,
        first,
    )
    sweep_round(rounds)
    assert {key for key, _ in letters(bridge)} == {str(first), str(second)}
    (name,) = crm(bridge, first, "Name")
    bridge.target("UPDATE member SET name = %s WHERE member_id = %s", name, first)
    bridge.target("UPDATE member SET synced_at = updated_at, updated_at = updated_at WHERE member_id = %s", first)
    bridge.target("DELETE FROM sign_in WHERE sign_in_id = %s", second)
    sweep_round(rounds)
    assert letters(bridge) == []
