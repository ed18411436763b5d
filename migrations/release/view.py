"""A release as somebody who watches it wants to see it. A pure function of the event log, the plan, acknowledgements, alerts and
the time: it needs neither database, and the screen and the page show the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from migrations.release.acks import Ack
from migrations.release.alerts.model import Standing
from migrations.release.controller import rules_of
from migrations.release.decide import Act, Situation, next_act
from migrations.release.event_log import LONG_AGO, Logged
from migrations.release.events import COMPLETION_LAPSES, CompletionAsked, SwitchDone, WaveBegun
from migrations.release.figures import Verdict
from migrations.release.model import FINAL, Phase, ReleaseState, Route, Step
from migrations.release.plan import Plan
from migrations.release.switch_hours import look_at
from migrations.release.timeline import ForcedMark, MinuteSeen, Timeline, read_timeline
from migrations.release.waves import natural

WaveStanding = Literal["to come", "moving", "proving", "promoted", "going back", "complete"]

SPARK_MINUTES: Final = 60
LATE_S: Final = 180.0
"""Figures are old when the last minute was judged so long ago."""
WATCHED: Final = frozenset({Phase.RUNNING, Phase.PAUSED, Phase.ROLLING_BACK})


@dataclass(frozen=True)
class StoreLine:
    """A store of the release. `step`: of the switch under way that it is in."""

    store: str
    route: Route
    step: Step | None = None


@dataclass(frozen=True)
class WaveLine:
    """A wave (from 0). `name`: "" where the plan cannot be read. `begun_at` and `promoted_at`: of its last time."""

    wave: int
    name: str
    stores: tuple[StoreLine, ...]
    standing: WaveStanding
    begun_at: datetime | None = None
    promoted_at: datetime | None = None
    approvals: tuple[str, ...] = ()

    @property
    def by_route(self) -> Mapping[Route, int]:
        """How many of its stores have each route; every route is there."""
        return {route: sum(one.route is route for one in self.stores) for route in Route}


@dataclass(frozen=True)
class NextAct:
    """What the release does next. `until`: when that is looked at again, None where it is now, or where it depends on somebody;
    `in_s`: seconds until then. `needs_plan`: it cannot be told, since the plan cannot be read or is another one."""

    act: Act | None
    until: datetime | None = None
    in_s: float | None = None

    @property
    def needs_plan(self) -> bool:
        """Whether nobody can tell."""
        return self.act is None


@dataclass(frozen=True)
class GateLine:
    """A gate of the last window. `forced`: this answer was overruled; `marks`: everybody who ever overruled this gate."""

    gate: str
    verdict: Verdict
    figure: float | str | None
    forced: bool
    marks: tuple[ForcedMark, ...] = ()


@dataclass(frozen=True)
class Instances:
    """Application instances by what they hold. `behind`: an older map; `lapsed`: silent for longer than their lease, by the times
    in their files; `troubled`: (instance, what it says)."""

    current: int = 0
    behind: tuple[str, ...] = ()
    lapsed: tuple[str, ...] = ()
    troubled: tuple[tuple[str, str], ...] = ()

    @property
    def total(self) -> int:
        """All of them."""
        return self.current + len(self.behind) + len(self.lapsed)


@dataclass(frozen=True)
class ReleaseView:
    """Everything that is shown. `holder`: who carries the release out, "" nobody. `minutes`: one for each of the last
    SPARK_MINUTES, None where none was judged. `passes` of `needed` windows in a row. `window_at`: of the last one judged.
    `trouble`: what could not be read. `changed_plan`: release.toml is not what was planned."""

    release: str
    phase: Phase
    now: datetime
    holder: str
    sequence: int
    waves: tuple[WaveLine, ...]
    others: int
    next: NextAct
    minutes: tuple[MinuteSeen | None, ...]
    bad_minutes: int
    bad_limit: int | None
    error_limit: float | None
    passes: int
    needed: int | None
    window_at: datetime | None
    window_verdict: str
    window_why: tuple[str, ...]
    gates: tuple[GateLine, ...]
    forced: tuple[ForcedMark, ...]
    alerts: tuple[Standing, ...]
    instances: Instances
    sick: str
    timeline: Timeline
    trouble: tuple[str, ...] = ()
    changed_plan: bool = False
    events: tuple[Logged, ...] = field(default=())

    @property
    def last_minute(self) -> MinuteSeen | None:
        """The newest that was judged."""
        return self.timeline.minutes[-1] if self.timeline.minutes else None

    @property
    def figures_old(self) -> bool:
        """Whether stores are on TiDB and nobody has judged a minute of them lately: nobody would notice that they fail."""
        last = self.last_minute
        moved = any(line.route is Route.TIDB for wave in self.waves for line in wave.stores)
        watched = moved and self.phase in WATCHED
        since = last.start if last else newest_switch(self.timeline)
        return watched and (self.now - since).total_seconds() > LATE_S

    @property
    def nobody_at_work(self) -> bool:
        """Whether there is something to carry out or to watch, and no controller."""
        return not self.holder and self.phase in WATCHED


def read_view(
    events: Sequence[Logged],
    plan: Plan | None,
    acks: Sequence[Ack],
    alerts: Sequence[Standing],
    now: datetime,
    holder: str = "",
    trouble: Sequence[str] = (),
) -> ReleaseView | None:
    """The newest release of the log as it stands now (aware); None where nothing was ever planned. `plan`: None where it cannot
    be read: the rest is shown all the same. Raises ValueError for a time without a zone, IllegalEvent for a changed log."""
    timeline = read_timeline(events)
    return None if timeline is None else view_of(timeline, plan, acks, alerts, now, holder, trouble)


def view_of(
    timeline: Timeline,
    plan: Plan | None,
    acks: Sequence[Ack],
    alerts: Sequence[Standing],
    now: datetime,
    holder: str = "",
    trouble: Sequence[str] = (),
) -> ReleaseView:
    """The same of a timeline that was read before."""
    state = timeline.state
    fits = plan if plan is not None and plan.name == state.release and len(plan.waves) >= len(state.waves) else None
    window = timeline.windows[-1] if timeline.windows else None
    return ReleaseView(
        release=timeline.release,
        phase=state.phase,
        now=now,
        holder=holder,
        sequence=state.sequence,
        waves=tuple(wave_line(timeline, number, fits) for number in range(len(state.waves))),
        others=sum(where.wave is None for where in state.stores.values()),
        next=what_next(timeline, fits, now),
        minutes=spark(timeline.minutes, now),
        bad_minutes=state.bad_minutes,
        bad_limit=fits.triggers.minutes if fits else None,
        error_limit=fits.triggers.error_rate if fits else None,
        passes=state.passes,
        needed=fits.promotion.windows if fits else None,
        window_at=window.start if window else None,
        window_verdict=window.verdict if window else "",
        window_why=window.why if window else (),
        gates=gate_lines(timeline),
        forced=timeline.forced,
        alerts=tuple(one for one in alerts if one.open),
        instances=instances_of(acks, state.sequence, now),
        sick=state.sick,
        timeline=timeline,
        trouble=tuple(trouble),
        changed_plan=plan is not None and bool(state.digest) and bool(plan.digest) and plan.digest != state.digest,
        events=timeline.events,
    )


def wave_line(timeline: Timeline, wave: int, plan: Plan | None) -> WaveLine:
    """One wave, with its stores in order."""
    state = timeline.state
    moving = state.switch.stores if state.switch else ()
    step = state.switch.next_step if state.switch else None
    stores = tuple(
        StoreLine(store, state.stores[store].route, step if store in moving else None)
        for store in sorted(state.waves[wave], key=natural)
    )
    last = next((one for one in reversed(timeline.waves) if one.wave == wave), None)
    promoted = last.promoted_at if last and wave in state.promoted else None
    name = plan.waves[wave].name if plan else ""
    approvals = state.approvals.get(wave, ())
    return WaveLine(wave, name, stores, standing_of(state, wave), last.begun_at if last else None, promoted, approvals)


def standing_of(state: ReleaseState, wave: int) -> WaveStanding:
    """Where a wave is."""
    routes = {state.stores[store].route for store in state.waves[wave]}
    if routes == {Route.COMPLETE}:
        return "complete"
    if state.phase is Phase.ROLLING_BACK and any(state.stores[store].wave == wave for store in state.going_back):
        return "going back"
    if wave in state.promoted:
        return "promoted"
    stays = Route.TIDB in routes  # others of the wave went back: it is to begin once more
    if (state.wave != wave and not stays) or state.phase in FINAL or state.phase is Phase.ROLLED_BACK:
        return "to come"
    return "proving" if state.moved_in(wave) and state.switch is None else "moving"


def what_next(timeline: Timeline, plan: Plan | None, now: datetime) -> NextAct:
    """What the controller would decide now. The end of time counts as no time."""
    state = timeline.state
    if plan is None:
        return NextAct(None)
    opening = look_at(plan.windows.opening, now)
    rules, completing = rules_of(plan, len(state.waves)), is_to_complete(timeline)
    since, open_from = newest_switch(timeline), opening.open_from(now)
    situation = Situation(now, since, open_from, plan.promotion.windows, rules, completing=completing)
    act = next_act(state, situation)
    until = act.until if act.until and act.until.year < datetime.max.year else None
    return NextAct(act, until, max(0.0, (until - now).total_seconds()) if until else None)


def is_to_complete(timeline: Timeline) -> bool:
    """Whether somebody ordered the end, and nothing has come in between."""
    orders = (CompletionAsked, *COMPLETION_LAPSES)
    found = next((one.event for one in reversed(timeline.events) if isinstance(one.event, orders)), None)
    return isinstance(found, CompletionAsked)


def newest_switch(timeline: Timeline) -> datetime:
    """When the last switch was done or the last wave began; long ago where neither was."""
    times = (one.at for one in reversed(timeline.events) if isinstance(one.event, SwitchDone | WaveBegun))
    found = next(times, None)
    return LONG_AGO if found is None else datetime.fromisoformat(found)


def spark(minutes: Sequence[MinuteSeen], now: datetime) -> tuple[MinuteSeen | None, ...]:
    """The last SPARK_MINUTES that are over, in order, each at its place in time."""
    known = {one.start: one for one in minutes[-2 * SPARK_MINUTES :]}
    newest = now.astimezone(UTC).replace(second=0, microsecond=0) - timedelta(minutes=1)
    return tuple(known.get(newest - timedelta(minutes=back)) for back in reversed(range(SPARK_MINUTES)))


def gate_lines(timeline: Timeline) -> tuple[GateLine, ...]:
    """The gates of the last window, and those that were overruled before anything was judged."""
    window = timeline.windows[-1].gates if timeline.windows else {}
    marks = {gate: tuple(one for one in timeline.forced if one.gate == gate) for gate in (one.gate for one in timeline.forced)}
    lines = [
        GateLine(
            gate, verdict_of(said.get("verdict")), figure_of(said.get("figure")), bool(said.get("forced")), marks.get(gate, ())
        )
        for gate, said in window.items()
    ]
    unasked = [GateLine(gate, Verdict.UNKNOWN, None, True, found) for gate, found in marks.items() if gate not in window]
    return (*lines, *unasked)


def verdict_of(value: object) -> Verdict:
    """A word of the log; what is none of the three is UNKNOWN.

    >>> verdict_of("PASS"), verdict_of(None)
    (<Verdict.PASS: 'PASS'>, <Verdict.UNKNOWN: 'UNKNOWN'>)
    """
    return next((one for one in Verdict if one == value), Verdict.UNKNOWN)


def figure_of(value: object) -> float | str | None:
    """A figure of the log."""
    return value if isinstance(value, float | str) else float(value) if isinstance(value, int) else None


def instances_of(acks: Sequence[Ack], sequence: int, now: datetime) -> Instances:
    """What they said last. One that holds a newer map than the log knows is no trouble: it is being written down."""
    alive = [ack for ack in acks if not ack.lapsed(now)]
    return Instances(
        sum(ack.sequence >= sequence for ack in alive),
        tuple(ack.instance for ack in alive if ack.sequence < sequence),
        tuple(ack.instance for ack in acks if ack.lapsed(now)),
        tuple((ack.instance, ack.trouble) for ack in alive if ack.trouble),
    )
