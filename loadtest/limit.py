"""The highest rate that holds: step up until one does not, then halve the distance, then ask the answer again.

A rate that held once may have been lucky, so the one that is told has held `confirmations` times in a row; one that failed once
is not asked again, since a customer is not either. Where the generator was the limit nothing is known of the server beyond it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from loadtest.verdict import Verdict

GROWTH: Final = 1.5
PRECISION: Final = 0.05
"""Share of the rate within which the answer is known."""
CONFIRMATIONS: Final = 3


@dataclass(frozen=True)
class Probe:
    """One rate, asked once."""

    rate: float
    verdict: Verdict


@dataclass(frozen=True)
class Limit:
    """`held`: the highest rate that held as often as it was asked, 0 where none did. `failed`: the lowest that did not, None
    where every one did. `void`: the rate at which the generator was the limit, None where it never was. `probes`: all of them."""

    held: float
    failed: float | None
    void: float | None
    probes: tuple[Probe, ...]


@dataclass(frozen=True)
class Search:
    """`first`: the rate to begin with; `most`: never more than this. See the constants above."""

    first: float
    most: float
    growth: float = GROWTH
    precision: float = PRECISION
    confirmations: int = CONFIRMATIONS


def find_limit(ask: Callable[[float], Verdict], search: Search) -> Limit:
    """Ask one rate after another. `ask` runs a test at a rate and says what came of it.

    >>> found = find_limit(lambda rate: Verdict.PASS if rate <= 730 else Verdict.FAIL, Search(100, 5_000))
    >>> found.held <= 730 < found.failed <= found.held * 1.06
    True
    """
    probes: list[Probe] = []

    def asked(rate: float, times: int) -> Verdict:
        """The first verdict that is no PASS, if there is one."""
        for _ in range(times):
            probes.append(Probe(rate, ask(rate)))
            if probes[-1].verdict is not Verdict.PASS:
                break
        return probes[-1].verdict

    held, failed = 0.0, None
    rate = min(search.first, search.most)
    while failed is None and held < search.most:
        verdict = asked(rate, 1)
        if verdict is Verdict.VOID:
            return Limit(confirmed(asked, held, search), None, rate, tuple(probes))
        held, failed = (rate, None) if verdict is Verdict.PASS else (held, rate)
        rate = min(rate * search.growth, search.most)
    while True:
        while failed is not None and failed - held > search.precision * failed and failed > 1:
            rate = (held + failed) / 2
            verdict = asked(rate, 1)
            if verdict is Verdict.VOID:
                return Limit(confirmed(asked, held, search), failed, rate, tuple(probes))
            held, failed = (rate, failed) if verdict is Verdict.PASS else (held, rate)
        if not held or asked(held, search.confirmations - 1) is Verdict.PASS:
            return Limit(held, failed, None, tuple(probes))
        held, failed = 0.0, held


def confirmed(asked: Callable[[float, int], Verdict], held: float, search: Search) -> float:
    """The rate, if it holds once more as often as is asked; else nothing is known to hold."""
    return held if held and asked(held, search.confirmations - 1) is Verdict.PASS else 0.0
