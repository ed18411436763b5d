"""The judge's rules, on facts made by hand: what the two sides may differ in, and what they may not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from fixtures.storefront.claims import gather_claims
from fixtures.storefront.effects import ConsentSet, Effect, Enrolled, PointsMoved, ProfileSet, SaleMade, SignedIn, StatusSet
from fixtures.storefront.facts import Facts, LedgerFact, Origin, People, SaleFact
from fixtures.storefront.facts_target import Letter
from fixtures.storefront.journal import Entry, Outcome, Side
from fixtures.storefront.judge import explain, find_deviations
from fixtures.storefront.verdicts import Deviation
from fixtures.storefront.world import Balances

MEMBER, PHONE, NOW = "member:7", "+8613900000001", 1_700_000_000_000_000
PEOPLE = People({"crm:7": MEMBER, "pos:P1": MEMBER}, {}, {MEMBER: ("crm:7", "pos:P1")})
ALONE = People({"crm:7": MEMBER}, {}, {MEMBER: ("crm:7",)})
START = Balances({7: 100}, {7: 100})
SALE = SaleMade("S0001010000001", "pos", "S0001", "pos:P1", "10.00", "1.00", "0", "DONE", NOW, ((1, 5, "2", "5.00", "10.00"),))


def entry(*effects: Effect, side: Side = "legacy", outcome: Outcome = "done", at: float = 1.0) -> Entry:
    return Entry(side, "S0001", "any", outcome, at - 0.01, at, effects)


def find(
    entries: Sequence[Entry],
    legacy: Facts,
    target: Facts,
    people: People = PEOPLE,
    conflicts: frozenset[tuple[str, str, str]] = frozenset(),
) -> list[Deviation]:
    claims = gather_claims(entries, people)
    return find_deviations(claims, (legacy, target), people, START, dict.fromkeys(conflicts, 0.0), 10.0)


def kinds(deviations: Sequence[Deviation]) -> set[tuple[str, str]]:
    return {(deviation.kind, deviation.side) for deviation in deviations}


def side(name: Origin, points: int = 100) -> Facts:
    who = "crm:7" if name == "legacy" else MEMBER
    return Facts(name, points={who: points})


def with_sale(facts: Facts) -> Facts:
    who = "pos:P1" if facts.side == "legacy" else MEMBER
    facts.sales[SALE.number] = SaleFact("pos", "S0001", who, Decimal(10), Decimal(1), Decimal(0), "DONE", NOW + 3_000)
    facts.add_line(SALE.number, 1, 5, "2.000", "5.0000", "10.0000")
    return facts


def with_entry(facts: Facts, times: int = 1) -> Facts:
    who = "crm:7" if facts.side == "legacy" else MEMBER
    for key in range(times):
        facts.add_entry("R01", LedgerFact(who, -5, NOW - 3_000, f"{facts.side}{key}"))
    return facts


def with_profile(facts: Facts, **values: str) -> Facts:
    facts.profiles |= {who.replace("_", ":"): {"phone": value} for who, value in values.items()}
    return facts


def test_a_sale_is_the_same_through_the_crosswalk_and_within_the_grid_of_datetime() -> None:
    assert find([entry(SALE)], with_sale(side("legacy")), with_sale(side("tidb"))) == []


def test_a_sale_that_did_not_arrive_is_lost_there_and_only_there() -> None:
    assert kinds(find([entry(SALE)], with_sale(side("legacy")), side("tidb"))) == {("sale_lost", "tidb")}


def test_a_sale_that_nobody_rang_up_is_extra() -> None:
    assert kinds(find([], with_sale(side("legacy")), side("tidb"))) == {("sale_extra", "legacy")}


def test_a_status_is_the_last_one_acknowledged() -> None:
    entries = [entry(SALE), entry(StatusSet(SALE.number, "SHIPPED"), at=2.0)]
    legacy, target = with_sale(side("legacy")), with_sale(side("tidb"))
    legacy.sales[SALE.number] = replace(legacy.sales[SALE.number], status="SHIPPED")
    assert kinds(find(entries, legacy, target)) == {("sale_changed", "tidb")}


def test_a_ledger_entry_is_counted_once_a_side_and_moves_the_balance_of_both() -> None:
    entries = [entry(PointsMoved("R01", "crm:7", -5, NOW))]
    assert find(entries, with_entry(side("legacy", 95)), with_entry(side("tidb", 95))) == []
    doubled = find(entries, with_entry(side("legacy", 95)), with_entry(side("tidb", 90), times=2))
    assert kinds(doubled) == {("ledger_doubled", "tidb"), ("points_wrong", "tidb")}


def test_an_unanswered_commit_is_on_both_sides_or_on_none() -> None:
    entries = [entry(PointsMoved("R01", "crm:7", -5, NOW), outcome="unknown")]
    assert find(entries, side("legacy"), side("tidb")) == []
    assert find(entries, with_entry(side("legacy", 95)), with_entry(side("tidb", 95))) == []
    half = find(entries, with_entry(side("legacy", 95)), side("tidb"))
    assert ("unknown_half_there", "both") in kinds(half)


def test_an_unanswered_sign_in_counts_with_its_ledger_entry() -> None:
    effects = (SignedIn("crm:7", NOW, "APP"), PointsMoved("R01", "crm:7", -5, NOW))
    legacy, target = with_entry(side("legacy", 95)), with_entry(side("tidb", 95))
    legacy.sign_ins[("crm:7", NOW, "APP")] += 1
    assert kinds(find([entry(*effects, outcome="unknown")], legacy, target)) == {("sign_in_lost", "tidb")}
    target.sign_ins[(MEMBER, NOW, "APP")] += 1
    assert find([entry(*effects, outcome="unknown")], legacy, target) == []


def test_the_last_change_of_a_field_is_what_both_sides_hold() -> None:
    entries = [
        entry(ProfileSet("crm:7", "phone", "a"), at=1.0),
        entry(ProfileSet(MEMBER, "phone", "b"), side="tidb", at=50.0),
    ]

    def held(legacy: str, target: str) -> set[tuple[str, str]]:
        return kinds(
            find(entries, with_profile(side("legacy"), crm_7=legacy), with_profile(side("tidb"), member_7=target), ALONE)
        )

    assert held("b", "b") == set()
    assert held("a", "b") == {("profile_apart", "both")}
    assert held("a", "a") == {("profile_lost", "both")}
    assert held("x", "x") == {("profile_lost", "both")}


def test_one_of_two_changes_at_a_time_may_win_if_the_conflict_is_on_record() -> None:
    entries = [
        entry(ProfileSet("crm:7", "phone", "a"), at=1.0),
        entry(ProfileSet(MEMBER, "phone", "b"), side="tidb", at=1.5),
    ]
    legacy, target = with_profile(side("legacy"), crm_7="a"), with_profile(side("tidb"), member_7="a")
    assert kinds(find(entries, legacy, target, ALONE)) == {("overwritten_without_conflict", "both")}
    assert find(entries, legacy, target, ALONE, frozenset({("member", "7", "phone")})) == []


def test_a_member_of_several_records_shows_what_one_of_them_holds() -> None:
    entries = [entry(ProfileSet("pos:P1", "phone", "b"))]
    legacy = with_profile(side("legacy"), crm_7="Old ", pos_P1="b")
    assert find(entries, legacy, with_profile(side("tidb"), member_7="old")) == []
    assert kinds(find(entries, legacy, with_profile(side("tidb"), member_7="x"))) == {("profile_apart", "both")}
    lost = with_profile(side("legacy"), crm_7="old", pos_P1="gone")
    assert kinds(find(entries, lost, with_profile(side("tidb"), member_7="old"))) == {("profile_lost", "legacy")}


def test_a_consent_is_the_same_on_both_sides() -> None:
    entries = [entry(ConsentSet(3, 0))]
    legacy, target = side("legacy"), side("tidb")
    legacy.consents, target.consents = {3: 0}, {3: 1}
    assert kinds(find(entries, legacy, target)) == {("consent_apart", "both")}
    legacy.consents = {3: 1}
    assert kinds(find(entries, legacy, target)) == {("consent_lost", "both")}


def test_a_new_member_is_there_once_on_both_sides_and_is_the_same_person() -> None:
    entries = [entry(Enrolled(MEMBER, "王芳", PHONE), side="tidb")]
    legacy, target = side("legacy"), side("tidb")
    target.add_person(PHONE, MEMBER, "王芳")
    assert kinds(find(entries, legacy, target)) == {("member_lost", "legacy")}
    legacy.add_person(PHONE, "crm:7", "王芳")
    assert find(entries, legacy, target) == []
    legacy.add_person(PHONE, "crm:8", "王芳")
    assert kinds(find(entries, legacy, target)) == {("member_doubled", "legacy")}
    legacy.people = {PHONE: [("crm:9", "王芳")]}  # somebody whom the crosswalk does not know
    assert kinds(find(entries, legacy, target)) == {("member_changed", "legacy")}


def test_only_a_dead_letter_of_the_row_and_its_table_explains() -> None:
    lost = Deviation("sale_lost", "legacy", "S1", rows=("S1",))
    letters: tuple[Letter, ...] = (("member", "S1", "too_long"), ("sale", "S2", "too_long"))
    assert not explain(lost, letters).explained
    assert explain(lost, (*letters, ("sale", "S1", "too_long"))).explained
