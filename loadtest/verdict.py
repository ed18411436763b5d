"""What a load test proves: each target held or not, with its figure; and whether the test itself can be believed.

A test whose generator was late, or whose own processes were the limit, says nothing about the server, however good it looks: it
is VOID. A fast wrong answer is a failure: a check that does not hold fails the test whatever the latencies are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from loadtest.data import Check
from loadtest.plans import BURST, WARM_UP, Plan
from loadtest.timeline import Tally, together


class Verdict(StrEnum):
    """PASS: every target was held. VOID: the test says nothing."""

    PASS = "PASS"
    FAIL = "FAIL"
    VOID = "VOID"


ASKED: Final = 0.98
"""Least share of the schedule that has to have been asked for: a test that was cut short proves nothing of the rest."""
STARVED_S: Final = 0.25
"""A process that is woken so much later than it asked to be is starved."""
STARVED_SECONDS: Final = 0.01
"""Share of seconds in which a process may have been starved."""


@dataclass(frozen=True)
class Finding:
    """One target. `figure`: what was seen, None: nothing. `part`: of the plan, "" the whole."""

    name: str
    part: str
    figure: float | None
    limit: float
    held: bool
    unit: str = ""


@dataclass(frozen=True)
class Health:
    """Of the generator. `starved_seconds`: in which a process was woken late; `seconds`: how many there were. `busy`: the share
    of a core that its busiest process took."""

    seconds: int
    starved_seconds: int
    busy: float


@dataclass(frozen=True)
class Judgement:
    """`why`: why it is VOID, for people; empty for the others. `held_rate`: transactions a second that were served in the steady
    parts."""

    verdict: Verdict
    findings: tuple[Finding, ...]
    why: tuple[str, ...]
    held_rate: float


def judge(
    plan: Plan, stretches: Mapping[int, Sequence[Tally]], health: Health, checks: Sequence[Check], trouble: Sequence[str] = ()
) -> Judgement:
    """The verdict. `stretches`: by number of the stretch, a tally for each operation. `trouble`: why processes ended early."""
    tallies = {number: together(list(found)) for number, found in stretches.items()}
    findings: list[Finding] = []
    for number, stretch in enumerate(plan.curve):
        if stretch.name != WARM_UP:
            findings += judge_stretch(plan, stretch.name, tallies.get(number, Tally()))
    findings += [Finding(check.name, "", float(check.broken), 0.0, check.holds, "rows") for check in checks]
    steady = [number for number, stretch in enumerate(plan.curve) if stretch.name not in (WARM_UP, BURST)]
    seconds = sum(plan.curve[number].seconds for number in steady)
    held_rate = sum(tallies[number].served for number in steady if number in tallies) / seconds if seconds else 0.0
    why = tuple(doubts(plan, list(tallies.values()), health, trouble))
    held = all(finding.held for finding in findings)
    return Judgement(Verdict.VOID if why else Verdict.PASS if held else Verdict.FAIL, tuple(findings), why, held_rate)


def judge_stretch(plan: Plan, part: str, tally: Tally) -> list[Finding]:
    """The targets of one part. Where nothing was asked, nothing was held."""
    targets, burst = plan.targets, part == BURST
    least = targets.success if burst else targets.steady_success
    found = [Finding("success", part, tally.success, least, tally.success is not None and tally.success >= least)]
    for percentile, limit in ((95.0, targets.p95_ms), (99.0, targets.p99_ms)):
        if limit is not None and not burst:
            figure = tally.response.at(percentile) / 1000 if tally.response.count else None
            found.append(Finding(f"p{percentile:g}", part, figure, limit, figure is not None and figure <= limit, "ms"))
    return found


def doubts(plan: Plan, tallies: Sequence[Tally], health: Health, trouble: Sequence[str]) -> list[str]:
    """Why the test says nothing about the server."""
    asked, late = sum(tally.asked for tally in tallies), sum(tally.late for tally in tallies)
    found = [f"a process of the test ended early: {reason}" for reason in trouble]
    if asked < ASKED * plan.transactions - 5 * plan.transactions**0.5:  # what Poisson arrivals may differ by
        found.append(f"only {asked} of about {plan.transactions:.0f} transactions were asked for")
    if asked and late / asked > plan.targets.late:
        found.append(f"the generator began {late / asked:.2%} of the transactions late, more than {plan.targets.late:.2%}")
    if health.seconds and health.starved_seconds / health.seconds > STARVED_SECONDS:
        found.append(
            f"the generator was starved of processor time in {health.starved_seconds} of {health.seconds} seconds: "
            "run it on a machine of its own"
        )
    return found
