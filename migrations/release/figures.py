"""Whether a figure may be believed: it has to be a finite number, not negative, and from now rather than from long ago or ahead.

Everything that judges a release asks here. What is not known is not zero: an empty answer of a dead source looks like no errors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

FUTURE_S: Final = 5.0
"""How far the time of a figure may be ahead of ours: clocks of two machines are never quite alike."""


class Verdict(StrEnum):
    """UNKNOWN is never good enough: nothing is promoted on it, and nothing is rolled back by it."""

    PASS = "PASS"
    FAIL = "FAIL"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True)
class Limits:
    """How old a figure may be, and how far its time may be ahead (seconds)."""

    max_age_s: float
    clock_allowance_s: float = FUTURE_S


def number(value: object) -> float | None:
    """A figure as a number; None for one that is missing, NaN, infinite, or no number at all.

    >>> number("12.5"), number("NaN"), number(float("inf")), number(None), number(True), number("many")
    (12.5, None, None, None, None, None)
    """
    if value is None or isinstance(value, bool):
        return None
    try:
        found = float(value.decode() if isinstance(value, bytes) else str(value))
    except (ValueError, UnicodeDecodeError):
        return None
    return found if math.isfinite(found) else None


def count(value: object) -> float | None:
    """The same of something that is counted: less than nothing is not a figure either.

    >>> count(-1), count(0)
    (None, 0.0)
    """
    found = number(value)
    return found if found is not None and found >= 0 else None


def age_of(at: datetime | None, now: datetime) -> float | None:
    """Seconds since a figure was taken, negative for one from the future; None where nobody says when."""
    return None if at is None else (now - at).total_seconds()


def distrust(age_s: float | None, limits: Limits) -> str:
    """Why a figure of this age says nothing, "" where it does.

    >>> distrust(None, Limits(60)), distrust(60.1, Limits(60)), distrust(-5.1, Limits(60)), distrust(60, Limits(60))
    ('it does not say from when it is', 'it is 60 s old', 'its time is 5 s ahead of this clock', '')
    """
    if age_s is None or not math.isfinite(age_s):
        return "it does not say from when it is"
    if age_s < -limits.clock_allowance_s:
        return f"its time is {words(-age_s)} ahead of this clock"
    return f"it is {words(age_s)} old" if age_s > limits.max_age_s else ""


def words(seconds: float) -> str:
    """A length of time for people.

    >>> words(59.4), words(600), words(7200), words(200000)
    ('59 s', '10 min', '2 h', '2 d')
    """
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{timedelta(seconds=seconds) / timedelta(seconds=size):.0f} {unit}"
    return f"{seconds:.0f} s"
