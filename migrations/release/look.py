"""Look at a release and change nothing: where it stands, what comes next and when, its gates, its log, and the map that is out.

All but the gates work while both databases are down: the log and the map are files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from etl.errors import ConfigurationError, RefusedError, UsageError
from etl.settings import Settings
from migrations.release.acks import Ack, read_acks
from migrations.release.controller import needed_approvals, rules_of
from migrations.release.decide import Act, Situation, approved_by, next_act
from migrations.release.event_log import EventLog, Logged, open_event_log
from migrations.release.events import MinuteJudged, Paused, SwitchDone, SwitchFailed, WaveBegun, WindowJudged
from migrations.release.gates.base import Answer
from migrations.release.gates.check import check_gates
from migrations.release.gates.sources import open_red_alerts, open_sources
from migrations.release.legal_commands import legal_commands, moved_of
from migrations.release.model import FINAL, Phase, ReleaseState, Route
from migrations.release.plan import Plan
from migrations.release.preflight import what_is_missing
from migrations.release.publish.publisher import places_of, publish
from migrations.release.publish.routes_map import map_of, read_published
from migrations.release.switch_hours import Opening, look_at

SOON: Final = 8
FOR_EVER: Final = datetime.max.replace(tzinfo=UTC)
QUIET: Final = (MinuteJudged, WindowJudged)
"""Events that come by the minute."""


@dataclass(frozen=True)
class WaveStanding:
    """A wave: how many of its stores have which route, how many people approved it of how many, and whether it is through."""

    name: str
    stores: tuple[str, ...]
    routes: Mapping[str, int]
    approvals: int
    needed: int
    under_way: bool
    promoted: bool


@dataclass(frozen=True)
class ReleaseStatus:
    """Where a release stands. `act`: what comes next, None where the plan cannot be read (`trouble` says why); `in_s`: in how
    many seconds, None where it is not known. `holder`: who carries it out, None: nobody. `unwatched`: stores on TiDB whose errors
    nobody looks at. `failed`: what the last switch failed for, "" when it went well. `events`: the newest ones. `red`: open red
    alerts, among them what a switch that does not begin is waiting for."""

    state: ReleaseState
    waves: tuple[WaveStanding, ...]
    act: Act | None
    in_s: float | None
    windows_needed: int
    holder: str | None
    unwatched: tuple[str, ...]
    failed: str
    changed_plan: bool
    trouble: str
    possible: tuple[str, ...]
    events: tuple[Logged, ...]
    red: tuple[str, ...] = ()

    @property
    def needs_person(self) -> bool:
        """Whether nothing goes on, or nobody watches, unless somebody does something."""
        moving = self.state.phase in (Phase.RUNNING, Phase.ROLLING_BACK)
        return bool(self.unwatched) or (moving and self.holder is None) or self.state.phase is Phase.PAUSED


def read_status(settings: Settings, plan: Plan | None, trouble: str = "", now: datetime | None = None) -> ReleaseStatus:
    """From the log alone. plan: None where release.toml cannot be read, with `trouble`. Raises ConfigurationError."""
    now = now or datetime.now(UTC)
    with open_event_log(settings.state_dir) as log:
        state, holder = log.state, log.holder()
        fits = plan is not None and len(plan.waves) >= len(state.waves)
        act = next_act(state, situation_of(log, plan, now)) if plan is not None and fits else None
        logged = [one for one in log.events() if not isinstance(one.event, QUIET)]
    watched = holder is not None and state.phase in (Phase.RUNNING, Phase.PAUSED, Phase.ROLLING_BACK)
    return ReleaseStatus(
        state,
        tuple(wave_standing(state, plan if fits else None, number) for number in range(len(state.waves))),
        act,
        seconds_until(act, now),
        plan.promotion.windows if plan is not None else 0,
        holder,
        () if watched or state.phase in FINAL else moved_of(state),
        failure_of(logged),
        plan is not None and bool(state.waves) and plan.digest != state.digest,
        trouble,
        legal_commands(state),
        tuple(logged[-SOON:]),
        open_red_alerts(settings.state_dir),
    )


def situation_of(log: EventLog, plan: Plan, now: datetime) -> Situation:
    """What the controller would decide on now."""
    rules = rules_of(plan, len(log.state.waves))
    open_from = look_at(plan.windows.opening, now).open_from(now)
    since = log.last_at(SwitchDone, WaveBegun)
    return Situation(now, since, open_from, plan.promotion.windows, rules, completing=log.is_to_complete())


def seconds_until(act: Act | None, now: datetime) -> float | None:
    """In how long something happens; None where nobody knows, such as what waits for a person."""
    if act is None or (act.until is not None and act.until >= FOR_EVER):
        return None
    if act.until is not None:
        return max(0.0, (act.until - now).total_seconds())
    return None if act.kind == "wait" else 0.0


def wave_standing(state: ReleaseState, plan: Plan | None, number: int) -> WaveStanding:
    """One wave."""
    stores = state.waves[number]
    routes: dict[str, int] = {}
    for store in stores:
        route = str(state.stores[store].route)
        routes[route] = routes.get(route, 0) + 1
    return WaveStanding(
        plan.waves[number].name if plan is not None else str(number + 1),
        stores,
        routes,
        len(approved_by(state, number, plan.roles.approver if plan is not None else ())),
        needed_approvals(plan, number) if plan is not None else 0,
        number not in state.promoted and (state.wave == number or Route.TIDB in (state.stores[store].route for store in stores)),
        number in state.promoted,
    )


def failure_of(logged: Sequence[Logged]) -> str:
    """Why the release stands still: what the last switch failed for, or why it was paused."""
    for one in reversed(logged):
        match one.event:
            case SwitchFailed(step, reason):
                return f"{step}: {reason}"
            case Paused(reason):
                return reason
            case SwitchDone() | WaveBegun():
                return ""
    return ""


@dataclass(frozen=True)
class Checked:
    """Every gate of a wave (from 0), whether a switch may happen now, and what else a switch would lack ("" nothing)."""

    wave: int
    name: str
    answers: tuple[Answer, ...]
    opening: Opening
    missing: str

    @property
    def passed(self) -> bool:
        """Whether every gate lets the release go on."""
        return all(answer.passed for answer in self.answers)


def check_release(settings: Settings, plan: Plan, wave: int | None = None) -> Checked:
    """Ask every gate. wave: from 0; None: the one under way, else the next. Raises UsageError, ConfigurationError."""
    now = datetime.now(UTC)
    with open_event_log(settings.state_dir) as log:
        state = log.state
    chosen = wave if wave is not None else wave_of_interest(state, len(plan.waves))
    if not 0 <= chosen < len(plan.waves):
        raise UsageError(f"There is no wave {chosen + 1}.", f"The plan has waves 1 to {len(plan.waves)}.")
    answers = check_gates(plan, chosen, open_sources(plan, settings), state, now)
    opening = look_at(plan.windows.opening, now)
    return Checked(chosen, plan.waves[chosen].name, answers, opening, what_is_missing(settings, plan))


def wave_of_interest(state: ReleaseState, waves: int) -> int:
    """The one under way; the next where it is through."""
    if state.wave is None:
        return 0
    return min(state.wave + 1, waves - 1) if state.wave in state.promoted else state.wave


@dataclass(frozen=True)
class History:
    """Events of the log, the oldest first. `left_out`: how many were not asked for."""

    events: tuple[Logged, ...]
    left_out: int


def read_history(settings: Settings, *, everything: bool = False, last: int | None = None) -> History:
    """The log; judged minutes and windows only with `everything`. Raises ConfigurationError."""
    with open_event_log(settings.state_dir) as log:
        logged = log.events()
    wanted = [one for one in logged if everything or not isinstance(one.event, QUIET)]
    shown = wanted if last is None else wanted[max(0, len(wanted) - last) :]
    return History(tuple(shown), len(logged) - len(shown))


@dataclass(frozen=True)
class Published:
    """The map that is out, and who has taken it. `sequence`: None where there is no map that can be read, for which `trouble`
    says why. `wanted`: the sequence that the log says; `stores` by route. `waiting`: instances with an older map whose lease has
    not lapsed; `lapsed`: those that write no more."""

    path: str
    sequence: int | None
    wanted: int
    published_at: str
    routes: Mapping[str, tuple[str, ...]]
    acknowledged: tuple[Ack, ...]
    waiting: tuple[Ack, ...]
    lapsed: tuple[Ack, ...]
    asked: bool
    trouble: str
    outputs: tuple[str, ...] = ()

    @property
    def in_order(self) -> bool:
        """Whether what is out is what the log says, and everybody has it. Before the first map nothing is to be out."""
        if not self.wanted and self.sequence is None:
            return True
        return not self.trouble and self.sequence == self.wanted and not self.waiting


def read_routes(settings: Settings, plan: Plan, now: datetime | None = None) -> Published:
    """Of the files alone. Raises ConfigurationError."""
    now, path = now or datetime.now(UTC), plan.path(plan.publish.routes)
    with open_event_log(settings.state_dir) as log:
        state = log.state
    found, trouble = None, ""
    try:
        found = read_published(path)
        trouble = "" if found is not None else "there is no map yet"
    except ConfigurationError as error:
        trouble = error.message
    if found is not None and state.stores and found.sequence == state.sequence and found.digest != map_of(state).digest:
        trouble = "the map is not the one that the log says"
    asked = plan.publish.acknowledge == "instances"
    acks = read_acks(plan.path(plan.publish.acks)) if asked else []
    sequence = found.sequence if found is not None else state.sequence
    lapsed = tuple(ack for ack in acks if ack.lapsed(now))
    alive = [ack for ack in acks if ack not in lapsed]
    by_route: dict[str, list[str]] = {}
    for store, entry in found.stores.items() if found is not None else ():
        by_route.setdefault(entry.route, []).append(store)
    return Published(
        str(path),
        found.sequence if found is not None else None,
        state.sequence,
        found.published_at if found is not None else "",
        {route: tuple(by_route[route]) for route in map(str, Route) if route in by_route},
        tuple(ack for ack in alive if ack.sequence >= sequence),
        tuple(ack for ack in alive if ack.sequence < sequence),
        lapsed,
        asked,
        trouble,
    )


def publish_again(settings: Settings, plan: Plan) -> tuple[str, ...]:
    """Put the log's map out once more, where a file was damaged or lost; where it was written. Raises RefusedError before the
    first map, PublishError."""
    with open_event_log(settings.state_dir) as log:
        state = log.state
    if not state.sequence or state.phase is Phase.PLANNED:
        raise RefusedError("No map was decided on yet.", "The first one is published by: membershift release run")
    done = publish(state, places_of(plan.publish, plan.origin.resolve().parent))
    return tuple(output.where for output in done.outputs if output.how)
