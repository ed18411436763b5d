"""When each transaction of a load test is to begin: decided before the test, whatever the server does.

A generator that waits for an answer before it asks again sends nothing while the server stands still, and so measures nothing of
it (coordinated omission; Tene, "How NOT to Measure Latency", 2015). Arrivals are therefore a schedule: times in seconds from the
start of the test, made from a curve of rates.

Evenly spaced arrivals are those where the integral of the rate passes 1/2, 3/2, 5/2, ... A Poisson process with the same curve is
a unit-rate one mapped through the inverse of that integral (time rescaling: Lewis and Shedler, "Simulation of nonhomogeneous
Poisson processes by thinning", 1979, section 1).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

Spacing = Literal["even", "poisson"]
Times = npt.NDArray[np.float64]
CHUNK: Final = 65_536
"""Arrivals that are made at a time: a schedule of hours is never in memory as a whole."""


@dataclass(frozen=True)
class Stretch:
    """A length of time in which the rate goes in a straight line. `seconds` > 0; rates in arrivals a second, >= 0."""

    seconds: float
    begins: float
    ends: float
    name: str = ""

    @property
    def count(self) -> float:
        """Arrivals in it, on average.

        >>> Stretch(10, 0, 100).count
        500.0
        """
        return self.seconds * (self.begins + self.ends) / 2


def constant(rate: float, seconds: float, name: str = "") -> Stretch:
    """The same rate throughout."""
    return Stretch(seconds, rate, rate, name)


def steps(first: float, last: float, count: int, seconds: float) -> list[Stretch]:
    """`count` equal steps from one rate to another, each held for `seconds`.

    >>> [one.begins for one in steps(100, 400, 4, 60)]
    [100.0, 200.0, 300.0, 400.0]
    """
    return [constant(float(rate), seconds, f"{rate:g}/s") for rate in np.linspace(first, last, count)]


def replayed(counts: Sequence[float], minute_s: float = 60.0, scale: float = 1.0) -> list[Stretch]:
    """Real counts by minute, each minute taking `minute_s` seconds, `scale` times as many.

    >>> replayed([600, 1200], minute_s=6, scale=2)[1].begins
    400.0
    """
    return [constant(count * scale / minute_s, minute_s, f"minute {number}") for number, count in enumerate(counts)]


def arrivals(curve: Sequence[Stretch], spacing: Spacing, seed: int) -> Iterator[Times]:
    """The schedule, in chunks: seconds from the start, ascending. The same seed gives the same times.

    >>> [float(time) for chunk in arrivals([constant(2, 2)], "even", 1) for time in chunk]
    [0.25, 0.75, 1.25, 1.75]
    """
    draw, done, passed = np.random.default_rng(seed), 0, 0.0
    edges = np.concatenate(([0.0], np.cumsum([one.count for one in curve])))
    begins = np.concatenate(([0.0], np.cumsum([one.seconds for one in curve])))
    while True:
        if spacing == "even":
            marks = np.arange(done, done + CHUNK, dtype=np.float64) + 0.5
        else:
            marks = passed + np.cumsum(draw.exponential(size=CHUNK))
            passed = float(marks[-1])
        done += CHUNK
        within = marks[marks < edges[-1]]
        if within.size:
            yield times_of(within, curve, edges, begins)
        if within.size < CHUNK:
            return


def times_of(marks: Times, curve: Sequence[Stretch], edges: Times, begins: Times) -> Times:
    """Where the integral of the rate passes each mark.

    Within a stretch it is r x + a x^2 / 2 = y, solved for x as 2 y / (r + sqrt(r^2 + 2 a y)), which also holds for a = 0.
    """
    place = np.searchsorted(edges, marks, side="right") - 1
    first = np.array([one.begins for one in curve])[place]
    slope = np.array([(one.ends - one.begins) / one.seconds for one in curve])[place]
    rest = marks - edges[place]
    both = first + np.sqrt(np.maximum(0.0, first**2 + 2 * slope * rest))
    within = np.divide(2 * rest, both, out=np.zeros_like(rest), where=both > 0)  # 0: where a ramp from nothing begins
    return np.asarray(begins[place] + within, np.float64)
