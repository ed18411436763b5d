"""The controller: it watches minute by minute, decides, and carries out. Killed at any time, it goes on from the event log.

Watching has a thread of its own, so that a trigger does not wait for a switch. Both write to the same log under the same lease.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from etl.errors import OpsError
from migrations.release.alerts.settings import Level
from migrations.release.decide import Act, Situation, WaveRules, next_act
from migrations.release.event_log import EventLog, LeaseLost
from migrations.release.events import (
    Completed,
    MinuteJudged,
    Paused,
    Promoted,
    RollbackBegun,
    RolledBack,
    SwitchBegun,
    SwitchDone,
    WaveBegun,
    WindowJudged,
)
from migrations.release.gates.base import Answer
from migrations.release.legal import moved_stores
from migrations.release.metrics.base import Sample
from migrations.release.model import FINAL, Phase, ReleaseState, Route, writes_to
from migrations.release.moves import Moves
from migrations.release.plan import Plan
from migrations.release.switch import Ports, SwitchRefused, carry_out
from migrations.release.switch_hours import look_at
from migrations.release.triggers import MINUTE, Judged, Minute, Trigger, blind_for, decide, fast_burn, judge_minute
from migrations.release.windows import judge_window, last_window

SETTLE_S: Final = 10.0
"""A minute is judged so long after its end: figures have to be scraped first."""
BURN_S: Final = 15.0
"""So often the last minute, wherever it begins, is looked at for a fast burn."""
TICK_S: Final = 1.0
ASK_GATES: Final = timedelta(seconds=5)
"""How long gates that do not pass are left alone before a wave begins: some ask servers."""
ATTEMPTS: Final = 3
"""So often going back is tried in order; then it no longer waits for TiDB."""
WATCHED: Final = frozenset({Phase.RUNNING, Phase.PAUSED, Phase.ROLLING_BACK})


@dataclass(frozen=True)
class Eyes:
    """What the controller sees, and how it speaks. `minute`: what is known of one minute of these stores. `sample`: the same for
    a window. `gates`: every gate's answer for a wave. `target_answers`: whether TiDB takes a statement, within a second or so;
    `source_answers`: the same of SQL Server.
    `tell`: an alert: level, key, what happened, what was done, what to do."""

    minute: Callable[[Sequence[str], datetime], Minute]
    sample: Callable[[Sequence[str], datetime, datetime], Sample]
    gates: Callable[[ReleaseState, int, datetime], Sequence[Answer]]
    target_answers: Callable[[], bool]
    tell: Callable[[Level, str, str, str, str], None]
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    source_answers: Callable[[], bool] = lambda: True


class Watcher:
    """Judges each minute and each window once, whoever judged the one before. A minute is judged of stores that were on TiDB all
    through it: what failed before they moved, or while they were closed, is no reason to go back.

    `since`: up to when something was seen, or from when on it watches. `due`: the newest minute, with the stores that it is of,
    until the triggers have heeded it. `beside`: what else is done each second. `burn_end`: up to when a fast burn was looked for.
    """

    def __init__(self, log: EventLog, plan: Plan, eyes: Eyes, beside: Callable[[], None] = lambda: None) -> None:
        self.log, self.plan, self.eyes, self.beside = log, plan, eyes, beside
        self.since = eyes.now()
        self.due: tuple[Judged, frozenset[str]] | None = None
        self.moves = Moves()
        self.burn_end = self.since

    def look(self) -> None:
        """Whatever is due. Raises LeaseLost, ConfigurationError."""
        state = self.log.refresh()
        if state.phase not in WATCHED:
            return
        stores = moved_stores(state)
        if stores:
            self.judge_minute(stores)
            self.heed_triggers()
            self.look_for_burn()
        else:
            self.since = self.eyes.now()  # nobody is blind to stores that have not moved
        state = self.log.state
        if state.phase is not Phase.ROLLING_BACK and state.wave is not None and state.wave not in state.promoted:
            self.judge_window(state, state.wave)

    def judge_minute(self, stores: Sequence[str]) -> None:
        """The newest minute that is over, and no older one: what nobody watched is not known."""
        start = last_window(self.eyes.now() - timedelta(seconds=SETTLE_S), MINUTE.total_seconds()).start
        if start.isoformat() <= self.log.state.last_minute:
            return
        settled = self.moves.since(self.log, stores, start)
        if not settled:
            self.since = max(self.since, start + MINUTE)
            return
        judged = judge_minute(self.eyes.minute(settled, start), self.plan.triggers)
        self.log.append(MinuteJudged(start.isoformat(), judged.verdict, judged.figures))
        self.due = (judged, frozenset(settled))
        if judged.seen:
            self.since = max(self.since, start + MINUTE)

    def heed_triggers(self) -> None:
        """Send the stores back, or pause, where a trigger says so. A minute is heeded once, and never after a rollback: it was
        judged of stores that are back, and says nothing of those that stayed."""
        state = self.log.state
        stores = moved_stores(state)
        judged = self.due[0] if self.due and self.due[1] <= set(stores) else None
        decision = decide(judged, state.bad_minutes, blind_for(self.eyes.now(), self.since, []), self.plan.triggers)
        if decision.action == "rollback":
            self.send_back(decision.trigger, decision.why, judged.figures if judged else {})
        elif decision.action == "pause" and state.phase is Phase.RUNNING:
            self.log.append(Paused(decision.why))
            self.eyes.tell(
                "red", "blind", decision.why, "The release is paused.", "Bring the source of figures back, then resume."
            )
        self.due = None

    def look_for_burn(self) -> None:
        """Between whole minutes: one that is half over when most requests begin to fail would be followed by another whole one.
        A source that has figures of whole minutes only says nothing here, and that is no blindness."""
        end = last_window(self.eyes.now() - timedelta(seconds=SETTLE_S), BURN_S).end
        start = end - MINUTE
        if end <= self.burn_end or last_window(end, MINUTE.total_seconds()).end == end:
            return
        self.burn_end = end
        settled = self.moves.since(self.log, moved_stores(self.log.state), start)
        sample = self.eyes.sample(settled, start, end) if settled else Sample()
        if why := fast_burn(sample, self.plan.triggers):
            figures = {"requests": sample.requests, "errors": sample.errors, "error_rate": sample.error_rate}
            self.send_back("fast_burn", why, {**figures, "since": start.isoformat()})

    def send_back(self, trigger: Trigger | None, why: str, figures: Mapping[str, Any]) -> None:
        """All stores that moved; those that are on their way already go on."""
        state = self.log.state
        stores = moved_stores(state)
        if stores and state.phase in (Phase.RUNNING, Phase.PAUSED):
            self.log.append(RollbackBegun(stores, why, f"trigger {trigger}", figures))
            self.eyes.tell("red", "rollback", why, f"{len(stores)} stores go back.", "Watch: membershift release watch")

    def judge_window(self, state: ReleaseState, wave: int) -> None:
        """Of a wave that is wholly on TiDB: the newest window that is over and lies after its last switch."""
        if not state.moved_in(wave) or state.switch is not None:
            return
        rules = self.plan.promotion
        window = last_window(self.eyes.now() - timedelta(seconds=SETTLE_S), rules.window_s)
        if window.start.isoformat() <= state.last_window or window.start < self.log.last_at(SwitchDone, WaveBegun):
            return
        answers = self.eyes.gates(state, wave, self.eyes.now())
        verdict = judge_window(window, self.eyes.sample(state.waves[wave], window.start, window.end), answers, rules)
        said = {answer.gate: {"verdict": answer.verdict, "figure": answer.figure, "forced": answer.forced} for answer in answers}
        self.log.append(WindowJudged(window.start.isoformat(), verdict.verdict, {"gates": said, "why": list(verdict.why)}))


@dataclass
class Mover:
    """Decides and carries out, one act at a time. `act`: what it does or waits for now, for the screen. `not_ready`: why no store
    may be closed now ("" where it may), asked before a switch forward: what it lacks half-way would have to be put back."""

    log: EventLog
    plan: Plan
    ports: Ports
    eyes: Eyes
    act: Act = field(default_factory=lambda: Act("wait", "it has just begun"))
    published: int = -1
    attempts: int = 0
    silent_since: datetime | None = None
    not_ready: Callable[[], str] = lambda: ""
    told_not_ready: str = ""
    gates_why: str = ""
    gates_from: datetime = datetime(1970, 1, 1, tzinfo=UTC)

    def move(self) -> Act:
        """One act. Raises LeaseLost, ConfigurationError, and what publishing raises when it cannot be done at all."""
        state = self.log.refresh()
        if state.phase is not Phase.ROLLING_BACK:
            self.attempts, self.silent_since = 0, None  # they are of one rollback: the next one waits its own time for TiDB
        self.publish(state)
        self.act = act = next_act(state, self.situation(state))
        match act.kind:
            case "begin wave":
                self.begin_wave(state, act)
            case "promote":
                self.log.append(Promoted(act.wave, "the gates"))
                self.eyes.tell("blue", f"wave {act.wave + 1}", act.why, "The next wave may begin.", "Nothing.")
            case "complete":
                self.log.append(Completed())
                self.eyes.tell("blue", "completed", act.why, "There is no way back from now on.", "Nothing.")
            case "rolled back":
                self.end_rollback(state)
            case "switch":
                self.begin_switch(act)
            case "carry on":
                self.carry_out()
            case "wait":
                pass
        return self.act

    def begin_wave(self, state: ReleaseState, act: Act) -> None:
        """Once every gate passes; those that do not are asked again after a while. Availability says something of TiDB only when
        stores sell there: what the legacy side has of it is often why they move."""
        now = self.eyes.now()
        if now >= self.gates_from:
            asked = [one for one in self.eyes.gates(state, act.wave, now) if one.gate != "availability" or moved_stores(state)]
            closed = [f"{one.gate} ({one.verdict})" for one in asked if not one.passed]
            self.gates_why = f"wave {act.wave + 1} waits for {', '.join(closed)}: membershift release check" if closed else ""
            self.gates_from = now + ASK_GATES if closed else now
        if self.gates_why:
            self.act = Act("wait", self.gates_why)
        else:
            self.log.append(WaveBegun(act.wave))

    def end_rollback(self, state: ReleaseState) -> None:
        """Stores that nobody sent back are watched on, while the release is paused."""
        left = moved_stores(state)
        self.log.append(RolledBack(left))
        stay = f"The stores are back; {len(left)} stay on TiDB, watched on. The release is paused."
        done = stay if left else "Every store is back."
        self.eyes.tell("red", "rolled back", state.sick, done, "Find the cause: membershift release history")

    def begin_switch(self, act: Act) -> None:
        """Stores that go back are not held up by what is not ready, but for a server that is down; others wait until it is.
        Nobody is closed to be complete."""
        why = self.no_way_back(act) if act.to is Route.LEGACY else "" if act.to is Route.COMPLETE else self.not_ready()
        if why and why != self.told_not_ready:
            self.eyes.tell("red", "not ready", why, "No store was closed; it begins by itself once this is over.", why)
        self.told_not_ready = why
        if why:
            self.act = Act("wait", why)
            return
        self.log.append(SwitchBegun(act.stores, act.to, act.rescue))
        self.carry_out()

    def no_way_back(self, act: Act) -> str:
        """Stores that sell on TiDB are not sent to a server that is down, nor closed again and again to try; nor is a way back
        that needs TiDB begun while it is silent: its time limits are longer than the wait for a rescue."""
        if self.silent_since is not None and not act.rescue:
            return f"TiDB does not answer: after {self.plan.switch.rescue_after_s:g} s the stores go back without it."
        if self.silent_since is not None or self.eyes.source_answers():
            return ""
        return "SQL Server does not answer, and TiDB does: the stores go back once both do."

    def publish(self, state: ReleaseState) -> None:
        """The state's map, once: a controller that was killed may not have come to it."""
        if state.phase is not Phase.PLANNED and state.sequence and self.published != state.sequence:
            self.ports.publish(state)
            self.published = state.sequence

    def carry_out(self) -> None:
        """The switch under way. One that fails pauses the release; going back is tried again."""
        try:
            self.published = carry_out(self.log, self.ports).sequence
            self.attempts = 0
        except SwitchRefused as error:
            self.published = self.log.state.sequence
            self.attempts += 1
            self.eyes.tell("red", "switch", error.message, "The old routes are back.", error.remedy)
            if self.log.refresh().phase is Phase.RUNNING:
                self.log.append(Paused(error.message))

    def situation(self, state: ReleaseState) -> Situation:
        """What the decision rests on."""
        now = self.eyes.now()
        return Situation(
            now,
            self.log.last_at(SwitchDone, WaveBegun),
            look_at(self.plan.windows.opening, now).open_from(now),
            self.plan.promotion.windows,
            rules_of(self.plan, len(state.waves)),
            rescue=state.phase is Phase.ROLLING_BACK and self.must_rescue(now),
            completing=len(state.promoted) == len(state.waves) and self.log.is_to_complete(),
        )

    def must_rescue(self, now: datetime) -> bool:
        """TiDB has not answered for too long, or going back in order has failed too often."""
        if self.eyes.target_answers():
            self.silent_since = None
        else:
            self.silent_since = self.silent_since or now
            if (now - self.silent_since).total_seconds() >= self.plan.switch.rescue_after_s:
                return True
        return self.attempts >= ATTEMPTS


def rules_of(plan: Plan, waves: int) -> tuple[WaveRules, ...]:
    """The pace of each wave that was planned."""
    return tuple(
        WaveRules(wave.batch, wave.shadow_s, wave.bake_s, needed_approvals(plan, number), wave.by_itself, plan.roles.approver)
        for number, wave in enumerate(plan.waves[:waves])
    )


def needed_approvals(plan: Plan, wave: int) -> int:
    """People who have to agree before a wave (from 0) begins; nobody where the plan leaves that gate out."""
    return plan.waves[wave].approvals if plan.gates_of(wave).approvals.enabled else 0


def keep_watching(watcher: Watcher, end: threading.Event, failed: Callable[[OpsError], None]) -> None:
    """Until the end, once a second: renew the lease, and look. What goes wrong is told to `failed` and tried again: nothing may
    stop the watching of stores that have moved, but that another process has taken over."""
    while not end.is_set():
        try:
            watcher.log.renew_lease()
            watcher.look()
            watcher.beside()
        except LeaseLost as error:
            failed(error)
            end.set()
            return
        except OpsError as error:
            failed(error)
        end.wait(TICK_S)


def is_over(state: ReleaseState) -> bool:
    """Whether there is nothing left for a controller to do."""
    return state.phase in FINAL or state.phase in (Phase.PLANNED, Phase.ROLLED_BACK)


def left_on_tidb(state: ReleaseState) -> Mapping[str, Route]:
    """Stores that still take their writes on TiDB."""
    return {store: where.route for store, where in state.stores.items() if writes_to(where.route) == "tidb"}
