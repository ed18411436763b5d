"""What is reported of servers whose latencies can be worked out."""

from __future__ import annotations

import math
import os
import signal
import time

import numpy as np
import pytest

from etl.errors import RefusedError
from loadtest.arrivals import constant
from loadtest.engine import Load, Report, running, share_of
from loadtest.samples import Samples, late, response_us, served, service_us
from tests.unit.loadtest.made_up import Broken, Exponential, Frozen, Refusing

FREEZES = Frozen(0.001, 2.5, 0.5)


def run(load: Load) -> tuple[Samples, list[Report]]:
    """The whole test."""
    with running(load) as reports:
        found = list(reports)
    return np.concatenate([report.samples for report in found]), found


def test_a_frozen_server_is_seen_as_its_customers_see_it() -> None:
    """Half a second of every two and a half nothing is answered: of all that is asked a fifth waits, evenly from 0 to 0.5 s. The
    99th percentile is where a twentieth of that fifth is left: 0.475 s. Whoever waits for answers reports some milliseconds."""
    samples, _ = run(Load([constant(200, 5)], [1], FREEZES, threads=128))
    assert served(samples).all()
    assert samples.size == pytest.approx(1_000, abs=160)
    assert np.percentile(response_us(samples), 99) == pytest.approx(475_000, rel=0.08)
    assert np.percentile(response_us(samples), 70) < 50_000


def test_fewer_connections_than_wait_do_not_hide_it() -> None:
    """Arrivals that find no connection free wait for one, and that counts; service time alone would not show it."""
    samples, _ = run(Load([constant(200, 5)], [1], FREEZES, threads=4))
    assert np.percentile(response_us(samples), 99) == pytest.approx(475_000, rel=0.08)
    assert np.percentile(service_us(samples), 95) < 50_000
    assert late(samples) < 0.05 * samples.size, "waiting for a connection is not the generator's doing"


def test_known_latencies_are_reported_as_they_are() -> None:
    """Of an exponential distribution, so many percent are below -mean ln(1 - p)."""
    samples, _ = run(Load([constant(200, 5)], [1], Exponential(0.1), processes=2, threads=48))
    for percent in (50, 90, 95):
        assert np.percentile(response_us(samples), percent) == pytest.approx(-100_000 * math.log(1 - percent / 100), rel=0.15)


def test_the_same_schedule_whoever_carries_it_out() -> None:
    """What a bug would cost: four processes ask for something else than one."""
    whole = [share_of(Load([constant(5_000, 30)], [3, 1], Frozen(0, 1, 0), processes=1), 0)]
    parts = [share_of(Load([constant(5_000, 30)], [3, 1], Frozen(0, 1, 0), processes=4), process) for process in range(4)]
    one = sorted(arrival for share in whole for arrival in share)
    assert one == sorted(arrival for share in parts for arrival in share)
    assert np.mean([operation for _, operation in one]) == pytest.approx(0.25, abs=0.01)


def test_a_test_that_is_ended_early_ends_at_once() -> None:
    began = time.monotonic()
    with running(Load([constant(100, 600)], [1], Frozen(0.001, 1, 0), processes=2, threads=4)) as reports:
        first = next(report for report in reports if report.samples.size)
    assert served(first.samples).all()
    assert time.monotonic() - began < 15


def test_a_server_that_lets_nobody_in_begins_no_test() -> None:
    load = Load([constant(1, 1)], [1], Refusing(), threads=2)
    with pytest.raises(RefusedError, match="did not begin") as caught, running(load):
        pass
    assert "secret" not in str(caught.value)


def test_a_bug_of_a_scenario_ends_the_test_and_tells_no_data() -> None:
    """What a bug would cost: a test that goes on with the threads that are left, and looks like a slow server."""
    _, reports = run(Load([constant(200, 60)], [1], Broken(), threads=4))
    assert "KeyError" in reports[-1].trouble
    assert "139" not in reports[-1].trouble


def test_a_process_that_is_killed_is_told() -> None:
    import multiprocessing

    with running(Load([constant(100, 600)], [1], Frozen(0.001, 1, 0), processes=1, threads=4)) as reports:
        next(reports)
        os.kill(multiprocessing.active_children()[0].pid or 0, signal.SIGKILL)
        last = list(reports)[-1]
    assert (last.over, last.trouble) == (True, "it was ended from outside")
