"""Event logs to look at: what a controller writes down, folded through the machine, so that none of them is impossible."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from migrations.release.event_log import Logged
from migrations.release.events import (
    Approved,
    Completed,
    Event,
    Forced,
    MinuteJudged,
    Paused,
    Planned,
    Promoted,
    Resumed,
    RollbackBegun,
    RolledBack,
    Routed,
    Started,
    StepDone,
    SwitchBegun,
    SwitchDone,
    SwitchFailed,
    WaveBegun,
    WindowJudged,
)
from migrations.release.machine import apply
from migrations.release.model import ROUTING, ReleaseState, Route, Step
from migrations.release.plan import Plan

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
WAVES = (("S1", "S2", "S3"), tuple(f"S{number}" for number in range(4, 14)))
STORES = (*WAVES[0], *WAVES[1], "S14")
PLAN = Plan.model_validate(
    {
        "name": "autumn",
        "wave": [
            {"name": "pilot", "stores": list(WAVES[0]), "bake_s": 600, "batch": 3},
            {"name": "some", "stores": list(WAVES[1]), "bake_s": 60, "approvals": 1},
        ],
        "promotion": {"windows": 3, "window_s": 60},
    }
)
GATES: Mapping[str, Mapping[str, Any]] = {
    "availability": {"verdict": "PASS", "figure": 0.9997, "forced": False},
    "tests": {"verdict": "PASS", "figure": 1.0, "forced": False},
    "training": {"verdict": "FAIL", "figure": 0.85, "forced": True},
    "lag": {"verdict": "UNKNOWN", "figure": None, "forced": False},
}
EVIDENCE: Mapping[Step, Mapping[str, Any]] = {
    "snapshot": {"snapshot": "20261123T120000Z-1a2b", "tso": 4711},
    "compare": {"rows": {"sale": 1200}, "on_their_way": {"sale": 2}, "not_compared_in_time": []},
    "fence": {"sequence": 3, "places": ["routes.json"], "trouble": ""},
    "acknowledge": {"acknowledged": 50, "lapsed": ["pos-7"]},
    "drain": {"mark": "x", "seconds": {"forward": 0.8}},
    "reconcile": {"rows": {"sale": 1200, "member": 340}, "not_compared_by_store": []},
    "publish": {"sequence": 4, "places": ["routes.json"], "trouble": "haproxy: timeout"},
    "follow": {"acknowledged": 51, "lapsed": []},
    "probe": {"written": 1},
    "count": {"not_back": {"sale": 3}},
    "check": {"conflicts": 0, "dead_letters": 0},
}


@dataclass
class Story:
    """A log as it grows. `now` only moves when it is told to."""

    now: datetime = NOON
    state: ReleaseState = field(default_factory=ReleaseState)
    log: list[Logged] = field(default_factory=list)

    def add(self, *events: Event, after_s: float = 0.0) -> Story:
        """Events, each so long after the one before."""
        for event in events:
            self.now += timedelta(seconds=after_s)
            self.state = apply(self.state, event)
            self.log.append(Logged(len(self.log) + 1, self.now.isoformat(timespec="milliseconds"), event))
        return self

    def plan(self, name: str = "autumn") -> Story:
        """A release of two waves, started."""
        where = {store: self.state.stores[store].route if store in self.state.stores else Route.LEGACY for store in STORES}
        return self.add(Planned(name, WAVES, where), Started())

    def steps(self, count: int | None = None, step_s: float = 0.5) -> Story:
        """The next steps of the switch under way; all that are left by default."""
        done = 0
        while self.state.switch and self.state.switch.next_step and done != count:
            step = self.state.switch.next_step
            if step in ROUTING:
                self.add(Routed(step))
            self.add(StepDone(step, EVIDENCE[step]), after_s=step_s)
            done += 1
        return self

    def switch(self, stores: tuple[str, ...], to: Route, *, rescue: bool = False) -> Story:
        """A whole one."""
        return self.add(SwitchBegun(stores, to, rescue), after_s=1).steps().add(SwitchDone())

    def fail(self, step: Step, reason: str) -> Story:
        """The step that comes next fails."""
        return self.add(SwitchFailed(step, reason), after_s=2)

    def minutes(self, *rates: float | None, verdict: str = "") -> Story:
        """Minutes with 1,000 requests each, of which so many failed; None: nothing is known."""
        for rate in rates:
            start = self.now.replace(second=0, microsecond=0)
            said = verdict or ("UNKNOWN" if rate is None else "BAD" if rate > 0.02 else "GOOD")
            known = {} if rate is None else {"requests": 1000.0, "errors": 1000 * rate, "error_rate": rate, "latency_p99_s": 0.04}
            self.now = start + timedelta(seconds=70)
            why = "" if rate is not None else "nothing is known of requests and errors"
            self.add(MinuteJudged(start.isoformat(), said, {**known, "why": why}))
        return self

    def windows(self, *verdicts: str, gates: Mapping[str, Any] = GATES) -> Story:
        """Windows of a minute."""
        for verdict in verdicts:
            start = self.now.replace(second=0, microsecond=0)
            self.now = start + timedelta(seconds=70)
            why = [] if verdict == "PASS" else ["lag: sync has never run"]
            self.add(WindowJudged(start.isoformat(), verdict, {"gates": dict(gates), "why": why}))
        return self


def pilot_moved() -> Story:
    """The first wave is on TiDB, and has to prove itself."""
    return Story().plan().add(WaveBegun(0), after_s=5).switch(WAVES[0], Route.TIDB)


def in_the_middle() -> Story:
    """The second wave is on its way: some stores are closed, a gate is overruled."""
    story = pilot_moved().minutes(0.001, 0.0).add(Forced("training", "illness", "li")).windows("UNKNOWN", "PASS", "PASS")
    story.add(Promoted(0, "the gates"), Approved(1, "wang"), WaveBegun(1), after_s=30).minutes(0.0)
    return story.add(SwitchBegun(WAVES[1][:4], Route.TIDB), after_s=2).steps(5)


def rolled_back() -> Story:
    """Errors came in, a trigger sent the stores back, and TiDB was not waited for."""
    story = pilot_moved().minutes(0.001, 0.03, 0.25)
    why = "25% of 1000 requests failed within a minute"
    story.add(RollbackBegun(WAVES[0], why, "trigger fast_burn", {"error_rate": 0.25, "requests": 1000.0}), after_s=1)
    return story.switch(WAVES[0], Route.LEGACY, rescue=True).add(RolledBack(), after_s=1)


def completed() -> Story:
    """All went well in the end: a switch failed and was tried again, somebody paused, a gate was overruled."""
    story = Story().plan().add(WaveBegun(0), after_s=5).add(SwitchBegun(WAVES[0], Route.TIDB)).steps(4)
    story.fail("drain", "Not everything arrived within 30 s: 3 of sale.").add(Paused("a switch failed"))
    story.add(Resumed(), after_s=90).switch(WAVES[0], Route.TIDB).minutes(0.001, 0.0, None, 0.004)
    story.add(Forced("training", "illness", "li")).windows("FAIL", "PASS", "PASS", "PASS")
    story.add(Promoted(0, "the gates"), Approved(1, "wang"), WaveBegun(1), after_s=60).switch(WAVES[1], Route.TIDB)
    story.minutes(0.0, 0.001).windows("PASS", "PASS", "PASS").add(Promoted(1, "wang"), after_s=30)
    return story.switch((*WAVES[0], *WAVES[1]), Route.COMPLETE).add(Completed(), after_s=1)
