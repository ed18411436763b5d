"""The answer of a gate, and the ways to arrive at one. A figure that may not be believed is never PASS."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal

from migrations.release.figures import Limits, Verdict, age_of, distrust, number

GateName = Literal["availability", "tests", "training", "reconcile", "lag", "loadtest", "alerts", "approvals"]
GATES: Final[tuple[GateName, ...]] = (
    "availability", "tests", "training", "reconcile", "lag", "loadtest", "alerts", "approvals",
)  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """What a gate says. `figure`: what was found, a share from 0 to 1 or a count, None where nothing was; `limit`: what it has to
    be. `age_s`: how old the figure is, negative from the future. `evidence`: what it rests on. `remedy`: what would fix it, ""
    for PASS. `forced`: somebody overruled it; `verdict` still says how it stands."""

    gate: GateName
    verdict: Verdict
    figure: float | str | None
    limit: str
    age_s: float | None
    evidence: str
    remedy: str
    forced: bool = False

    @property
    def passed(self) -> bool:
        """Whether it lets the release go on."""
        return self.verdict is Verdict.PASS or self.forced


@dataclass(frozen=True)
class Proof:
    """What a gate found: `figure`, when it was taken, and on what it rests."""

    figure: float
    at: datetime | None
    evidence: str


def unknown(gate: GateName, limit: str, why: str, remedy: str, age_s: float | None = None) -> Answer:
    """Nothing that could be believed."""
    return Answer(gate, Verdict.UNKNOWN, None, limit, number(age_s), why, remedy)


def judge_share(gate: GateName, proof: Proof, minimum: float, limits: Limits, remedy: str, now: datetime) -> Answer:
    """A share that has to be `minimum` or more, of now."""
    limit, age_s = f">= {percent(minimum)}", age_of(proof.at, now)
    doubt = distrust(age_s, limits)
    if number(proof.figure) is None or proof.figure > 1:
        doubt = "that is no share"
    if doubt:
        return Answer(gate, Verdict.UNKNOWN, number(proof.figure), limit, age_s, joined(proof.evidence, doubt), remedy)
    passed = proof.figure >= minimum
    return Answer(
        gate, Verdict.PASS if passed else Verdict.FAIL, proof.figure, limit, age_s, proof.evidence, "" if passed else remedy
    )


def force(answer: Answer, reason: str, by: str) -> Answer:
    """Overruled by somebody, for everybody to see."""
    return replace(answer, forced=True, evidence=f"{answer.evidence} (overruled by {by}: {reason})")


def joined(*parts: str) -> str:
    """Evidence of several sentences, those that are there: each is found again by itself where it is told in Chinese.

    >>> joined("a", "", "b")
    'a; b'
    """
    return "; ".join(part for part in parts if part)


def percent(share: float) -> str:
    """A share as it is written in a limit.

    >>> percent(0.999), percent(0.9), percent(1.0)
    ('99.9 %', '90 %', '100 %')
    """
    return f"{share * 100:.6g} %"
