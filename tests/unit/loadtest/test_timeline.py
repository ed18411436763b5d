"""Seconds and the whole agree, whatever order reports come in."""

from __future__ import annotations

import numpy as np
import pytest

from loadtest.engine import Report
from loadtest.samples import SAMPLE, Outcome, Samples
from loadtest.timeline import Second, Timeline, together
from loadtest.worker import Ticks


def samples(count: int, seed: int = 1) -> Samples:
    """Over ten seconds, of two operations, one in ten lost, each 1 to 100 ms long."""
    draw = np.random.default_rng(seed)
    made = np.zeros(count, SAMPLE)
    made["operation"] = draw.integers(0, 2, count)
    made["outcome"] = np.where(draw.random(count) < 0.1, Outcome.LOST, Outcome.DONE)
    made["due"] = np.sort(draw.uniform(0, 10, count))
    made["begun"] = made["due"] + 0.0001
    made["ended"] = made["begun"] + draw.uniform(0.001, 0.1, count)
    return made


def test_seconds_add_up_to_the_whole() -> None:
    seen: dict[int, Second] = {}
    timeline, all_of_it = Timeline(2, 3.0, seen.__setitem__), samples(5_000)
    for part in np.array_split(all_of_it, 40):
        timeline.add(Report(0, part, Ticks()))
        timeline.close_until(float(part["ended"].max()))
        assert len(timeline.open) <= 5, "memory does not grow"
    timeline.end()
    assert list(seen) == list(range(10))
    assert timeline.strays == 0
    whole = together(timeline.whole)
    assert (whole.asked, whole.served) == (5_000, int((all_of_it["outcome"] == Outcome.DONE).sum()))
    assert whole.success == pytest.approx(0.9, abs=0.02)
    for operation in (0, 1):
        of_it = [second[operation] for second in seen.values() if operation in second]
        assert together(of_it).outcomes == timeline.whole[operation].outcomes
        assert together(of_it).response.encode() == timeline.whole[operation].response.encode()


def test_failures_do_not_make_it_fast() -> None:
    """A server that refuses everything in a microsecond would have the best latencies of all."""
    fast = samples(1_000)
    fast["ended"][fast["outcome"] == Outcome.LOST] = fast["begun"][fast["outcome"] == Outcome.LOST] + 1e-6
    timeline = Timeline(2, 3.0)
    timeline.add(Report(0, fast, Ticks()))
    assert together(timeline.whole).response.at(1) > 1_000


def test_what_comes_too_late_for_its_second_counts_in_the_whole() -> None:
    timeline, some = Timeline(2, 1.0), samples(100)
    timeline.add(Report(0, some[50:], Ticks()))
    timeline.end()
    timeline.add(Report(0, some[:50], Ticks()))
    assert together(timeline.whole).asked == 100
    assert timeline.strays == 50


def test_nothing_at_all() -> None:
    timeline = Timeline(1, 1.0)
    timeline.add(Report(0, np.empty(0, SAMPLE), Ticks()))
    timeline.end()
    assert together(timeline.whole).success is None
