"""Rows of members that the target does not take: kept as dead letters, the others go on, and what was mended gets through."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal

import polars as pl
import pytest

from etl.progress import Silent
from etl.sync.forward import try_again
from etl.sync.lock import hold_sync_lock
from etl.sync.retry import retry_letters
from tests.integration.sync.forward.support import Sides, following

PERSON = (
    "INSERT INTO dbo.Member (Name, Phone, Email, Tier, Points, Balance, CreatedAt, UpdatedAt) "
    "VALUES ('{name}', '13900007777', '{email}', 1, 10, 2.5, '2024-01-02', '2024-01-02')"
)
LONG = "x" * 60 + "@example.com"
OPEN = "SELECT row_key, reason FROM {s}.sync_dead_letter WHERE direction = 'forward' AND settled_at IS NULL ORDER BY row_key"


@pytest.fixture
def pair(sides: Sides) -> Iterator[tuple[int, int]]:
    """Two new members on both sides, gone afterwards."""
    for name in ("one", "two"):
        sides.legacy("crm", PERSON.format(name=name, email=f"{name}@example.com"))
    ((last,),) = sides.legacy("crm", "SELECT MAX(MemberId) FROM dbo.Member")
    assert sides.run("crm")["member"].written == 2
    yield int(last) - 1, int(last)
    sides.legacy("crm", "DELETE FROM dbo.Member WHERE Phone = '13900007777'")
    sides.target.execute("UPDATE member SET synced_at = updated_at, updated_at = updated_at WHERE phone LIKE '%13900007777'")
    sides.run("crm")


@contextmanager
def narrow(sides: Sides, table: str = "member", column: str = "email", width: int = 60, declared: int = 120) -> Iterator[None]:
    """The target's column is narrower than sync knows."""
    sides.target.execute(f"ALTER TABLE {table} MODIFY {column} VARCHAR({width})")
    try:
        yield
    finally:
        sides.target.execute(f"ALTER TABLE {table} MODIFY {column} VARCHAR({declared})")


@contextmanager
def unique_email(sides: Sides) -> Iterator[Sides]:
    """The target lets no two members registered at one time have the same address."""
    sides.target.execute("ALTER TABLE member ADD UNIQUE KEY uq_email (email, registered_at)")
    try:
        with following(sides.settings, sides.shop) as found:
            yield found
    finally:
        sides.target.execute("ALTER TABLE member DROP KEY uq_email")


def emails(sides: Sides, *members: int) -> list[str | None]:
    """Addresses of members on the target."""
    found = dict(sides.rows(f"SELECT member_id, email FROM member WHERE member_id IN ({', '.join(map(str, members))})"))
    return [found[member] for member in members]


def change(sides: Sides, **values: object) -> None:
    """Set Email of members, by id."""
    sides.legacy("crm", *(f"UPDATE dbo.Member SET Email = '{email}' WHERE MemberId = {key[1:]}" for key, email in values.items()))


def test_a_refused_value_is_kept_and_the_others_of_its_page_go_on(sides: Sides, pair: tuple[int, int]) -> None:
    first, second = pair
    before = sides.position("crm.dbo.Member")[0]
    with narrow(sides):
        change(sides, **{f"m{first}": LONG, f"m{second}": "new@example.com"})
        done = sides.run("crm")["member"]
        assert (done.written, done.dead) == (1, 1)
        assert sides.state(OPEN) == [(str(first), "refused_by_target")]
        assert emails(sides, first, second) == ["one@example.com", "new@example.com"]
        assert sides.position("crm.dbo.Member")[0] > before
        assert sides.run("crm") == {}  # the stream is past it
    change(sides, **{f"m{first}": "short@example.com"})  # a later change of the row goes through
    assert sides.run("crm")["member"].written == 1
    assert sides.state(OPEN) == []
    assert emails(sides, first) == ["short@example.com"]


def test_a_newcomer_that_is_refused_comes_once_it_is_mended(
    sides: Sides, pair: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with narrow(sides):
        ((member,),) = sides.legacy("crm", PERSON.format(name="new", email=LONG), "SELECT MAX(MemberId) FROM dbo.Member")
        assert sides.run("crm")["member"].dead == 1
    monkeypatch.setattr(try_again, "LOOK_EVERY_S", 0.0)  # tried again by itself, without a change
    assert sides.run("crm")["member"].written == 1
    assert emails(sides, *pair, member) == ["one@example.com", "two@example.com", LONG]
    assert sides.state(OPEN) == []


def test_letters_are_tried_less_and_less_often(sides: Sides, pair: tuple[int, int]) -> None:
    attempts = f"SELECT attempts FROM {{s}}.sync_dead_letter WHERE row_key = '{pair[0]}'"
    with narrow(sides):
        change(sides, **{f"m{pair[0]}": LONG})
        sides.run("crm")
        sides.state("UPDATE {s}.sync_dead_letter SET last_at = last_at - INTERVAL 6 SECOND WHERE settled_at IS NULL")
        sides.context.looked.clear()
        sides.run("crm")
        assert sides.state(attempts) == [(2,)]
        sides.state("UPDATE {s}.sync_dead_letter SET last_at = last_at - INTERVAL 6 SECOND WHERE settled_at IS NULL")
        sides.context.looked.clear()
        sides.run("crm")
        assert sides.state(attempts) == [(2,)]  # due after ten seconds
    sides.legacy("crm", f"DELETE FROM dbo.Member WHERE MemberId = {pair[0]}")
    sides.run("crm")
    assert sides.state(OPEN) == []


def test_unique_values_change_hands_among_members(sides: Sides, pair: tuple[int, int]) -> None:
    first, second = pair
    with unique_email(sides) as following_again:
        change(sides, **{f"m{first}": "two@example.com", f"m{second}": "one@example.com"})
        done = following_again.run("crm")["member"]
        assert (done.written, done.dead) == (2, 0)
        assert emails(sides, first, second) == ["two@example.com", "one@example.com"]
        assert all(sides.in_step("member", f"member_id = {member}") for member in pair)


def test_a_unique_value_that_another_row_keeps(sides: Sides, pair: tuple[int, int]) -> None:
    """A newcomer, and one of two that exchange their values, want what a third keeps: nobody else's row is touched."""
    first, second = pair
    sides.legacy("crm", PERSON.format(name="three", email="three@example.com"))
    sides.run("crm")
    with unique_email(sides) as again:
        sides.target.execute("UPDATE member SET email = 'held@example.com' WHERE member_id = %s", (first,))
        sides.legacy("crm", PERSON.format(name="four", email="held@example.com"))
        change(sides, **{f"m{second}": "held@example.com", f"m{second + 1}": "two@example.com"})
        done = again.run("crm")["member"]
        assert (done.written, done.dead) == (0, 3)
        found = [reason for _, reason in sides.state(OPEN)]
        assert found == ["duplicate_key"] * 3
        assert emails(sides, first, second, second + 1) == ["held@example.com", "two@example.com", "three@example.com"]
        assert sides.rows("SELECT 1 FROM member WHERE name = 'four'") == []
        sides.target.execute("UPDATE member SET email = 'free@example.com' WHERE member_id = %s", (first,))
        sides.legacy("crm", "DELETE FROM dbo.Member WHERE Name = 'four'")
        again.run("crm")
        result = retry_letters(sides.settings, execute=True, progress=Silent())
    assert (result.found, result.carried, result.refused, result.left) == (2, 2, 0, 0)
    assert emails(sides, second, second + 1) == ["held@example.com", "two@example.com"]


def test_retry_leaves_forward_to_the_sync_that_runs(sides: Sides, pair: tuple[int, int]) -> None:
    with narrow(sides):
        change(sides, **{f"m{pair[0]}": LONG})
        sides.run("crm")
    with hold_sync_lock(sides.settings):
        left = retry_letters(sides.settings, execute=True, progress=Silent())
        assert (left.found, left.left) == (0, 1)
    assert retry_letters(sides.settings, execute=True, progress=Silent()).carried == 1
    assert emails(sides, pair[0]) == [LONG]


def test_a_sum_that_does_not_fit_stops_nobody_else(sides: Sides, pair: tuple[int, int]) -> None:
    """Two records of one person, whose balances together have a digit too many for the target."""
    rich, other = pair
    sides.legacy("crm", f"UPDATE dbo.Member SET Balance = 900000000000000 WHERE MemberId = {rich}")
    sides.run("crm")
    sides.legacy("crm", PERSON.format(name="again", email="again@example.com").replace("2.5", "900000000000000"))
    ((again,),) = sides.legacy("crm", "SELECT MAX(MemberId) FROM dbo.Member")
    change(sides, **{f"m{other}": "goes@example.com"})

    def match(part: str, newcomers: pl.DataFrame) -> pl.Series:
        return pl.Series([rich] * newcomers.height, dtype=pl.Int64)

    with following(sides.settings, sides.shop, match=match) as matching:
        done = matching.run("crm")["member"]
        assert (done.written, done.dead) == (1, 1)
        assert emails(sides, other) == ["goes@example.com"]
        assert sides.state(OPEN) == [(str(again), "refused_by_target")]
        sides.legacy("crm", f"UPDATE dbo.Member SET Balance = 1 WHERE MemberId = {again}")
        assert matching.run("crm")["member"].written == 1
    assert sides.state(OPEN) == []
    assert sides.rows("SELECT balance FROM member WHERE member_id = %s", rich) == [(Decimal("900000000000001"),)]


def test_letters_of_tables_that_are_copied_settle_too(sides: Sides) -> None:
    insert = "INSERT INTO dbo.Campaign (Code, Name, StartsAt, EndsAt) VALUES ('LETTER', N'{name}', '2024-01-01', '2024-02-01')"
    with narrow(sides, "campaign", "name", 60, 100):
        sides.legacy("crm", insert.format(name="x" * 80))
        assert sides.run("crm")["campaign"].dead == 1
        assert [reason for _, reason in sides.state(OPEN)] == ["refused_by_target"]
        sides.legacy("crm", "UPDATE dbo.Campaign SET Name = N'short' WHERE Code = 'LETTER'")
        assert sides.run("crm")["campaign"].written == 1
    assert sides.state(OPEN) == []
