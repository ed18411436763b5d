"""Plans of load tests: which rates, for how long, and what counts as holding them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from etl.errors import UsageError
from loadtest.arrivals import Spacing, Stretch, constant

WARM_UP: Final = "warm-up"
STEADY: Final = "steady"
BURST: Final = "burst"
AFTER: Final = "after the burst"
RATE: Final = 2_000.0
"""Transactions a second at which the legacy system gave way."""
BURST_TIMES: Final = 4.0
"""+300 %: what a flash sale makes of it."""


@dataclass(frozen=True)
class Targets:
    """`success`: least share of transactions that are served, in every part but the warm-up; `steady_success`: outside bursts.
    `p95_ms`, `p99_ms`: the longest response times outside bursts, None: not asked. `late`: most that the generator may begin
    late, as a share; beyond it the test says nothing about the server."""

    success: float = 0.95
    steady_success: float = 0.999
    p95_ms: float | None = 200.0
    p99_ms: float | None = 500.0
    late: float = 0.001


@dataclass(frozen=True)
class Plan:
    """`curve`: stretches of whole seconds; those named BURST are judged by `success` alone, those named WARM_UP not at all.
    `rate`: what the plan is to prove, in transactions a second."""

    name: str
    mix: str
    rate: float
    curve: tuple[Stretch, ...]
    targets: Targets = Targets()
    spacing: Spacing = "poisson"
    seed: int = 1

    @property
    def seconds(self) -> float:
        """How long it takes."""
        return sum(stretch.seconds for stretch in self.curve)

    @property
    def peak(self) -> float:
        """The highest rate."""
        return max(max(stretch.begins, stretch.ends) for stretch in self.curve)

    @property
    def transactions(self) -> float:
        """How many it asks for, on average."""
        return sum(stretch.count for stretch in self.curve)

    def stretch_at(self, second: int) -> int:
        """The number of the stretch that a second is in.

        >>> double_eleven(rate=10, steady_s=5, burst_s=2, warm_up_s=1, after_s=1).stretch_at(6)
        2
        """
        begins = 0.0
        for number, stretch in enumerate(self.curve):
            begins += stretch.seconds
            if second < begins:
                return number
        return len(self.curve) - 1


def double_eleven(
    rate: float = RATE,
    *,
    mix: str = "double-eleven",
    steady_s: int = 600,
    burst_s: int = 180,
    warm_up_s: int = 60,
    after_s: int = 120,
    burst_times: float = BURST_TIMES,
    targets: Targets | None = None,
    seed: int = 1,
) -> Plan:
    """A ramp, the rate, a burst, and the rate again: whether it comes back to itself. Raises UsageError."""
    curve = (
        Stretch(warm_up_s, 0, rate, WARM_UP),
        constant(rate, steady_s, STEADY),
        constant(rate * burst_times, burst_s, BURST),
        constant(rate, after_s, AFTER),
    )
    return checked(Plan("double-eleven", mix, rate, tuple(one for one in curve if one.seconds), targets or Targets(), seed=seed))


def soak(rate: float, seconds: int, *, mix: str = "everyday", targets: Targets | None = None, seed: int = 1) -> Plan:
    """One rate for hours. Raises UsageError."""
    warm_up = Stretch(min(60, max(1, seconds // 10)), 0, rate, WARM_UP)
    return checked(Plan("soak", mix, rate, (warm_up, constant(rate, seconds, STEADY)), targets or Targets(), seed=seed))


def probe(rate: float, seconds: int, *, mix: str, targets: Targets, seed: int) -> Plan:
    """One step of a search for the limit. Raises UsageError."""
    warm_up = Stretch(max(1, seconds // 5), 0, rate, WARM_UP)
    return checked(Plan("find-limit", mix, rate, (warm_up, constant(rate, seconds, STEADY)), targets, seed=seed))


def checked(plan: Plan) -> Plan:
    """The plan, if it can be carried out. Raises UsageError."""
    if plan.rate <= 0 or plan.peak <= 0:
        raise UsageError(f"A rate of {plan.rate:g} transactions a second is none.", "Give a number above 0.")
    if any(stretch.seconds <= 0 or stretch.seconds % 1 for stretch in plan.curve):
        raise UsageError("Parts of a load test take whole seconds, at least one.", "Give whole numbers above 0.")
    if not judged(plan.curve):
        raise UsageError("Nothing of the test is judged: it is all warm-up.", "Give the steady part at least a second.")
    return plan


def judged(curve: Sequence[Stretch]) -> list[int]:
    """Numbers of the stretches that count."""
    return [number for number, stretch in enumerate(curve) if stretch.name != WARM_UP]
