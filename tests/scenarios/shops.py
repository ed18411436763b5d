"""A retailer whose sides are kept in step while stores sell on both, with a network between that can be made to fail."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from etl.progress import Silent
from etl.reconcile.run import ReconcileRequest, run_reconcile
from fixtures.retailer import ROOT, Process, Retailer, begin_program, kill, open_retailer, program, start_program
from fixtures.storefront.intents import DEFAULT_MIX
from fixtures.storefront.judge import JudgeRequest, Verdict, judge
from fixtures.storefront.run import StorefrontPlan, StorefrontResult, run_storefront

QUIET_S: Final = 240
LOOK_S: Final = 0.5
__all__ = ["ROOT", "Process", "Retailer", "begin_program", "kill", "open_retailer", "program", "start_program"]


@contextmanager
def shops_open(
    retailer: Retailer,
    rate: float = 20.0,
    *,
    workers: int = 2,
    skews_s: tuple[float, ...] = (0.0,),
    mix: dict[str, float] | None = None,
    known_records_only: bool = False,
) -> Iterator[list[StorefrontResult]]:
    """Stores sell on both sides, `rate` actions a second on each, until the end of the block. The list then holds the result."""
    plan = StorefrontPlan(
        sides=retailer.sides, routes=retailer.routes, logs=retailer.folder / f"logs-{len(retailer.sold)}", seconds=36_000,
        legacy_rate=rate, tidb_rate=rate, workers=workers, seed=len(retailer.sold), hot=5, skews_s=skews_s,
        mix=mix or dict(DEFAULT_MIX), known_records_only=known_records_only,
    )  # fmt: skip
    stop = threading.Event()
    ended: list[StorefrontResult] = []
    with ThreadPoolExecutor(1) as pool:
        selling = pool.submit(run_storefront, plan, stop)
        retailer.sold.append(plan.logs)
        try:
            while not any(plan.logs.glob("*.jsonl")) and not selling.done():
                time.sleep(0.02)
            yield ended
        finally:
            stop.set()
            ended.append(selling.result())


def run_until_quiet(retailer: Retailer) -> None:
    """Let sync come to rest."""
    process = begin_program(retailer, "--until-quiet")
    assert process.wait(timeout=QUIET_S) == 0, retailer.told()


def await_agreement(retailer: Retailer, logs: Sequence[Path], allowance_s: float, seconds: float = 45.0) -> Verdict:
    """While sync runs: until the judge and reconcile find nothing; what they found at last, if they do not come to it."""
    deadline = time.monotonic() + seconds
    while True:
        verdict = judge(JudgeRequest(retailer.sides, tuple(logs), allowance_s))
        late = time.monotonic() > deadline
        if verdict.clean:
            found = differences(retailer)
            if not found:
                return verdict
            assert not late, (found, retailer.told())
        assert not late, (verdict.deviations[:20], retailer.told())
        time.sleep(LOOK_S)


def assert_nothing_lost(retailer: Retailer, logs: Sequence[Path], allowance_s: float = 10.0) -> Verdict:
    """The judge and reconcile find nothing."""
    verdict = judge(JudgeRequest(retailer.sides, tuple(logs), allowance_s))
    assert verdict.clean, verdict.deviations
    found = differences(retailer)
    assert not found, found
    return verdict


def differences(retailer: Retailer) -> dict[str, str]:
    """What reconcile finds, by table."""
    result = run_reconcile(retailer.settings, ReconcileRequest(()), Silent())
    return {table.table: json.dumps([str(one) for one in table.differences[:5]]) for table in result.tables if table.differing}


def number_from_environment(name: str, default: float) -> float:
    """A setting of the slow proofs."""
    return float(os.environ.get(name, default))
