"""What happened in a release, in order of time: waves, switches with the seconds of each step, windows, minutes, rollbacks.

Made from the event log alone, so that it can be told years later, and while every database is down.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from migrations.release.event_log import Logged
from migrations.release.events import (
    Aborted,
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
from migrations.release.figures import count
from migrations.release.machine import apply
from migrations.release.model import ReleaseState, Route, Step

Outcome = Literal["done", "failed", "under way"]


@dataclass(frozen=True)
class StepTook:
    """A step that is behind the stores: when it was done, and how long it took since the one before."""

    step: Step
    ended_at: datetime
    seconds: float
    evidence: Mapping[str, Any]


@dataclass(frozen=True)
class SwitchTook:
    """Stores on their way. `wave`: from 0, None where they belong to several. `fenced_at`: from when on nobody could write;
    `opened_at`: when the map that ended it was out. `failed_step` and `reason`: of one that was put back."""

    stores: tuple[str, ...]
    wave: int | None
    before: Route
    to: Route
    rescue: bool
    began_at: datetime
    ended_at: datetime | None = None
    steps: tuple[StepTook, ...] = ()
    fenced_at: datetime | None = None
    opened_at: datetime | None = None
    failed_step: Step | None = None
    reason: str = ""

    @property
    def outcome(self) -> Outcome:
        """How it ended, if it has."""
        return "failed" if self.failed_step else "done" if self.ended_at else "under way"

    @property
    def seconds(self) -> float | None:
        """From its beginning to its end; None while it is under way."""
        return None if self.ended_at is None else (self.ended_at - self.began_at).total_seconds()

    @property
    def fenced_s(self) -> float | None:
        """For how long nobody could write: from the decision to close, to the open map being out. None where stores were never
        closed, or still are."""
        if self.fenced_at is None or self.opened_at is None:
            return None
        return (self.opened_at - self.fenced_at).total_seconds()


@dataclass(frozen=True)
class WaveTook:
    """A wave (from 0) each time it began. `moved_at`: when all its stores were on TiDB."""

    wave: int
    stores: tuple[str, ...]
    begun_at: datetime
    moved_at: datetime | None = None
    promoted_at: datetime | None = None
    promoted_by: str = ""
    ended_at: datetime | None = None


@dataclass(frozen=True)
class RollbackTook:
    """Stores that went back. `by`: a trigger or a person; `evidence`: the figures that it rests on."""

    began_at: datetime
    stores: tuple[str, ...]
    reason: str
    by: str
    evidence: Mapping[str, Any]
    ended_at: datetime | None = None


@dataclass(frozen=True)
class PauseTook:
    """A time in which no switch began."""

    began_at: datetime
    reason: str
    ended_at: datetime | None = None


@dataclass(frozen=True)
class WindowSeen:
    """The gates at the end of a window, of the wave under way (from 0). `gates`: what the log holds of each."""

    start: datetime
    wave: int | None
    verdict: str
    gates: Mapping[str, Mapping[str, Any]]
    why: tuple[str, ...]


@dataclass(frozen=True)
class MinuteSeen:
    """A minute of the stores that moved; None for what was not known."""

    start: datetime
    verdict: str
    requests: float | None
    errors: float | None
    rate: float | None
    latency_p99_s: float | None
    why: str


@dataclass(frozen=True)
class ForcedMark:
    """A gate that somebody overruled, in whichever release: shown for ever."""

    at: datetime
    release: str
    gate: str
    reason: str
    by: str


@dataclass(frozen=True)
class Approval:
    """Somebody agreed that a wave (from 0) begins."""

    at: datetime
    wave: int
    by: str


@dataclass(frozen=True)
class Timeline:
    """Of one release. `ended_at`: when it was completed, given up or rolled back, and not started again. `forced`: also those of
    releases before. `state`: what its last event led to. `events`: all of it, in order."""

    release: str
    planned_at: datetime
    state: ReleaseState
    started_at: datetime | None = None
    ended_at: datetime | None = None
    waves: tuple[WaveTook, ...] = ()
    switches: tuple[SwitchTook, ...] = ()
    rollbacks: tuple[RollbackTook, ...] = ()
    pauses: tuple[PauseTook, ...] = ()
    windows: tuple[WindowSeen, ...] = ()
    minutes: tuple[MinuteSeen, ...] = ()
    approvals: tuple[Approval, ...] = ()
    forced: tuple[ForcedMark, ...] = ()
    events: tuple[Logged, ...] = ()

    @property
    def fenced_s(self) -> tuple[float, ...]:
        """Seconds for which stores were closed, of each switch that closed any."""
        return tuple(one.fenced_s for one in self.switches if one.fenced_s is not None)


@dataclass
class Draft:
    """What was gathered of a release so far."""

    release: str
    planned_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    waves: list[WaveTook] = field(default_factory=list)
    switches: list[SwitchTook] = field(default_factory=list)
    rollbacks: list[RollbackTook] = field(default_factory=list)
    pauses: list[PauseTook] = field(default_factory=list)
    windows: list[WindowSeen] = field(default_factory=list)
    minutes: list[MinuteSeen] = field(default_factory=list)
    approvals: list[Approval] = field(default_factory=list)
    events: list[Logged] = field(default_factory=list)


class Teller:
    """Takes events in as they come, in their order, and tells the timeline at any time. `release`: only of one with this name."""

    def __init__(self, release: str | None = None) -> None:
        self.wanted = release
        self.state = ReleaseState()
        self.draft: Draft | None = None
        self.found: tuple[Draft, ReleaseState] | None = None
        self.forced: list[ForcedMark] = []

    def take(self, logged: Logged) -> None:
        """One event. Raises IllegalEvent for one that does not follow from those before; it is then not taken."""
        at, event = datetime.fromisoformat(logged.at), logged.event
        before, self.state = self.state, apply(self.state, event)
        if isinstance(event, Planned):
            self.draft = Draft(event.release, at)
        if self.draft is None:
            return
        if isinstance(event, Forced):
            self.forced.append(ForcedMark(at, self.draft.release, event.gate, event.reason, event.by))
        gather(self.draft, before, self.state, event, at)
        self.draft.events.append(logged)
        if self.wanted in (None, self.draft.release):
            self.found = (self.draft, self.state)

    def timeline(self) -> Timeline | None:
        """Of the newest release; None where there is none."""
        return None if self.found is None else finished(*self.found, tuple(self.forced))


def read_timeline(events: Sequence[Logged], release: str | None = None) -> Timeline | None:
    """The newest release of the log, or the newest with a name; None where there is none. `events`: the whole log, from its
    beginning. Raises IllegalEvent for events that do not follow from each other."""
    teller = Teller(release)
    for logged in events:
        teller.take(logged)
    return teller.timeline()


def finished(draft: Draft, state: ReleaseState, forced: tuple[ForcedMark, ...]) -> Timeline:
    """The same, for good."""
    return Timeline(
        draft.release, draft.planned_at, state, draft.started_at, draft.ended_at, tuple(draft.waves), tuple(draft.switches),
        tuple(draft.rollbacks), tuple(draft.pauses), tuple(draft.windows), tuple(draft.minutes), tuple(draft.approvals), forced,
        tuple(draft.events),
    )  # fmt: skip


def gather(draft: Draft, before: ReleaseState, after: ReleaseState, event: Event, at: datetime) -> None:
    """Take one event in. `before` and `after`: the states around it."""
    match event:
        case Started():
            draft.started_at, draft.ended_at = draft.started_at or at, None
        case Completed() | Aborted():
            draft.ended_at = at
            end_pause(draft, at)
        case Paused(reason):
            draft.pauses.append(PauseTook(at, reason))
        case Resumed():
            end_pause(draft, at)
        case WaveBegun(wave):
            draft.waves.append(WaveTook(wave, after.waves[wave], at))
        case Promoted(wave, by):
            draft.waves[-1] = replace(draft.waves[-1], promoted_at=at, promoted_by=by)
        case Approved(wave, by):
            draft.approvals.append(Approval(at, wave, by))
        case RollbackBegun(stores, reason, by, evidence):
            end_pause(draft, at)
            draft.rollbacks.append(RollbackTook(at, stores, reason, by, evidence))
        case RolledBack(left):
            draft.ended_at = at if not left else None
            if left:
                draft.pauses.append(PauseTook(at, draft.rollbacks[-1].reason))
            draft.rollbacks[-1] = replace(draft.rollbacks[-1], ended_at=at)
            draft.waves = [one if one.promoted_at or one.ended_at else replace(one, ended_at=at) for one in draft.waves]
        case WindowJudged(window, verdict, found):
            gates = found.get("gates", {})
            draft.windows.append(
                WindowSeen(datetime.fromisoformat(window), after.wave, verdict, gates, tuple(found.get("why", ())))
            )
        case MinuteJudged():
            draft.minutes.append(minute_seen(event))
        case _:
            gather_switch(draft, before, after, event, at)


def gather_switch(draft: Draft, before: ReleaseState, after: ReleaseState, event: Event, at: datetime) -> None:
    """Of a switch: its beginning, its steps, its end."""
    if isinstance(event, SwitchBegun):
        waves = {before.stores[store].wave for store in event.stores}
        wave = next(iter(waves)) if len(waves) == 1 else None
        route = before.stores[event.stores[0]].route
        draft.switches.append(SwitchTook(event.stores, wave, route, event.to, event.rescue, at))
        return
    if not draft.switches:
        return
    switch = draft.switches[-1]
    match event:
        case Routed(step="fence"):
            draft.switches[-1] = replace(switch, fenced_at=at)
        case StepDone(step, evidence):
            since = switch.steps[-1].ended_at if switch.steps else switch.began_at
            took = StepTook(step, at, (at - since).total_seconds(), evidence)
            opened = at if step == "publish" else switch.opened_at
            draft.switches[-1] = replace(switch, steps=(*switch.steps, took), opened_at=opened)
        case SwitchFailed(step, reason):
            opened = at if switch.fenced_at and not switch.opened_at else switch.opened_at
            draft.switches[-1] = replace(switch, ended_at=at, failed_step=step, reason=reason, opened_at=opened)
        case SwitchDone():
            draft.switches[-1] = replace(switch, ended_at=at)
            if draft.waves and after.moved_in(draft.waves[-1].wave) and draft.waves[-1].moved_at is None:
                draft.waves[-1] = replace(draft.waves[-1], moved_at=at)


def end_pause(draft: Draft, at: datetime) -> None:
    """Of the pause under way, if there is one."""
    if draft.pauses and draft.pauses[-1].ended_at is None:
        draft.pauses[-1] = replace(draft.pauses[-1], ended_at=at)


def minute_seen(event: MinuteJudged) -> MinuteSeen:
    """A minute as it was judged. What is no number is not known."""
    found = event.figures
    names = ("requests", "errors", "error_rate", "latency_p99_s")
    requests, errors, rate, latency = (count(found.get(name)) for name in names)
    return MinuteSeen(
        datetime.fromisoformat(event.minute), event.verdict, requests, errors, rate, latency, str(found.get("why") or "")
    )
