"""The limit that is found is the limit that there is, also where luck plays."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.limit import Search, find_limit
from loadtest.verdict import Verdict


@given(limit=st.floats(20, 20_000), first=st.floats(1, 2_000))
def test_a_sharp_limit_is_found_within_the_precision(limit: float, first: float) -> None:
    found = find_limit(lambda rate: Verdict.PASS if rate <= limit else Verdict.FAIL, Search(first, 50_000))
    assert found.failed is not None
    assert found.held <= limit < found.failed
    assert found.failed - found.held <= 0.05 * found.failed + 1e-9
    assert [probe.rate for probe in found.probes].count(found.held) >= 3
    assert len(found.probes) < 60


def test_a_server_that_holds_everything_is_told_as_such() -> None:
    found = find_limit(lambda rate: Verdict.PASS, Search(100, 1_000))
    assert (found.held, found.failed) == (1_000, None)


def test_one_that_holds_nothing_ends() -> None:
    found = find_limit(lambda rate: Verdict.FAIL, Search(100, 1_000))
    assert found.held == 0
    assert found.failed is not None
    assert found.failed <= 1
    assert len(found.probes) < 20


def test_beyond_the_generator_nothing_is_known() -> None:
    """What a bug would cost: the limit of a laptop, told as that of a cluster."""
    found = find_limit(lambda rate: Verdict.PASS if rate < 500 else Verdict.VOID, Search(100, 50_000))
    assert found.void is not None
    assert found.held == pytest.approx(337.5)
    assert found.failed is None
    assert found.void > found.held


def test_luck_is_not_told_as_strength() -> None:
    """Between 500 and 1,000 it holds every second time; what is told has held three times in a row."""
    told = []
    for seed in range(40):
        chance = random.Random(seed)

        def ask(rate: float, chance: random.Random = chance) -> Verdict:
            lucky = rate <= 500 or (rate <= 1_000 and chance.random() < 0.5)
            return Verdict.PASS if lucky else Verdict.FAIL

        told.append(find_limit(ask, Search(100, 5_000)).held)
    assert sum(rate > 750 for rate in told) <= 4
    assert min(told) > 50
