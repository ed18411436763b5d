"""The storefront under a published map: stores move while they sell, and an acknowledgement is worth what it says."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from fixtures.storefront.journal import read_journals
from fixtures.storefront.judge import JudgeRequest, judge
from fixtures.storefront.routes import PublishedRoutes, Routes, open_routes, write_routes
from fixtures.storefront.run import StorefrontPlan, StorefrontResult, run_storefront
from fixtures.storefront.world import read_stores
from migrations.release.acks import AckWatch
from migrations.release.events import Event, Planned, Routed, Started, StepDone, SwitchBegun, SwitchDone, WaveBegun
from migrations.release.machine import fold
from migrations.release.model import ReleaseState, Route, steps_of
from migrations.release.publish.publisher import Places, publish
from tests.integration.storefront.conftest import Chain

SALES = {"sale": 1.0}
OWN_NUMBERS = {"sale": 3.0, "order": 1.0, "status": 1.0, "redeem": 1.0}
"""What carries a number of its run: other tests that share the chain do not take it for theirs."""


@dataclass(frozen=True)
class Moved:
    """When a fence was acknowledged, and when the new route began to go out, in seconds since 1970."""

    acknowledged: float
    published: float


@dataclass
class Release:
    """Moves stores of a map that it publishes, waiting for acknowledgements as a release does."""

    state: ReleaseState
    places: Places
    watch: AckWatch

    def move(self, *stores: str, to: Route) -> Moved:
        """Fence, wait, publish."""
        self.state = fold([SwitchBegun(stores, to)], self.state)
        acknowledged = published = 0.0
        for step in steps_of(self.state.stores[stores[0]].route, to):
            routed: list[Event] = [Routed(step)] if step in ("fence", "publish") else []
            self.state = fold([*routed, StepDone(step)], self.state)
            if routed:
                published = time.time()
                publish(self.state, self.places)
                self.wait()
            if step == "fence":
                acknowledged = time.time()
                time.sleep(0.4)  # drained and reconciled meanwhile
        self.state = fold([SwitchDone()], self.state)
        return Moved(acknowledged, published)

    def wait(self) -> None:
        """Until every instance has the newest map."""
        latest = time.monotonic() + 30.0
        while not (found := self.watch.look(self.state.sequence)).done:
            assert time.monotonic() < latest, found.why()
            time.sleep(0.01)


@pytest.fixture
def release(chain: Chain, tmp_path: Path) -> Release:
    """All stores on the legacy side, as map 0."""
    stores = tuple(sorted(read_stores(chain.sides)))
    state = fold([Planned("autumn", (stores,), dict.fromkeys(stores, Route.LEGACY)), Started(), WaveBegun(0)])
    places = Places(tmp_path / "routes.json", acks=tmp_path / "acks")
    publish(state, places)
    return Release(state, places, AckWatch(tmp_path / "acks"))


@contextmanager
def selling(chain: Chain, release: Release, logs: Path, mix: dict[str, float]) -> Iterator[list[StorefrontResult]]:
    """The stores sell until the end of the block; the list then holds the result."""
    plan = StorefrontPlan(
        chain.sides, release.places.routes, logs, seconds=60.0, legacy_rate=60, tidb_rate=60, workers=3, mix=mix, hot=0,
        hot_share=0.0, acks=release.watch.folder, instance="shop-1",
    )  # fmt: skip
    stop, ended = threading.Event(), list[StorefrontResult]()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run_storefront, plan, stop)
        try:
            while not any(path.stat().st_size for path in logs.glob("*.jsonl")) and not running.done():
                time.sleep(0.01)
            yield ended
        finally:
            stop.set()
            ended.append(running.result())


def test_nothing_is_written_on_the_old_side_after_the_fence_is_acknowledged(
    chain: Chain, release: Release, tmp_path: Path
) -> None:
    """What is reconciled then is final. A single sale behind the fence is a sale that the new side never sees."""
    logs = tmp_path / "logs"
    some = tuple(release.state.stores)[::2]
    with selling(chain, release, logs, SALES) as ended:
        release.wait()
        time.sleep(0.5)
        there = release.move(*some, to=Route.TIDB)
        time.sleep(0.5)
        back = release.move(*some, to=Route.LEGACY)
        time.sleep(0.3)
    entries = [entry for entry in read_journals((logs,)) if entry.store in some]
    for move in (there, back):
        assert not [one for one in entries if move.acknowledged < one.ended <= move.published], "written while it was fenced"
    for side, since, until in (
        ("legacy", 0.0, there.published),
        ("tidb", there.published, back.published),
        ("legacy", back.published, time.time()),
    ):
        assert {one.side for one in entries if since < one.ended <= until} == {side}
    assert ended[0].legacy.held + ended[0].tidb.held > 0, "nobody had to wait at the fence: the test saw none"
    assert not release.watch.look(release.state.sequence).acknowledged, "whoever closed is waited for no more"


def test_what_was_acknowledged_is_there_although_stores_moved(chain: Chain, release: Release, tmp_path: Path) -> None:
    """A transaction that was refused right before its COMMIT has left nothing; one that was not has left everything."""
    logs = tmp_path / "logs"
    with selling(chain, release, logs, OWN_NUMBERS) as ended:
        for to in (Route.TIDB, Route.LEGACY, Route.TIDB):
            release.move(*release.state.stores, to=to)
            time.sleep(0.3)
    for sides, result in ((chain.legacy_only, ended[0].legacy), (chain.target_only, ended[0].tidb)):
        verdict = judge(JudgeRequest(sides, (logs,)))
        assert verdict.deviations == ()
        assert verdict.entries == result.done > 0
        assert not result.failed


def test_the_form_of_the_file_decides(release: Release, tmp_path: Path) -> None:
    """Tests of sync give sides by hand; a release publishes. Read as the other form, every store would be closed."""
    write_routes(tmp_path / "plain.json", {"S1": "tidb"})
    plain, published = open_routes(tmp_path / "plain.json", None, ""), open_routes(release.places.routes, None, "")
    assert isinstance(plain, Routes)
    assert isinstance(published, PublishedRoutes)
    assert published.stores_of("legacy") == tuple(sorted(release.state.stores))
    assert published.stores_of("tidb") == ()
    published.close()
