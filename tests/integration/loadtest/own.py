"""A scenario over two tables of its own: right and wrong ways to spend points."""

from __future__ import annotations

from loadtest.scenario import Call, Refused, Scenario

own = Scenario("own")
FIRST = 2**45
SCHEMA = (
    "CREATE TABLE lt_member (member_id BIGINT PRIMARY KEY, points BIGINT NOT NULL)",
    "CREATE TABLE lt_entry (entry_id BIGINT PRIMARY KEY, member_id BIGINT NOT NULL, delta BIGINT NOT NULL)",
)


@own.operation(weight=2)
def look_up(call: Call) -> None:
    """One row by its key."""
    if not call.query("SELECT points FROM lt_member WHERE member_id = %s", (call.member(),)):
        raise Refused


@own.operation(weight=2, writes=True)
def earn(call: Call) -> None:
    """An entry and the balance that it belongs to."""
    member = call.member()
    call.execute("INSERT INTO lt_entry (entry_id, member_id, delta) VALUES (%s, %s, 5)", (call.number(), member))
    call.execute("UPDATE lt_member SET points = points + 5 WHERE member_id = %s", (member,))


@own.operation(weight=1, writes=True)
def spend(call: Call) -> None:
    """As much as there is, and no more."""
    member = call.member()
    if call.execute("UPDATE lt_member SET points = points - 7 WHERE member_id = %s AND points >= 7", (member,)) == 0:
        raise Refused
    call.execute("INSERT INTO lt_entry (entry_id, member_id, delta) VALUES (%s, %s, -7)", (call.number(), member))


lossy = Scenario("lossy")


@lossy.operation(weight=1)
def earn_by_reading_first(call: Call) -> None:
    """A lost update: two that read the same balance, outside a transaction, write the same one."""
    member = call.member()
    ((points,),) = call.query("SELECT points FROM lt_member WHERE member_id = %s", (member,))
    call.execute("INSERT INTO lt_entry (entry_id, member_id, delta) VALUES (%s, %s, 5)", (call.number(), member))
    call.execute("UPDATE lt_member SET points = %s WHERE member_id = %s", (points + 5, member))


def scenario_own() -> Scenario:
    """For worker processes."""
    return own


def scenario_lossy() -> Scenario:
    """The wrong one."""
    return lossy
