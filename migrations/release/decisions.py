"""What people decide while a release is under way. Each decision is written down first; a controller that runs sees it within a
second, and where none runs it is said who has to carry it out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from etl.errors import RefusedError, UsageError
from etl.settings import Settings
from migrations.release.decide import BAKE, WINDOWS, is_forced
from migrations.release.event_log import EventLog, open_event_log
from migrations.release.events import Approved, Forced, Paused, Promoted, Resumed, SwitchDone, WaveBegun
from migrations.release.gates.base import GATES, Answer
from migrations.release.gates.check import check_gates
from migrations.release.gates.sources import open_sources
from migrations.release.legal_commands import decide
from migrations.release.model import FINAL, ReleaseState
from migrations.release.plan import Plan
from migrations.release.who import require_role

FORCEABLE: Final = (*GATES, WINDOWS, BAKE)
"""Gates, and what a wave has to prove beside them."""


@dataclass(frozen=True)
class Decided:
    """A decision that was written down. `what`: its kind; `wave` counted from 0, None where it is of no wave. `holder`: who
    carries the release out now, None when nobody does."""

    what: str
    by: str
    state: ReleaseState
    holder: str | None
    wave: int | None = None
    about: str = ""


def pause_release(settings: Settings, plan: Plan, reason: str) -> Decided:
    """No new switch begins; one under way is finished, and triggers are watched on. Raises IllegalEvent, RefusedError."""
    person = require_role(plan, "operator")
    with open_event_log(settings.state_dir) as log:
        state = decide(log, Paused(f"{person}: {reason}" if reason else person))
        return Decided("paused", person, state, log.holder(), about=reason)


def resume_release(settings: Settings, plan: Plan) -> Decided:
    """It goes on. Raises IllegalEvent, RefusedError."""
    person = require_role(plan, "operator")
    with open_event_log(settings.state_dir) as log:
        return Decided("resumed", person, decide(log, Resumed()), log.holder())


def approve_wave(settings: Settings, plan: Plan, wave: int | None) -> Decided:
    """One more person agrees that a wave begins. wave: from 0; None is the next to begin. Raises RefusedError, UsageError."""
    person = require_role(plan, "approver")
    with open_event_log(settings.state_dir) as log:
        state = log.state
        chosen = wave if wave is not None else next_wave(state)
        refuse_no_such_wave(state, chosen)
        if person in state.approvals.get(chosen, ()):
            raise RefusedError(
                f"{person} has approved wave {chosen + 1} already.", "Each person counts once: somebody else has to approve."
            )
        return Decided("approved", person, decide(log, Approved(chosen, person)), log.holder(), chosen)


def next_wave(state: ReleaseState) -> int:
    """The one that has not begun."""
    return 0 if state.wave is None else state.wave + 1


def refuse_no_such_wave(state: ReleaseState, wave: int) -> None:
    """Raises RefusedError before a plan, UsageError for a wave that it does not have."""
    if not state.waves or state.phase in FINAL:
        raise RefusedError("No release is planned.", "Plan one: membershift release plan --execute")
    if not 0 <= wave < len(state.waves):
        raise UsageError(f"There is no wave {wave + 1}.", f"The release has waves 1 to {len(state.waves)}.")


def force_gate(settings: Settings, plan: Plan, gate: str, reason: str) -> Decided:
    """Overrule a gate for every wave that is left of the release, shown for ever after; `bake` and `windows` for `release
    promote` only. Raises RefusedError, UsageError, IllegalEvent."""
    if gate not in FORCEABLE:
        raise UsageError(f"There is no gate {gate!r}.", f"There are: {', '.join(FORCEABLE)}.")
    if not reason.strip():
        raise UsageError("A gate is overruled with a reason.", "Say it with --reason: it stands in every report from now on.")
    person = require_role(plan, "overruler")
    with open_event_log(settings.state_dir) as log:
        refuse_no_such_wave(log.state, 0)
        return Decided("forced", person, decide(log, Forced(gate, reason.strip(), person)), log.holder(), about=gate)


class NotProved(RefusedError):
    """A wave that may not be promoted yet; `missing` says what it lacks."""

    def __init__(self, wave: int, missing: Sequence[str]) -> None:
        super().__init__(
            f"Wave {wave + 1} is not through: {'; '.join(missing)}.",
            "See what would fix each: membershift release check. Or overrule one: membershift release force GATE --reason ...",
        )
        self.missing = tuple(missing)


def promote_wave(settings: Settings, plan: Plan) -> Decided:
    """The wave under way is through, because somebody says so and everything is proved. Raises NotProved, IllegalEvent."""
    person = require_role(plan, "operator")
    with open_event_log(settings.state_dir) as log:
        state, now = log.state, datetime.now(UTC)
        if state.wave is None:
            raise RefusedError("No wave is under way.", "Look: membershift release status")
        wave = state.wave
        missing = [] if wave in state.promoted else what_is_missing(settings, plan, log, wave, now)
        if missing:
            raise NotProved(wave, missing)
        return Decided("promoted", person, decide(log, Promoted(wave, person)), log.holder(), wave)


def what_is_missing(settings: Settings, plan: Plan, log: EventLog, wave: int, now: datetime) -> list[str]:
    """Stores, time, windows and gates that a wave still lacks."""
    state = log.state
    if not state.moved_in(wave):
        return ["not all of its stores are on TiDB"]
    missing = []
    left_s = bake_left_s(plan, log, wave, now)
    if left_s > 0 and not is_forced(state, BAKE):
        missing.append(f"{BAKE}: it is watched for {left_s:.0f} s more")
    if state.passes < plan.promotion.windows and not is_forced(state, WINDOWS):
        missing.append(f"{WINDOWS}: {state.passes} of {plan.promotion.windows} passed in a row")
    answers = check_gates(plan, wave, open_sources(plan, settings), state, now)
    return missing + [say_missing(answer) for answer in answers if not answer.passed]


def bake_left_s(plan: Plan, log: EventLog, wave: int, now: datetime) -> float:
    """Seconds that a wave has to be watched on."""
    until = log.last_at(SwitchDone, WaveBegun) + timedelta(seconds=plan.waves[wave].bake_s)
    return max(0.0, (until - now).total_seconds())


def say_missing(answer: Answer) -> str:
    """A gate that does not pass, in a few words."""
    return f"{answer.gate} is {answer.verdict}: {answer.evidence}"
