"""A release carried out by the controller, with a clock that only moves when it is told to, and a world that fails."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from etl.errors import SourceError, TargetError
from migrations.release.controller import Eyes, Mover, Watcher
from migrations.release.event_log import EventLog, open_event_log
from migrations.release.events import Paused, Planned, Started, WindowJudged
from migrations.release.figures import Verdict
from migrations.release.gates.base import Answer
from migrations.release.metrics.base import Sample
from migrations.release.model import Phase, ReleaseState, Route, Switch
from migrations.release.plan import Plan, TriggerSettings
from migrations.release.switch import Ports
from migrations.release.triggers import Minute

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
WAVES = (("S1", "S2", "S3"), ("S4", "S5"))
PLAN = Plan.model_validate(
    {
        "name": "r",
        "wave": [
            {"name": "a", "stores": list(WAVES[0]), "bake_s": 120, "batch": 2},
            {"name": "b", "stores": list(WAVES[1]), "bake_s": 60},
        ],
        "promotion": {"windows": 2, "window_s": 60, "min_requests": 100},
    }
)


@dataclass
class World:
    """Both databases, applications, figures. `errors`: share of requests on TiDB that fail; None: the source is away. `fail`:
    steps that fail, so many times. `dead`: TiDB does not answer."""

    now: datetime = NOON
    errors: float | None = 0.0
    gate: Verdict = Verdict.PASS
    reconciled: Verdict = Verdict.PASS
    forced: bool = False
    fail: dict[str, int] = field(default_factory=dict)
    dead: bool = False
    source_dead: bool = False
    published: ReleaseState | None = None
    told: list[tuple[str, str]] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)

    def step(self, name: str) -> dict[str, Any]:
        """One step of a switch."""
        self.steps.append(name)
        if self.fail.get(name, 0) > 0:
            self.fail[name] -= 1
            raise SourceError(f"{name} failed", "look at it")
        if self.dead and name in ("drain", "reconcile", "probe", "snapshot"):
            raise TargetError("TiDB does not answer", "look at it")
        return {}

    def publish(self, state: ReleaseState) -> dict[str, Any]:
        """A map, never an older one."""
        assert self.published is None or state.sequence >= self.published.sequence
        self.published = state
        return self.step("publish")

    def ports(self) -> Ports:
        """As a switch wants them."""

        def does(name: str) -> Any:
            def do(switch: Switch) -> dict[str, Any]:
                return self.step(name)

            return do

        return Ports(
            self.publish, lambda state: self.step("acknowledge"), does("snapshot"), does("compare"), does("drain"),
            does("reconcile"), does("probe"), does("count"), does("check"),
        )  # fmt: skip

    def sample(self, stores: Sequence[str], start: datetime, end: datetime) -> Sample:
        """What the source of figures says."""
        if self.errors is None:
            return Sample(why="the source is away")
        return Sample(1000.0, 1000.0 * self.errors, 0.01, end)

    def eyes(self) -> Eyes:
        """As the controller wants them."""
        return Eyes(
            minute=lambda stores, start: Minute(start, self.sample(stores, start, start + timedelta(minutes=1))),
            sample=self.sample,
            gates=lambda state, wave, now: (
                Answer("availability", self.gate, 1.0, "", 0.0, "", ""),
                Answer("reconcile", self.reconciled, 0, "", 0.0, "", "", forced=self.forced),
            ),
            target_answers=lambda: not self.dead,
            tell=lambda level, key, what, done, todo: self.told.append((level, key)),
            now=lambda: self.now,
            source_answers=lambda: not self.source_dead,
        )


@dataclass
class Run:
    """A controller at work."""

    world: World
    log: EventLog
    watcher: Watcher
    mover: Mover

    def run(self, seconds: float, step_s: float = 5.0) -> ReleaseState:
        """Let so much time pass."""
        end = self.world.now + timedelta(seconds=seconds)
        while self.world.now < end:
            self.watcher.look()
            self.mover.move()
            self.world.now += timedelta(seconds=step_s)
        return self.log.refresh()

    def until(self, phase: Phase, seconds: float) -> float:
        """Until the release is there; how long that took, in seconds."""
        began = self.world.now
        while self.log.refresh().phase is not phase:
            assert (self.world.now - began).total_seconds() < seconds, f"still {self.log.state.phase}: {self.mover.act}"
            self.run(1, 1)
        return (self.world.now - began).total_seconds()


def controller(folder: Path, world: World, log: EventLog) -> Run:
    """A new process."""
    log.now = world.eyes().now
    log.take_lease("test")
    return Run(world, log, Watcher(log, PLAN, world.eyes()), Mover(log, PLAN, world.ports(), world.eyes()))


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def run(tmp_path: Path, world: World) -> Iterator[Run]:
    """A release that was started."""
    with open_event_log(tmp_path) as log:
        log.append(Planned("r", WAVES, dict.fromkeys(("S1", "S2", "S3", "S4", "S5", "S6"), Route.LEGACY)))
        log.append(Started())
        yield controller(tmp_path, world, log)


def test_a_release_that_goes_well(run: Run) -> None:
    """Both waves, each watched for its time and proved by two windows in a row."""
    state = run.run(1200)
    assert state.on(Route.TIDB) == ("S1", "S2", "S3", "S4", "S5")
    assert state.promoted == {0, 1}
    assert run.mover.act.why == "every wave is through: membershift release complete"
    assert run.world.published is not None
    assert run.world.published.sequence == state.sequence


@pytest.mark.parametrize("verdict", [Verdict.FAIL, Verdict.UNKNOWN])
def test_no_store_moves_before_the_gates_pass(run: Run, verdict: Verdict) -> None:
    """The first wave would have moved with rows missing on TiDB."""
    run.world.reconciled = verdict
    assert run.run(600).on(Route.TIDB) == ()
    assert "reconcile" in run.mover.act.why
    run.world.reconciled = Verdict.PASS
    assert run.run(20).on(Route.TIDB) == WAVES[0]


def test_a_gate_that_was_overruled_holds_no_wave(run: Run) -> None:
    run.world.reconciled, run.world.forced = Verdict.FAIL, True
    assert run.run(20).on(Route.TIDB) != ()


def test_before_a_store_sells_on_tidb_its_availability_holds_nothing(run: Run) -> None:
    """Failures of the legacy side, for which stores are to leave it, would have kept them there."""
    run.world.gate = Verdict.FAIL
    assert run.run(20).on(Route.TIDB) != ()


@pytest.mark.parametrize("gate", [Verdict.FAIL, Verdict.UNKNOWN])
def test_no_wave_passes_on_a_gate_that_does_not(run: Run, gate: Verdict) -> None:
    """A dead metrics server would have moved all stores."""
    run.world.gate = gate
    state = run.run(3600)
    assert state.promoted == frozenset()
    assert state.on(Route.TIDB) == WAVES[0]


def test_two_percent_for_five_minutes_sends_the_stores_back(run: Run) -> None:
    """Detected by the rule's own five minutes and 20 s; and not one minute earlier."""
    run.run(60)
    assert len(run.log.state.on(Route.TIDB)) == 3
    run.world.errors = 0.03
    began = run.world.now
    took = run.until(Phase.ROLLED_BACK, 400)
    assert 240 < took <= 380
    assert run.log.state.on(Route.LEGACY) == ("S1", "S2", "S3", "S4", "S5", "S6")
    assert "trigger error_rate" in str(run.log.events())
    assert ("red", "rollback") in run.world.told
    assert began < run.world.now


def test_a_fast_burn_takes_one_minute(run: Run) -> None:
    """Half of all sales would have failed for five minutes."""
    run.run(60)
    run.world.errors = 0.5
    assert run.until(Phase.ROLLED_BACK, 200) <= 130  # at worst a minute that had just begun, the whole next one, and 10 s


class Since(World):
    """All requests of one side of a moment fail, `share` of them."""

    begins: datetime = NOON
    ends: datetime = NOON + timedelta(days=1)
    share: float = 1.0

    def sample(self, stores: Sequence[str], start: datetime, end: datetime) -> Sample:
        """Ten requests a second, spread evenly."""
        failing = max(timedelta(0), min(end, self.ends) - max(start, self.begins))
        return Sample(10 * (end - start).total_seconds(), round(10 * self.share * failing.total_seconds()), 0.01, end)


@pytest.mark.parametrize("second", [0, 14, 31, 59])
def test_a_fast_burn_is_seen_wherever_in_a_minute_it_begins(run: Run, second: int) -> None:
    """A quarter of all requests fails: of a minute that is half over by then it is too little, and the next one ends late."""
    run.run(90)
    run.world = world = Since(now=run.world.now)
    world.begins, world.share = world.now.replace(second=second) + timedelta(minutes=1), 0.25
    run.watcher.eyes, run.mover.eyes = world.eyes(), world.eyes()
    run.until(Phase.ROLLING_BACK, 200)
    assert timedelta(seconds=60) < world.now - world.begins < timedelta(seconds=90)


def test_what_failed_before_stores_moved_sends_nobody_back(run: Run) -> None:
    """They leave a side that fails: its errors, and those of the moment in which they were closed, are not TiDB's."""
    run.world = world = Since(now=run.world.now)
    world.begins, world.ends = NOON - timedelta(hours=1), NOON + timedelta(seconds=1)
    run.watcher.eyes, run.mover.eyes = world.eyes(), world.eyes()
    run.log.now = world.eyes().now
    run.run(300)
    assert run.log.state.phase is Phase.RUNNING
    assert len(run.log.state.on(Route.TIDB)) >= 3


def test_errors_that_stop_in_time_send_nobody_back(run: Run) -> None:
    """Four bad minutes, one good one, four bad ones."""
    run.run(60)
    for errors in (0.03, 0.0, 0.03):
        run.world.errors = errors
        run.run(60 if errors == 0 else 235)
    assert run.log.state.phase is Phase.RUNNING


def test_a_paused_release_is_still_watched(run: Run) -> None:
    """Somebody paused for lunch, and the stores failed for an hour."""
    run.run(60)
    run.log.append(Paused("lunch"))
    run.world.errors = 0.03
    run.until(Phase.ROLLED_BACK, 400)


def test_when_nothing_is_seen_the_release_is_paused(run: Run) -> None:
    """It would have gone on blind."""
    run.run(60)
    run.world.errors = None
    run.until(Phase.PAUSED, 300)
    assert run.log.state.on(Route.TIDB) == WAVES[0]
    assert ("red", "blind") in run.world.told


def test_stores_go_back_while_tidb_is_down(run: Run) -> None:
    """The rollback would have waited for the very server that failed."""
    run.run(60)
    run.world.dead, run.world.errors = True, 1.0
    tried = run.world.steps.count("snapshot")
    run.until(Phase.ROLLED_BACK, 200)
    assert run.world.steps.count("snapshot") == tried, "a way back that needs TiDB takes minutes to fail"
    assert run.log.state.on(Route.LEGACY) == ("S1", "S2", "S3", "S4", "S5", "S6")
    assert "count" in run.world.steps
    assert run.world.published is not None
    assert run.world.published.on(Route.TIDB, Route.FENCED) == ()


def test_the_shortest_blind_time_lets_a_minute_come(run: Run) -> None:
    """A minute's figures come 10 s after its end: with 60 s, every release would be paused within its first two minutes."""
    shortest = TriggerSettings.model_fields["blind_s"].metadata[0].ge
    run.watcher.plan = PLAN.model_copy(update={"triggers": TriggerSettings(blind_s=shortest)})
    run.run(600, 1)
    assert not [logged for logged in run.log.events() if isinstance(logged.event, Paused)]


def test_stores_are_not_sent_to_a_source_that_is_down(run: Run) -> None:
    """They sold on TiDB. After three attempts, closed each time, they would have been sent to a server that takes no sale."""
    run.run(60)
    run.world.source_dead, run.world.errors = True, 0.5
    run.run(300)
    assert run.log.state.on(Route.TIDB) == WAVES[0]
    assert run.log.state.phase is Phase.ROLLING_BACK
    assert [key for _, key in run.world.told].count("not ready") == 1
    run.world.source_dead = False
    run.until(Phase.ROLLED_BACK, 30)


def test_when_neither_side_answers_stores_go_back(run: Run) -> None:
    """The controller may be the one that is cut off: it does what it was told."""
    run.run(60)
    run.world.source_dead, run.world.dead, run.world.errors = True, True, 1.0
    run.until(Phase.ROLLED_BACK, 200)


def test_a_drain_that_never_ends_does_not_keep_stores_from_going_back(run: Run) -> None:
    """Sync is down as well: after three attempts the stores go back, and what had not come is counted."""
    run.run(60)
    run.world.fail["drain"], run.world.errors = 1000, 0.5
    run.until(Phase.ROLLED_BACK, 200)
    assert run.world.steps.count("drain") == 2 + 3
    assert "count" in run.world.steps


def test_a_switch_that_fails_pauses_the_release(run: Run) -> None:
    """It would have tried again and again, closing the stores each time."""
    run.world.fail["reconcile"] = 1
    state = run.run(120)
    assert state.phase is Phase.PAUSED
    assert state.on(Route.LEGACY) == ("S1", "S2", "S3", "S4", "S5", "S6")
    assert run.world.steps.count("reconcile") == 1


def test_windows_before_the_last_switch_prove_nothing(run: Run) -> None:
    """The wave would have been promoted by figures of the time before it moved."""
    run.run(30)
    windows = [logged.event for logged in run.log.events() if isinstance(logged.event, WindowJudged)]
    assert windows == []


def test_another_process_goes_on_in_the_middle(tmp_path: Path, run: Run) -> None:
    """Killed every few seconds, by kill -9: the next one takes over from the log."""
    world = run.world
    for _ in range(60):
        run.run(15)
        run.log.release_lease()
        with open_event_log(tmp_path) as log:
            controller(tmp_path, world, log).run(15)
            log.release_lease()
        run.log.take_lease("again")
        run.mover.published = -1
    assert run.log.state.on(Route.TIDB) == ("S1", "S2", "S3", "S4", "S5")
    assert run.log.state.promoted == {0, 1}
