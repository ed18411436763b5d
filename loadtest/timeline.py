"""What a load test saw, second by second and as a whole, in memory that does not grow with its length.

A transaction belongs to the second in which it was due: a server that stands still shows where it stood, not where it answered at
last. A second is closed once nothing of it can come any more, and handed on; only the seconds still open are kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from loadtest.engine import Report
from loadtest.latency import Latency
from loadtest.samples import Outcome, Samples, late, response_us, served, service_us

OUTCOMES: Final = len(Outcome)


@dataclass
class Tally:
    """Of one operation in some time: how its transactions ended, and their latencies. `late`: begun late by the generator."""

    outcomes: list[int] = field(default_factory=lambda: [0] * OUTCOMES)
    retries: int = 0
    late: int = 0
    response: Latency = field(default_factory=Latency)
    service: Latency = field(default_factory=Latency)

    def add(self, samples: Samples) -> None:
        """Count these."""
        counts = np.bincount(samples["outcome"], minlength=OUTCOMES).tolist()
        self.outcomes = [before + now for before, now in zip(self.outcomes, counts, strict=True)]
        self.retries += int(samples["retries"].sum())
        self.late += late(samples)
        mine = samples[served(samples)]  # how fast it failed says nothing of how fast it serves
        self.response.add(response_us(mine))
        self.service.add(service_us(mine))

    def merge(self, other: Tally) -> None:
        """Add what another counted."""
        self.outcomes = [mine + its for mine, its in zip(self.outcomes, other.outcomes, strict=True)]
        self.retries, self.late = self.retries + other.retries, self.late + other.late
        self.response.merge([other.response])
        self.service.merge([other.service])

    @property
    def asked(self) -> int:
        """Transactions that ended, however they did."""
        return sum(self.outcomes)

    @property
    def served(self) -> int:
        """Those that the server did as it was asked, among them those that the business refused."""
        return self.outcomes[Outcome.DONE] + self.outcomes[Outcome.REFUSED]

    @property
    def success(self) -> float | None:
        """Share of those that were served; None where there were none at all."""
        return self.served / self.asked if self.asked else None


Second = dict[int, Tally]
"""By number of the operation."""


@dataclass
class Timeline:
    """`operations`: how many there are. `open_s`: a second is closed so long after it: a transaction may take as long to end.
    `closed`: told of each second that is over, in order of time."""

    operations: int
    open_s: float
    closed: Callable[[int, Second], None] = lambda second, tallies: None
    whole: list[Tally] = field(default_factory=list)
    strays: int = 0

    def __post_init__(self) -> None:
        self.whole = [Tally() for _ in range(self.operations)]
        self.open: dict[int, Second] = {}
        self.done = -1

    def add(self, report: Report) -> None:
        """What a process reports."""
        samples = report.samples
        if not samples.size:
            return
        for operation in np.unique(samples["operation"]).tolist():
            mine = samples[samples["operation"] == operation]
            self.whole[operation].add(mine)
            seconds = np.floor(mine["due"]).astype(np.int64)
            for second in np.unique(seconds).tolist():
                self.place(second, operation, mine[seconds == second])

    def place(self, second: int, operation: int, samples: Samples) -> None:
        """In the second they are of; one that comes after it was closed is counted in the whole, and as a stray."""
        if second <= self.done:
            self.strays += samples.size
            return
        self.open.setdefault(second, {}).setdefault(operation, Tally()).add(samples)

    def close_until(self, now_s: float) -> None:
        """Close what is older than transactions may take. `now_s`: seconds from the start of the test."""
        for second in sorted(one for one in self.open if one + 1 + self.open_s <= now_s):
            self.closed(second, self.open.pop(second))
            self.done = second

    def end(self) -> None:
        """Close the rest."""
        self.close_until(float("inf"))


def together(tallies: list[Tally]) -> Tally:
    """All operations as one."""
    whole = Tally()
    for tally in tallies:
        whole.merge(tally)
    return whole
