"""What an event makes of the state of a release. Pure: no clock, no file, no server.

The event log is folded through `apply` at every start, so whatever kills the program, the state is what was written down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from etl.errors import RefusedError
from migrations.release.events import (
    Aborted,
    Approved,
    Completed,
    CompletionAsked,
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
from migrations.release.legal import legal_kinds, why_not
from migrations.release.model import Phase, ReleaseState, Route, StoreRoute, Switch, steps_of, writes_to


class IllegalEvent(RefusedError):
    """An event that the state does not allow; nothing was changed."""


def fold(events: Iterable[Event], state: ReleaseState | None = None) -> ReleaseState:
    """The state that events lead to, from the beginning or from `state`."""
    state = state or ReleaseState()
    for event in events:
        state = apply(state, event)
    return state


def apply(state: ReleaseState, event: Event) -> ReleaseState:
    """The state after an event. Raises IllegalEvent, which lists what is legal instead."""
    refusal = why_not(state, event)
    if refusal:
        legal = ", ".join(legal_kinds(state)) or "nothing any more"
        raise IllegalEvent(f"The release cannot take {event.kind!r} now: {refusal}.", f"What it can take: {legal}.")
    return replace(EFFECTS[type(event)](state, event), events=state.events + 1)


def plan(state: ReleaseState, event: Planned) -> ReleaseState:
    """A new release. Sequence numbers go on: applications refuse a map that goes backwards."""
    waves = {store: wave for wave, stores in enumerate(event.waves) for store in stores}
    stores = {
        store: StoreRoute(route, state.stores[store].epoch if store in state.stores else 0, waves.get(store))
        for store, route in event.routes.items()
    }
    sequence = state.sequence + 1  # the stores may be others than in the last map
    return ReleaseState(
        release=event.release, events=state.events, sequence=sequence, waves=event.waves, stores=stores, digest=event.digest
    )


def begin_switch(state: ReleaseState, event: SwitchBegun) -> ReleaseState:
    """The stores' routes do not change before the first routing step."""
    before = {store: state.stores[store].route for store in event.stores}
    steps = steps_of(before[event.stores[0]], event.to, rescue=event.rescue)
    return replace(state, switch=Switch(event.stores, before, event.to, steps))


def route(state: ReleaseState, event: Routed) -> ReleaseState:
    """A new map in which all stores of the switch have the route of this step."""
    switch = switch_of(state)
    where = Route.FENCED if event.step == "fence" else switch.to
    moved = with_routes(state, dict.fromkeys(switch.stores, where))
    return replace(moved, switch=replace(switch, routed=event.step))


def do_step(state: ReleaseState, event: StepDone) -> ReleaseState:
    """One step further."""
    switch = switch_of(state)
    return replace(state, switch=replace(switch, done=(*switch.done, event.step)))


def fail_switch(state: ReleaseState, event: SwitchFailed) -> ReleaseState:
    """As it was before, in one map, where any map was changed."""
    switch = switch_of(state)
    back = with_routes(state, switch.before) if switch.routed else state
    return replace(back, switch=None, passes=0)


def end_rollback(state: ReleaseState, event: RolledBack) -> ReleaseState:
    """The first wave that has a store on the legacy side is the next one, when the release goes on. With stores left on TiDB it
    is paused: one that is over would not be watched."""
    waves = [wave for wave, stores in enumerate(state.waves) if any(is_legacy(state, store) for store in stores)]
    first = min(waves, default=0)
    return replace(
        state,
        phase=Phase.PAUSED if event.left else Phase.ROLLED_BACK,
        wave=first - 1 if first else None,
        promoted=frozenset(wave for wave in state.promoted if wave < first),
        going_back=(),
        passes=0,
        bad_minutes=0,
    )


def count_minute(state: ReleaseState, event: MinuteJudged) -> ReleaseState:
    """A minute of which nothing is known neither ends a streak nor lengthens it."""
    streak = {"BAD": state.bad_minutes + 1, "GOOD": 0}.get(event.verdict, state.bad_minutes)
    return replace(state, bad_minutes=streak, last_minute=event.minute)


def approve(state: ReleaseState, event: Approved) -> ReleaseState:
    """Each person counts once for a wave."""
    before = state.approvals.get(event.wave, ())
    if event.by in before:
        return state
    return replace(state, approvals={**state.approvals, event.wave: (*before, event.by)})


def with_routes(state: ReleaseState, routes: Mapping[str, Route]) -> ReleaseState:
    """The next map, in which these stores have these routes."""
    sequence = state.sequence + 1
    moved = {store: replace(state.stores[store], route=where, epoch=sequence) for store, where in routes.items()}
    return replace(state, sequence=sequence, stores={**state.stores, **moved})


def is_legacy(state: ReleaseState, store: str) -> bool:
    """Whether its writes go to SQL Server."""
    return writes_to(state.stores[store].route) == "legacy"


def switch_of(state: ReleaseState) -> Switch:
    """The switch under way; legal.py lets no event of a switch through without one."""
    assert state.switch is not None
    return state.switch


EFFECTS: Final[Mapping[type[Event], Callable[[ReleaseState, Any], ReleaseState]]] = {
    Planned: plan,
    Started: lambda state, event: replace(state, phase=Phase.RUNNING, sick=""),
    Paused: lambda state, event: replace(state, phase=Phase.PAUSED),
    Resumed: lambda state, event: replace(state, phase=Phase.RUNNING, sick=""),
    WaveBegun: lambda state, event: replace(state, wave=event.wave, passes=0),
    SwitchBegun: begin_switch,
    Routed: route,
    StepDone: do_step,
    SwitchFailed: fail_switch,
    SwitchDone: lambda state, event: replace(state, switch=None, passes=0),
    WindowJudged: lambda state, event: replace(
        state, passes=state.passes + 1 if event.verdict == "PASS" else 0, last_window=event.window
    ),
    MinuteJudged: count_minute,
    Approved: approve,
    Forced: lambda state, event: replace(state, forced=(*state.forced, (event.gate, event.reason, event.by))),
    Promoted: lambda state, event: replace(state, promoted=state.promoted | {event.wave}, passes=0),
    RollbackBegun: lambda state, event: replace(
        state, phase=Phase.ROLLING_BACK, sick=event.reason, going_back=event.stores, passes=0
    ),
    RolledBack: end_rollback,
    Aborted: lambda state, event: replace(state, phase=Phase.ABORTED),
    CompletionAsked: lambda state, event: state,
    Completed: lambda state, event: replace(state, phase=Phase.COMPLETED),
}
