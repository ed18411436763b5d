"""What every source of figures answers. One that cannot answer says why and raises nothing: not knowing is an answer too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from migrations.release.figures import Limits, age_of, count, distrust


@dataclass(frozen=True)
class Sample:
    """Figures of some stores, pooled over a length of time. `requests` and `errors` are counts, `at` the time of the newest
    figure that the source has (aware); None for what is not known. `why`: what went wrong, "" nothing."""

    requests: float | None = None
    errors: float | None = None
    latency_p99_s: float | None = None
    at: datetime | None = None
    why: str = ""

    @property
    def known(self) -> bool:
        """Whether the source said anything: no request at all is something that it said."""
        return self.requests is not None and self.errors is not None

    @property
    def error_rate(self) -> float | None:
        """Share of requests that failed; None where there were none, or nothing is known."""
        if self.requests is None or self.errors is None or self.requests <= 0:
            return None
        return self.errors / self.requests


class MetricsSource(Protocol):
    """Where figures come from."""

    def read(self, stores: Sequence[str], start: datetime, end: datetime) -> Sample:
        """The figures of `stores` from `start` up to `end` (aware)."""


class NoSource:
    """Where the plan names none."""

    def read(self, stores: Sequence[str], start: datetime, end: datetime) -> Sample:
        """Nothing."""
        return Sample(why="the plan names no source: set [metrics] source")


def trust(sample: Sample, limits: Limits, now: datetime) -> Sample:
    """A sample without what may not be believed: NaN, infinite and negative figures; all of them where they are old or ahead."""
    doubt = distrust(age_of(sample.at, now), limits) if sample.known else ""
    requests, errors, latency = count(sample.requests), count(sample.errors), count(sample.latency_p99_s)
    if doubt:
        return Sample(at=sample.at, why=sample.why or f"the newest figure is not of now: {doubt}")
    if requests is None or errors is None:
        return Sample(at=sample.at, why=sample.why or "requests or errors are missing, or no numbers")
    return replace(sample, requests=requests, errors=errors, latency_p99_s=latency)
