"""Sweeps that take longer than the time between two of them."""

from __future__ import annotations

import time

import pytest

from etl.sync import run
from etl.sync.model import Counts
from etl.sync.reverse_round import ReverseSync, reverse_round, sweep_round
from tests.integration.sync.running.support import Shop, until

SWEEP_S = 1.0


def test_slow_sweeps_leave_room_for_rounds(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine sync did nothing but sweep: rows were sent, its lag grew without end, and the gate held every wave."""
    order: list[str] = []
    sweep, go_round = sweep_round, reverse_round

    def slow_sweep(sync: ReverseSync) -> dict[str, Counts]:
        order.append("sweep")
        counts = sweep(sync)
        time.sleep(1.2 * SWEEP_S)
        return counts

    def noted_round(sync: ReverseSync) -> dict[str, Counts]:
        order.append("round")
        return go_round(sync)

    monkeypatch.setattr(run, "sweep_round", slow_sweep)
    monkeypatch.setattr(run, "reverse_round", noted_round)
    with shop.running(shop.with_sync(sweep_s=SWEEP_S)):
        until(lambda: order.count("sweep") == 2)
    assert "round" in order[: order.index("sweep", 1)], order
