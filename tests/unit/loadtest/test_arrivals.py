"""Schedules: as many arrivals as the curve says, where it says, and the same for everybody who has the seed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from loadtest.arrivals import CHUNK, Spacing, Stretch, Times, arrivals, constant, replayed, steps


def whole(curve: Sequence[Stretch], spacing: Spacing, seed: int = 1) -> Times:
    """All chunks."""
    return np.concatenate([np.empty(0), *arrivals(curve, spacing, seed)])


@pytest.mark.parametrize("spacing", ["even", "poisson"])
def test_a_curve_is_kept_in_each_of_its_parts(spacing: Spacing) -> None:
    """Warm-up, a steady rate, a burst, nothing, and down to nothing."""
    curve = [Stretch(10, 0, 2_000), constant(2_000, 20), constant(8_000, 5), constant(0, 5), Stretch(10, 2_000, 0)]
    times = whole(curve, spacing)
    assert (np.diff(times) >= 0).all()
    assert times[0] >= 0
    ends = np.cumsum([one.seconds for one in curve])
    assert times[-1] <= ends[-1]
    found = np.histogram(times, np.concatenate(([0.0], ends)))[0]
    for one, count in zip(curve, found, strict=True):
        allowed = 1 if spacing == "even" else 5 * one.count**0.5
        assert abs(count - one.count) <= allowed


def test_on_a_ramp_each_second_has_its_share() -> None:
    """A rate that rises by 100 a second gives 50, 150, 250, ..."""
    found = np.histogram(whole([Stretch(10, 0, 1_000)], "even"), np.arange(11))[0]
    assert found.tolist() == [50 + 100 * second for second in range(10)]


def test_poisson_gaps_are_exponential() -> None:
    """Of a unit exponential, mean and deviation are the same; even spacing has none."""
    gaps = np.diff(whole([constant(1_000, 200)], "poisson"))
    assert gaps.mean() == pytest.approx(0.001, rel=0.02)
    assert gaps.std() == pytest.approx(0.001, rel=0.02)
    assert np.diff(whole([constant(1_000, 200)], "even")).std() < 1e-9


def test_the_seed_decides() -> None:
    assert (whole([constant(500, 4)], "poisson", 3) == whole([constant(500, 4)], "poisson", 3)).all()
    assert whole([constant(500, 4)], "poisson", 3)[0] != whole([constant(500, 4)], "poisson", 4)[0]


def test_a_long_schedule_comes_in_chunks_without_a_seam() -> None:
    chunks = list(arrivals([constant(CHUNK / 2, 5)], "even", 1))
    assert [chunk.size for chunk in chunks] == [CHUNK, CHUNK, CHUNK // 2]
    assert np.allclose(np.diff(np.concatenate(chunks)), 2 / CHUNK)


def test_a_day_of_sales_is_replayed_faster_and_larger() -> None:
    times = whole(replayed([60, 0, 120], minute_s=1, scale=10), "even")
    assert np.histogram(times, [0, 1, 2, 3])[0].tolist() == [600, 0, 1_200]


def test_steps_hold_each_rate() -> None:
    assert np.histogram(whole(steps(100, 300, 3, 2), "even"), [0, 2, 4, 6])[0].tolist() == [200, 400, 600]


@pytest.mark.parametrize("spacing", ["even", "poisson"])
def test_nothing_asked_is_nothing_sent(spacing: Spacing) -> None:
    assert whole([constant(0, 10)], spacing).size == 0
