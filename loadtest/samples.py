"""What became of each transaction: one row each, in arrays, as worker processes hand them over once a second."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[Any]
"""Rows of SAMPLE."""

SAMPLE: Final = np.dtype(
    [
        ("operation", "u1"),
        ("outcome", "u1"),
        ("retries", "u1"),
        ("due", "f8"),  # seconds from the start of the test at which it was to begin
        ("begun", "f8"),  # ... at which its first statement was sent
        ("ended", "f8"),  # ... at which its answer was there
        ("slept", "?"),  # a connection was free when it was due: beginning late is then the generator's doing
        ("error", "u4"),  # the server's number of it; 0: none
        ("written", "u8"),  # number of what it wrote, to be found afterwards; 0: nothing
    ]
)


class Outcome(IntEnum):
    """How a transaction ended, as an application sees it."""

    DONE = 0
    REFUSED = 1
    """By the business: no such member, not enough points. The server did what it was asked."""
    CONFLICT = 2
    """A retryable error, and every retry too."""
    TIMEOUT = 3
    LOST = 4
    """The connection broke, or could not be made."""
    FAILED = 5
    """Any other error of the server."""


SERVED: Final = (Outcome.DONE, Outcome.REFUSED)
LATE_S: Final = 0.005
"""A transaction that begins so long after it was due although a connection was free counts as late."""


def response_us(samples: Samples) -> npt.NDArray[np.float64]:
    """From when it was due: what a customer waits, also for a connection."""
    return np.asarray((samples["ended"] - samples["due"]) * 1e6, np.float64)


def service_us(samples: Samples) -> npt.NDArray[np.float64]:
    """From when it was sent: what a generator that waits for answers would have reported."""
    return np.asarray((samples["ended"] - samples["begun"]) * 1e6, np.float64)


def late(samples: Samples) -> int:
    """How many the generator began late.

    >>> begun = [(1.001, True), (1.2, True), (9.0, False)]
    >>> late(np.array([(0, 0, 0, 1.0, at, 9.5, slept, 0, 0) for at, slept in begun], SAMPLE))
    1
    """
    return int(np.count_nonzero(samples["slept"] & (samples["begun"] - samples["due"] > LATE_S)))


def served(samples: Samples) -> npt.NDArray[np.bool_]:
    """Which of them the server did as it was asked."""
    return np.isin(samples["outcome"], [int(outcome) for outcome in SERVED])
