"""When stores go back by themselves. Pure: one-minute figures in, a decision out.

A minute of which nothing is known neither ends a streak of bad ones nor lengthens it: a source that fails while errors pour in
must not save the release. A minute is judged for all stores that moved together, so that one small store does not decide alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from migrations.release.figures import count
from migrations.release.metrics.base import Sample
from migrations.release.plan import TriggerSettings

MINUTE: Final = timedelta(minutes=1)
MinuteVerdict = Literal["BAD", "GOOD", "UNKNOWN"]
Trigger = Literal["invariant", "fast_burn", "conflicts", "dead_letters", "error_rate", "latency", "blind"]


@dataclass(frozen=True)
class Minute:
    """What is known of one minute of the stores that moved. `conflicts` and `dead_letters`: new ones of sync, None where nobody
    could say. `broken`: names of invariants that do not hold."""

    start: datetime
    sample: Sample
    conflicts: float | None = None
    dead_letters: float | None = None
    broken: tuple[str, ...] = ()


@dataclass(frozen=True)
class Judged:
    """A minute's verdict. `at_once`: triggers that need no second minute, with what each saw. `seen`: the source said something,
    even if it was that nobody came. `figures` are plain values, for the log."""

    start: datetime
    verdict: MinuteVerdict
    why: str
    seen: bool
    at_once: Mapping[Trigger, str]
    figures: Mapping[str, Any]


@dataclass(frozen=True)
class Decision:
    """What the triggers want. `why` is for people."""

    action: Literal["go on", "pause", "rollback"]
    trigger: Trigger | None = None
    why: str = ""


def judge_minute(minute: Minute, settings: TriggerSettings) -> Judged:
    """The verdict on one minute, by itself."""
    sample = minute.sample
    verdict, why = verdict_of(sample, settings)
    figures = {
        "requests": sample.requests,
        "errors": sample.errors,
        "error_rate": sample.error_rate,
        "latency_p99_s": sample.latency_p99_s,
        "conflicts": minute.conflicts,
        "dead_letters": minute.dead_letters,
        "broken": list(minute.broken),
        "seen": is_seen(sample),
        "why": why,
    }
    return Judged(minute.start, verdict, why, is_seen(sample), at_once(minute, settings), figures)


def verdict_of(sample: Sample, settings: TriggerSettings) -> tuple[MinuteVerdict, str]:
    """BAD as soon as one limit is known to be passed; GOOD only when every limit that is set is known to be kept."""
    if not is_seen(sample):
        return "UNKNOWN", sample.why or "nothing is known of requests and errors"
    rate = sample.error_rate
    if rate is None or (sample.requests or 0) < settings.min_requests:
        return "UNKNOWN", f"{sample.requests:g} requests, of which nothing can be said"
    if rate > settings.error_rate:
        return "BAD", f"{rate:.2%} of {sample.requests:.0f} requests failed, more than {settings.error_rate:.2%}"
    if settings.latency_p99_s is None:
        return "GOOD", ""
    latency = count(sample.latency_p99_s)
    if latency is None:
        return "UNKNOWN", "the response time is not known"
    if latency > settings.latency_p99_s:
        return "BAD", f"the 99th percentile of response times was {latency:.3f} s, more than {settings.latency_p99_s:g} s"
    return "GOOD", ""


def is_seen(sample: Sample) -> bool:
    """Whether the source gave figures that are numbers."""
    return count(sample.requests) is not None and count(sample.errors) is not None


def at_once(minute: Minute, settings: TriggerSettings) -> dict[Trigger, str]:
    """Triggers that one minute is enough for, the gravest first."""
    found: dict[Trigger, str] = {}
    if settings.invariants and minute.broken:
        found["invariant"] = f"does not hold: {', '.join(minute.broken)}"
    burn = fast_burn(minute.sample, settings)
    if burn:
        found["fast_burn"] = burn
    conflicts, letters = count(minute.conflicts), count(minute.dead_letters)
    if conflicts is not None and settings.conflicts is not None and conflicts > settings.conflicts:
        found["conflicts"] = f"{conflicts:.0f} new conflicts of sync in a minute, more than {settings.conflicts}"
    if letters is not None and settings.dead_letters is not None and letters > settings.dead_letters:
        found["dead_letters"] = f"{letters:.0f} new dead letters of sync in a minute, more than {settings.dead_letters}"
    return found


def fast_burn(sample: Sample, settings: TriggerSettings) -> str:
    """Whether so much fails that five minutes are too long to wait."""
    rate = sample.error_rate if is_seen(sample) else None
    if rate is None or sample.errors is None:
        return ""
    if rate < settings.fast_burn or sample.errors < settings.fast_burn_errors:
        return ""
    return f"{rate:.0%} of {sample.requests:.0f} requests failed within a minute"


def blind_for(now: datetime, watched_since: datetime, minutes: Iterable[tuple[datetime, bool]]) -> float:
    """Seconds for which nothing was seen: since the end of the last minute that was, or since somebody began to watch.

    `minutes`: the start of each minute, and whether the source said anything of it.
    """
    ends = [start + MINUTE for start, seen in minutes if seen]
    return max(0.0, (now - max([watched_since, *ends])).total_seconds())


def decide(judged: Judged | None, bad_minutes: int, blind_s: float, settings: TriggerSettings) -> Decision:
    """What follows from the last minute that was judged (None before the first), the bad minutes in a row including it, and the
    seconds for which nothing was seen."""
    if judged is not None:
        for trigger, why in judged.at_once.items():
            return Decision("rollback", trigger, why)
        if judged.verdict == "BAD" and bad_minutes >= settings.minutes:
            slow = (judged.figures["error_rate"] or 0) <= settings.error_rate
            return Decision(
                "rollback", "latency" if slow else "error_rate", f"{judged.why}, and that for {bad_minutes} minutes in a row"
            )
    if blind_s >= settings.blind_s:
        return Decision(settings.on_blind, "blind", f"nothing was seen of the stores for {blind_s:.0f} s")
    return Decision("go on")
