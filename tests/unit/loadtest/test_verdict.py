"""What is proven, and what is only pretty."""

from __future__ import annotations

import numpy as np
import pytest

from etl.errors import UsageError
from loadtest.data import Check
from loadtest.plans import Plan, Targets, double_eleven, soak
from loadtest.samples import Outcome
from loadtest.timeline import Tally
from loadtest.verdict import Health, Judgement, Verdict, judge

PLAN = double_eleven(rate=100, warm_up_s=10, steady_s=60, burst_s=20, after_s=30)
WELL = Health(120, 0, 0.4)


def tally(plan: Plan, number: int, *, failed: float = 0.0, ms: float = 10.0, late: int = 0, asked: float = 1.0) -> Tally:
    """As many transactions as the schedule has, of which a share fails; all take as long."""
    made, count = Tally(), round(plan.curve[number].count * asked)
    lost = round(count * failed)
    made.outcomes[Outcome.LOST], made.outcomes[Outcome.DONE], made.late = lost, count - lost, late
    made.response.add(np.full(count - lost, ms * 1000))
    return made


def judged(
    parts: dict[int, Tally] | None = None, health: Health = WELL, checks: tuple[Check, ...] = (), trouble: tuple[str, ...] = ()
) -> Judgement:
    """All is well but for these parts: 0 warm-up, 1 steady, 2 burst, 3 after it."""
    found = {number: [(parts or {}).get(number, tally(PLAN, number))] for number in range(4)}
    return judge(PLAN, found, health, checks, trouble)


def test_all_is_well() -> None:
    found = judged(checks=(Check("no balance below zero", 0),))
    assert (found.verdict, found.why) == (Verdict.PASS, ())
    assert found.held_rate == pytest.approx(100)


@pytest.mark.parametrize(
    ("part", "failed", "verdict"),
    [
        (1, 0.0005, Verdict.PASS),
        (1, 0.002, Verdict.FAIL),
        (2, 0.04, Verdict.PASS),
        (2, 0.06, Verdict.FAIL),
        (3, 0.002, Verdict.FAIL),
        (0, 0.9, Verdict.PASS),
    ],
)
def test_failures_count_where_they_are(part: int, failed: float, verdict: Verdict) -> None:
    assert judged({part: tally(PLAN, part, failed=failed)}).verdict is verdict


def test_slow_answers_fail_outside_bursts() -> None:
    assert judged({1: tally(PLAN, 1, ms=600)}).verdict is Verdict.FAIL
    assert judged({2: tally(PLAN, 2, ms=600)}).verdict is Verdict.PASS
    slow = [finding for finding in judged({3: tally(PLAN, 3, ms=300)}).findings if not finding.held]
    assert [(finding.name, finding.part) for finding in slow] == [("p95", "after the burst")]
    assert slow[0].figure == pytest.approx(300, rel=1e-3)


def test_a_fast_wrong_answer_fails() -> None:
    found = judged(checks=(Check("points are what the ledger says", 3, (1, 2, 3)),))
    assert found.verdict is Verdict.FAIL
    assert [(finding.name, finding.figure) for finding in found.findings if not finding.held] == [
        ("points are what the ledger says", 3.0)
    ]


@pytest.mark.parametrize(
    ("case", "said"),
    [
        (lambda: judged({1: tally(PLAN, 1, late=20)}), "late"),
        (lambda: judged({1: tally(PLAN, 1, asked=0.5)}), "were asked for"),
        (lambda: judged(health=Health(120, 5, 0.99)), "starved"),
        (lambda: judged(trouble=("it was ended from outside",)), "ended early"),
    ],
)
def test_a_test_that_proves_nothing_says_so(case: object, said: str) -> None:
    """What a bug would cost: a laptop that was too slow, told as a database that is."""
    assert callable(case)
    found = case()
    assert found.verdict is Verdict.VOID
    assert said in found.why[0]


def test_no_answer_at_all_holds_nothing() -> None:
    nothing = judge(PLAN, {}, WELL, ())
    assert nothing.verdict is Verdict.VOID
    assert not any(finding.held for finding in nothing.findings)


@pytest.mark.parametrize("change", [{"rate": 0}, {"rate": -5}, {"steady_s": 0, "burst_s": 0, "after_s": 0}])
def test_a_plan_of_nothing_is_refused(change: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        double_eleven(**{"rate": 100, **change})  # type: ignore[arg-type]  # whole numbers all


def test_double_eleven_is_what_the_business_asked_for() -> None:
    plan = double_eleven()
    assert [(part.name, part.seconds, part.ends) for part in plan.curve] == [
        ("warm-up", 60, 2_000),
        ("steady", 600, 2_000),
        ("burst", 180, 8_000),
        ("after the burst", 120, 2_000),
    ]
    assert plan.targets == Targets()
    assert plan.peak == 8_000
    assert [plan.stretch_at(second) for second in (0, 59, 60, 659, 660, 839, 840, 10_000)] == [0, 0, 1, 1, 2, 2, 3, 3]


def test_a_soak_is_one_rate_for_hours() -> None:
    assert [(part.seconds, part.ends) for part in soak(500, 7_200).curve] == [(60, 500), (7_200, 500)]
