"""Whose approval counts before a wave begins, and what overruling does: for people, and for what happens by itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from migrations.release.controller import rules_of
from migrations.release.decide import Act, Situation, next_act
from migrations.release.events import Approved, Event, Forced, Planned, RolledBack, Started
from migrations.release.figures import Verdict
from migrations.release.gates.people import check_approvals
from migrations.release.machine import fold
from migrations.release.model import Phase, ReleaseState, Route, StoreRoute
from migrations.release.plan import Plan
from migrations.release.plan_file import parse_plan
from reports.text import told

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
PLANNED = Planned("r", (("S1",), ("S2",)), {"S1": Route.LEGACY, "S2": Route.LEGACY})
PLAN = """
name = "r"
[[wave]]
name = "a"
stores = ["S1"]
bake_s = 600
approvals = 1
[[wave]]
name = "b"
stores = ["S2"]
[roles]
approver = ["li"]
"""


def plan_of(text: str = PLAN) -> Plan:
    """As it is read."""
    return parse_plan(text, Path("release.toml"))


def next_of(state: ReleaseState, *, plan: Plan | None = None, minutes: float = 0) -> Act:
    """What the controller would do so long after the last switch."""
    rules = rules_of(plan or plan_of(), len(state.waves))
    return next_act(state, Situation(NOON + timedelta(minutes=minutes), NOON, NOON, 5, rules))


def begun(*events: Event) -> ReleaseState:
    """Started, and these."""
    return fold([PLANNED, Started(), *events])


def proving(*events: Event, passes: int = 0) -> ReleaseState:
    """The first wave is on TiDB."""
    stores = {"S1": StoreRoute(Route.TIDB, 2, 0), "S2": StoreRoute(Route.LEGACY, 0, 1)}
    return replace(begun(*events), stores=stores, wave=0, passes=passes)


def test_the_approval_of_somebody_who_may_not_give_it_begins_nothing() -> None:
    """What a bug would cost: stores moved at night because a colleague without the right to it said yes."""
    assert next_of(begun(Approved(0, "wu"))).why == "wave 1 needs 1 more approvals: membershift release approve"
    assert next_of(begun(Approved(0, "wu"), Approved(0, "li"))).kind == "begin wave"
    anybody = plan_of(PLAN.replace('approver = ["li"]', ""))
    assert next_of(begun(Approved(0, "wu")), plan=anybody).kind == "begin wave"


@pytest.mark.parametrize("events", [(), (Approved(0, "wu"),), (Approved(0, "li"),), (Approved(0, "wu"), Approved(0, "li"))])
def test_the_gate_and_the_controller_count_alike(events: tuple[Event, ...]) -> None:
    """What a bug would cost: a screen that says PASS beside a release that waits for an approval, or the other way round."""
    state, plan = begun(*events), plan_of()
    passed = check_approvals(state, 0, 1, plan.roles).verdict is Verdict.PASS
    assert (next_of(state).kind == "begin wave") is passed


def test_overruled_approvals_let_the_wave_begin() -> None:
    """What a bug would cost: the only approver is ill, and what the docs offer does nothing."""
    assert next_of(begun(Forced("approvals", "li is ill", "wang"))).kind == "begin wave"
    assert next_of(begun(Forced("training", "x", "wang"))).kind == "wait"


def test_a_plan_without_that_gate_waits_for_nobody() -> None:
    assert next_of(begun(), plan=plan_of(PLAN + "[gates.approvals]\nenabled = false\n")).kind == "begin wave"


@pytest.mark.parametrize(("gate", "minutes", "passes"), [("bake", 1, 5), ("windows", 11, 4)])
def test_time_and_windows_are_overruled_for_people_only_and_it_is_said(gate: str, minutes: float, passes: int) -> None:
    """What a bug would cost: somebody waves three stores through, and 3,000 follow without a minute of looking at them."""
    plain = next_of(proving(passes=passes), minutes=minutes)
    act = next_of(proving(Forced(gate, "x", "li"), passes=passes), minutes=minutes)
    assert (plain.kind, act.kind, plain.until) == ("wait", "wait", act.until)
    assert "membershift release promote" in act.why
    assert "membershift release promote" not in plain.why
    assert told("zh", act.why) != act.why
    assert " watched" not in told("zh", act.why)
    assert next_of(proving(Forced(gate, "x", "li"), passes=5), minutes=11).kind == "promote"


def test_overruled_holds_through_a_rollback_and_not_into_the_next_release() -> None:
    """It is for the rest of this release, as the log, the docs and the command say."""
    state = begun(Forced("lag", "x", "li"))
    back = fold([RolledBack()], replace(state, phase=Phase.ROLLING_BACK))
    assert fold([Started()], back).forced == (("lag", "x", "li"),)
    assert fold([PLANNED, Started()], back).forced == ()
