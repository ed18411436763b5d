"""How far a server's clock is from ours."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from etl.checks.model import CheckResult, Side, Status

LOOKS: Final = 5
WARN_SECONDS: Final = 1.0
FAIL_SECONDS: Final = 60.0
"""Times decide which side changed a row last and when a coupon ends: a minute is more than any conflict window allows."""

TELL_NTP: Final = "Let both machines follow the same time servers (NTP, chrony or w32time)."


@dataclass(frozen=True)
class Skew:
    """The server's clock minus ours, in seconds, known to within `error` seconds."""

    seconds: float
    error: float


def measure_skew(ask: Callable[[], datetime], looks: int = LOOKS) -> Skew:
    """Ask a server for its UTC time `looks` times and keep the quickest answer, taken as given halfway through its round trip."""
    best = Skew(0.0, float("inf"))
    for _ in range(looks):
        begun, started = datetime.now(UTC), time.monotonic()
        theirs = as_utc(ask())
        half = (time.monotonic() - started) / 2
        if half < best.error:
            best = Skew((theirs - begun - timedelta(seconds=half)).total_seconds(), half)
    return best


def as_utc(moment: datetime) -> datetime:
    """A server's time without a zone is in UTC, because that is what it was asked for."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def judge_skew(side: Side, skew: Skew) -> CheckResult:
    """One server against this machine."""
    values = (("skew", f"{skew.seconds:+.3f}"), ("error", f"{skew.error:.3f}"))
    found = "{skew} s from this machine's clock, within {error} s."
    status = status_of(skew)
    return CheckResult("clock", side, status, found, "" if status == "ok" else TELL_NTP, values)


def judge_pair(source: Skew | None, target: Skew | None) -> Iterator[CheckResult]:
    """Source against target, where both answered."""
    if source is None or target is None:
        return
    between = Skew(target.seconds - source.seconds, source.error + target.error)
    values = (("skew", f"{between.seconds:+.3f}"), ("error", f"{between.error:.3f}"))
    status = status_of(between)
    found = "The target's clock is {skew} s from the source's, within {error} s."
    yield CheckResult("both clocks", "target", status, found, "" if status == "ok" else TELL_NTP, values)


def status_of(skew: Skew) -> Status:
    """ok, warn or fail: only what lies outside the error of the measurement counts.

    >>> status_of(Skew(0.2, 0.01)), status_of(Skew(5, 0.01)), status_of(Skew(-3600, 1)), status_of(Skew(2, 3))
    ('ok', 'warn', 'fail', 'ok')
    """
    surely = max(0.0, abs(skew.seconds) - skew.error)
    return "fail" if surely >= FAIL_SECONDS else "warn" if surely >= WARN_SECONDS else "ok"
