"""Histograms say what a sorted list says, to three digits, whole or merged."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.latency import HIGHEST_US, SHOWN, Latency

VALUES = st.lists(st.integers(1, HIGHEST_US), min_size=1, max_size=300)


def of(values: list[int]) -> Latency:
    """Counted at once."""
    latency = Latency()
    latency.add(np.array(values))
    return latency


@settings(max_examples=50, deadline=None)
@given(VALUES, VALUES)
def test_merged_and_sent_it_says_what_a_sorted_list_says(left: list[int], right: list[int]) -> None:
    merged = Latency.decode(of(left).encode())
    merged.merge([Latency.decode(of(right).encode())])
    ordered = sorted(left + right)
    assert merged.count == len(ordered)
    for percentile in SHOWN:
        exact = ordered[max(1, int(len(ordered) * percentile / 100 + 0.5)) - 1]  # as the library rounds
        assert merged.at(percentile) == pytest.approx(exact, rel=1e-3)
    assert merged.longest_us == pytest.approx(ordered[-1], rel=1e-3)


def test_nothing_counted_is_nothing_known() -> None:
    assert (Latency().count, Latency().at(99), Latency().longest_us, Latency().mean_us) == (0, 0.0, 0.0, 0.0)


def test_what_is_out_of_range_counts_at_its_end() -> None:
    latency = of([0, 10 * HIGHEST_US])
    assert latency.count == 2
    assert latency.at(50) == 1
    assert latency.longest_us == pytest.approx(HIGHEST_US, rel=1e-3)


def test_how_many_kept_a_limit() -> None:
    latency = of(list(range(1, 1001)))
    assert [latency.within(limit) for limit in (0, 1, 250, 5_000)] == [0, 1, 250, 1_000]
