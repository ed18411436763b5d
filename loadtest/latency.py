"""Latencies in HdrHistograms: three significant digits from a microsecond to an hour, merged without loss.

https://github.com/HdrHistogram/HdrHistogram describes the format; `encode` gives its V2 compressed form, which the Java, C and
Python libraries read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
from hdrh.histogram import HdrHistogram

LOWEST_US: Final = 1
HIGHEST_US: Final = 3_600 * 1_000_000
DIGITS: Final = 3
SHOWN: Final = (50.0, 90.0, 95.0, 99.0, 99.9, 99.99)


class Latency:
    """Counts of latencies in microseconds. What is longer than an hour counts as an hour, and shows as such."""

    def __init__(self, histogram: Any = None) -> None:
        self.histogram: Any = HdrHistogram(LOWEST_US, HIGHEST_US, DIGITS) if histogram is None else histogram

    @classmethod
    def decode(cls, encoded: bytes) -> Self:
        """From `encode`."""
        return cls(HdrHistogram.decode(encoded))

    def encode(self) -> bytes:
        """As the libraries exchange it."""
        return bytes(self.histogram.encode())

    def add(self, values_us: npt.NDArray[Any]) -> None:
        """Count these values, of any numeric type; a fraction of a microsecond is rounded, and 0 is 1."""
        bounded = np.clip(np.rint(values_us), LOWEST_US, HIGHEST_US).astype(np.int64)
        for value, count in zip(*(column.tolist() for column in np.unique(bounded, return_counts=True)), strict=True):
            self.histogram.record_value(value, count)

    def merge(self, others: Iterable[Latency]) -> None:
        """Add what others counted."""
        for other in others:
            self.histogram.add(other.histogram)

    @property
    def count(self) -> int:
        """How many were counted."""
        return int(self.histogram.get_total_count())

    @property
    def longest_us(self) -> float:
        """The longest, 0 where there is none."""
        return float(self.histogram.get_max_value()) if self.count else 0.0

    @property
    def mean_us(self) -> float:
        """The mean, 0 where there is none."""
        return float(self.histogram.get_mean_value()) if self.count else 0.0

    def at(self, percentile: float) -> float:
        """Microseconds that so many percent did not exceed; 0 where there is none.

        >>> latency = Latency()
        >>> latency.add(np.arange(1, 1001))
        >>> latency.at(50), latency.at(99), latency.at(100), latency.count
        (500.0, 990.0, 1000.0, 1000)
        """
        return float(self.histogram.get_value_at_percentile(percentile)) if self.count else 0.0

    def shown(self) -> Mapping[str, float]:
        """The percentiles that every report shows, in milliseconds."""
        return {f"p{percentile:g}": self.at(percentile) / 1000 for percentile in SHOWN}

    def within(self, limit_us: float) -> int:
        """How many took no longer than this, to three digits."""
        return int(sum(item.count_added_in_this_iter_step for item in self.curve() if item.value_iterated_to <= limit_us))

    def curve(self) -> Iterable[Any]:
        """The values that occurred, ascending, as the library's iteration items."""
        items: Iterable[Any] = self.histogram.get_recorded_iterator()
        return items
