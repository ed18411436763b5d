"""When a wave has proved itself: enough windows in a row in which every gate passed and enough customers came. Pure.

A window with few requests is UNKNOWN, and begins the count anew as a failed one does: nobody is promoted by a quiet night.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from migrations.release.figures import Verdict, count
from migrations.release.gates.base import Answer
from migrations.release.metrics.base import Sample
from migrations.release.plan import PromotionSettings


@dataclass(frozen=True)
class Window:
    """A length of time, `end` not part of it (UTC)."""

    start: datetime
    end: datetime


@dataclass(frozen=True)
class WindowVerdict:
    """What a window proves. `why`: what kept it from PASS, for people."""

    window: Window
    verdict: Verdict
    why: tuple[str, ...] = ()


def last_window(now: datetime, length_s: float) -> Window:
    """The newest window that is over. They follow each other from midnight of 1970 on: the same on every machine.

    >>> last_window(datetime(2026, 1, 1, 12, 3, 59, tzinfo=UTC), 60).end.isoformat()
    '2026-01-01T12:03:00+00:00'
    """
    length = timedelta(seconds=length_s)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    end = epoch + (now.astimezone(UTC) - epoch) // length * length
    return Window(end - length, end)


def judge_window(window: Window, sample: Sample, answers: Sequence[Answer], settings: PromotionSettings) -> WindowVerdict:
    """PASS only when every gate passes, or was overruled, and enough requests came. `sample`: of this window.

    A gate that fails goes before one that is not known: it is what somebody has to look at.
    """
    failed = [f"{answer.gate}: {answer.evidence}" for answer in answers if not answer.passed and answer.verdict is Verdict.FAIL]
    if failed:
        return WindowVerdict(window, Verdict.FAIL, tuple(failed))
    unknown = [f"{answer.gate}: {answer.evidence}" for answer in answers if not answer.passed]
    requests = count(sample.requests)
    if requests is None:
        unknown.append(sample.why or "nothing is known of its requests")
    elif requests < settings.min_requests:
        unknown.append(f"{requests:.0f} requests, fewer than {settings.min_requests}")
    if not answers:
        unknown.append("no gate was asked")
    return WindowVerdict(window, Verdict.UNKNOWN if unknown else Verdict.PASS, tuple(unknown))
