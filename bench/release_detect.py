"""How long a release takes to see that stores fail: the real watcher, triggers and log, on a made-up clock.

A fault may begin in any second of a minute, and minutes are judged as a whole, so every second is tried and the worst one counts.
Real minutes would take hours and say the same: of a minute's verdict nothing depends on how fast the machine is.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from bench.report import Result
from migrations.release.alerts.settings import Level
from migrations.release.controller import TICK_S, Eyes, Watcher
from migrations.release.event_log import EventLog, open_event_log
from migrations.release.events import Planned, RollbackBegun, Routed, Started, StepDone, SwitchBegun, SwitchDone, WaveBegun
from migrations.release.metrics.base import Sample
from migrations.release.model import ROUTING, Route
from migrations.release.plan_file import read_plan
from migrations.release.triggers import MINUTE, Minute

BEGIN: Final = datetime(2026, 1, 1, tzinfo=UTC)
REQUESTS: Final = 6_000.0
"""A minute, of all stores together."""
LONGEST_S: Final = 900
STORES: Final = ("S001", "S002", "S003")


@dataclass
class World:
    """`now` of the made-up clock; from `begins` on, `rate` of all requests fail."""

    begins: datetime
    rate: float
    now: datetime = BEGIN
    told: list[str] = field(default_factory=list)

    def sample(self, stores: Sequence[str], start: datetime, end: datetime) -> Sample:
        """What became of the requests of a time, spread evenly over it."""
        failing = max(timedelta(0), end - max(start, self.begins)) / MINUTE
        return Sample(REQUESTS * ((end - start) / MINUTE), round(REQUESTS * self.rate * failing), None, end)

    def minute(self, stores: Sequence[str], start: datetime) -> Minute:
        """The same of a minute."""
        return Minute(start, self.sample(stores, start, start + MINUTE))

    def tell(self, level: Level, key: str, happened: str, done: str, todo: str) -> None:
        """Nobody is there."""
        self.told.append(happened)


def move(log: EventLog, waves: Sequence[tuple[str, ...]] = (STORES,), digest: str = "") -> None:
    """Plan a release and move its first wave, by the log alone: no server is asked. The caller holds the lease."""
    routes = dict.fromkeys((store for wave in waves for store in wave), Route.LEGACY)
    log.append(Planned("bench", tuple(waves), routes, digest))
    log.append(Started())
    log.append(WaveBegun(0))
    log.append(SwitchBegun(waves[0], Route.TIDB))
    while (switch := log.state.switch) is not None and (step := switch.next_step) is not None:
        if step in ROUTING:
            log.append(Routed(step))
        log.append(StepDone(step))
    log.append(SwitchDone())


def seconds_to_notice(second: int, rate: float) -> float:
    """From the first request that failed, in a second of a minute, until stores are ordered back."""
    with tempfile.TemporaryDirectory(prefix="membershift-bench-") as name, open_event_log(Path(name)) as log:
        plan_file = Path(name) / "release.toml"
        plan_file.write_text('name = "bench"\n[metrics]\nsource = "file"\n[metrics.file]\npath = "none.json"\n', "utf-8")
        world = World(BEGIN + timedelta(seconds=120 + second), rate)
        log.now = lambda: world.now
        log.take_lease("bench")
        move(log)
        eyes = Eyes(
            minute=world.minute, sample=world.sample, gates=lambda *_: (), target_answers=lambda: True, tell=world.tell,
            now=lambda: world.now,
        )  # fmt: skip
        watcher = Watcher(log, read_plan(plan_file), eyes)
        while (world.now - BEGIN).total_seconds() < LONGEST_S:
            world.now += timedelta(seconds=TICK_S)
            watcher.look()
            if log.last_at(RollbackBegun) >= BEGIN:
                return (log.last_at(RollbackBegun) - world.begins).total_seconds()
    raise RuntimeError(f"{rate:.0%} of all requests failed for {LONGEST_S} s, and nobody noticed")


def measure_detection(step_s: int = 1) -> list[Result]:
    """The worst of all seconds of a minute. The 2 % rule counts from the first whole minute: an earlier part of one may be too
    little to pass 2 %."""
    seconds = range(0, 60, step_s)
    found: list[Result] = []
    for rate, goal in ((1.0, 90.0), (0.6, 90.0), (0.25, 90.0)):
        worst = max(seconds_to_notice(second, rate) for second in seconds)
        found.append(Result(f"fast burn, {rate:.0%} fail: noticed, worst", worst, "s", goal=goal, goal_is="at most"))
    slow = {second: seconds_to_notice(second, 0.03) for second in seconds}
    found.append(Result("3 % fail: noticed, from a whole minute's start", slow[0], "s", goal=320.0, goal_is="at most"))
    found.append(Result("3 % fail: noticed, from the first error, worst", max(slow.values()), "s"))
    return found
