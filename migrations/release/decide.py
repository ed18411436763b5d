"""What a release does next: a pure decision from its state, the time, and what the gates said. The controller carries it out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Literal

from migrations.release.model import FINAL, Phase, ReleaseState, Route, writes_to


@dataclass(frozen=True)
class WaveRules:
    """Of one wave. `batch`: stores that are closed together; `shadow_s`: how long reads are compared first; `bake_s`: how long it
    has to run before the next one; `approvals`: how many people have to agree before it begins; `approvers`: whose approvals
    count, nobody named: everybody's; `by_itself`: whether it is promoted without anybody saying so."""

    batch: int = 10
    shadow_s: float = 0.0
    bake_s: float = 600.0
    approvals: int = 0
    by_itself: bool = True
    approvers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Situation:
    """What the decision rests on beside the state. `since`: when the last switch was done or the wave began (UTC). `open_from`:
    from when on a switch may happen, `now` or earlier where it may at once. `passes`: windows in a row that the gates have to
    pass. `rescue`: stores that go back are no longer to wait for TiDB, which does not answer. `completing`: somebody ordered the
    end, from which there is no way back."""

    now: datetime
    since: datetime
    open_from: datetime
    passes: int
    rules: Sequence[WaveRules]
    rescue: bool = False
    completing: bool = False


@dataclass(frozen=True)
class Act:
    """What to do. `why` is for people; `until`: when it will be looked at again at the latest, where that is known."""

    kind: Literal["wait", "switch", "carry on", "begin wave", "promote", "rolled back", "complete"]
    why: str = ""
    stores: tuple[str, ...] = ()
    to: Route = Route.LEGACY
    wave: int = 0
    rescue: bool = False
    until: datetime | None = None


WINDOWS: Final = "windows"
BAKE: Final = "bake"
"""What a wave has to prove beside its gates; overruled by these names."""
BY_HAND: Final = "; overruled, which counts for a person only: membershift release promote"

ENDED: Final = FINAL | {Phase.PLANNED, Phase.ROLLED_BACK}


def next_act(state: ReleaseState, situation: Situation) -> Act:
    """One thing to do, the most urgent first: finish a switch, bring stores back, then whatever the wave needs."""
    if state.switch is not None:
        return Act("carry on", f"switching {len(state.switch.stores)} stores to {state.switch.to}")
    if state.phase in ENDED:
        return Act("wait", f"the release is {state.phase}")
    if state.phase is Phase.ROLLING_BACK:
        return go_back(state, situation)
    if state.phase is Phase.PAUSED:
        return Act("wait", "paused: membershift release resume")
    if state.wave is None or state.wave in state.promoted:
        return begin_wave(state, situation)
    return move_wave(state, situation, state.wave)


def go_back(state: ReleaseState, situation: Situation) -> Act:
    """A batch of the stores that are still on TiDB; all at once where TiDB does not answer."""
    left = [store for store in state.going_back if writes_to(state.stores[store].route) != "legacy"]
    if not left:
        return Act("rolled back", "the stores are back")
    if situation.rescue:
        return Act("switch", "TiDB does not answer", tuple(left), Route.LEGACY, rescue=True)
    batch = max(rules.batch for rules in situation.rules)
    return Act("switch", f"{len(left)} stores to go back", tuple(left[:batch]), Route.LEGACY)


def begin_wave(state: ReleaseState, situation: Situation) -> Act:
    """The next wave, once enough people agree and the time is right."""
    wave = 0 if state.wave is None else state.wave + 1
    if wave >= len(state.waves):
        return complete(state) if situation.completing else Act("wait", "every wave is through: membershift release complete")
    missing = situation.rules[wave].approvals - len(approved_by(state, wave, situation.rules[wave].approvers))
    if missing > 0 and not is_forced(state, "approvals"):
        return Act("wait", f"wave {wave + 1} needs {missing} more approvals: membershift release approve")
    closed = not_yet(situation)
    return closed or Act("begin wave", f"wave {wave + 1}", wave=wave)


def complete(state: ReleaseState) -> Act:
    """All stores of the release at once: none of them is closed for it."""
    waiting = tuple(store for store in state.on(Route.TIDB) if state.stores[store].wave is not None)
    if waiting:
        return Act("switch", "somebody ordered the end", waiting, Route.COMPLETE)
    return Act("complete", "every store is complete")


def approved_by(state: ReleaseState, wave: int, approvers: Sequence[str]) -> tuple[str, ...]:
    """People whose approval of a wave counts: who is no approver any more, or never was, agrees to nothing."""
    return tuple(by for by in state.approvals.get(wave, ()) if not approvers or by in approvers)


def is_forced(state: ReleaseState, gate: str) -> bool:
    """Whether somebody overruled it, for the rest of the release."""
    return any(name == gate for name, _, _ in state.forced)


def move_wave(state: ReleaseState, situation: Situation, wave: int) -> Act:
    """Through shadow to TiDB, batch by batch; then it has to prove itself."""
    rules = situation.rules[wave]
    stores = state.waves[wave]
    on_legacy = [store for store in stores if state.stores[store].route is Route.LEGACY]
    in_shadow = [store for store in stores if state.stores[store].route is Route.SHADOW]
    if on_legacy and rules.shadow_s > 0:
        return Act("switch", "reads are compared first", tuple(on_legacy), Route.SHADOW)
    if in_shadow and not has_moved_some(state, wave):
        compared = wait_for(situation, rules.shadow_s, "reads are compared")
        if compared:
            return compared
    waiting = [*in_shadow, *on_legacy]
    if waiting:
        alike = [store for store in waiting if state.stores[store].route is state.stores[waiting[0]].route]
        return not_yet(situation) or Act("switch", f"{len(waiting)} stores to move", tuple(alike[: rules.batch]), Route.TIDB)
    return prove(state, situation, wave, rules)


def prove(state: ReleaseState, situation: Situation, wave: int, rules: WaveRules) -> Act:
    """Long enough, and with the gates passed often enough in a row. Overruling time or windows lets a person promote, who looks
    at the gates of that moment; nothing is promoted by itself because somebody overruled it, in this wave or an earlier one."""
    baking = wait_for(situation, rules.bake_s, "the wave is watched")
    if baking:
        return replace(baking, why=f"{baking.why}{BY_HAND}") if is_forced(state, BAKE) else baking
    if state.passes < situation.passes:
        passed = f"the gates have passed {state.passes} of {situation.passes} windows in a row"
        return Act("wait", f"{passed}{BY_HAND}" if is_forced(state, WINDOWS) else f"{passed}: membershift release check")
    if not rules.by_itself:
        return Act("wait", f"wave {wave + 1} waits for somebody: membershift release promote")
    return Act("promote", f"wave {wave + 1} has passed", wave=wave)


def has_moved_some(state: ReleaseState, wave: int) -> bool:
    """Whether a store of the wave is on TiDB already: the comparison is over then."""
    return any(writes_to(state.stores[store].route) == "tidb" for store in state.waves[wave])


def wait_for(situation: Situation, seconds: float, what: str) -> Act | None:
    """Wait until so long after the last switch; None when that is over."""
    until = situation.since + timedelta(seconds=seconds)
    return Act("wait", what, until=until) if situation.now < until else None


def not_yet(situation: Situation) -> Act | None:
    """Outside the windows in which a switch may happen; None inside."""
    if situation.open_from <= situation.now:
        return None
    return Act("wait", "no switch at this time", until=situation.open_from)
