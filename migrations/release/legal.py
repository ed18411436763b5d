"""When an event of a release is legal, and what is to be said when it is not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from migrations.release.events import (
    EVENTS,
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
from migrations.release.model import FINAL, ROUTING, Phase, ReleaseState, Route, steps_of, writes_to

MOVING: Final = frozenset({Phase.RUNNING, Phase.ROLLING_BACK})
"""Phases in which a switch may begin."""

PHASES: Final[Mapping[type[Event], frozenset[Phase]]] = {
    Planned: frozenset({Phase.PLANNED, Phase.ROLLED_BACK, *FINAL}),
    Started: frozenset({Phase.PLANNED, Phase.ROLLED_BACK}),
    Paused: frozenset({Phase.RUNNING}),
    Resumed: frozenset({Phase.PAUSED}),
    WaveBegun: frozenset({Phase.RUNNING}),
    SwitchBegun: MOVING,
    Routed: MOVING | {Phase.PAUSED},
    StepDone: MOVING | {Phase.PAUSED},
    SwitchFailed: MOVING | {Phase.PAUSED},
    SwitchDone: MOVING | {Phase.PAUSED},
    WindowJudged: frozenset({Phase.RUNNING, Phase.PAUSED}),
    MinuteJudged: frozenset({Phase.RUNNING, Phase.PAUSED, Phase.ROLLING_BACK}),
    Approved: frozenset({Phase.PLANNED, Phase.RUNNING, Phase.PAUSED, Phase.ROLLED_BACK}),
    Forced: frozenset({Phase.PLANNED, Phase.RUNNING, Phase.PAUSED, Phase.ROLLED_BACK}),
    Promoted: frozenset({Phase.RUNNING}),
    RollbackBegun: frozenset({Phase.RUNNING, Phase.PAUSED}),
    RolledBack: frozenset({Phase.ROLLING_BACK}),
    Aborted: frozenset({Phase.PLANNED, Phase.RUNNING, Phase.PAUSED, Phase.ROLLED_BACK}),
    CompletionAsked: frozenset({Phase.RUNNING}),
    Completed: frozenset({Phase.RUNNING}),
}

WITH_SWITCH: Final = frozenset({Routed, StepDone, SwitchFailed, SwitchDone})
WITHOUT_SWITCH: Final = frozenset({WaveBegun, SwitchBegun, Promoted, RolledBack, Aborted, Completed})


def legal_kinds(state: ReleaseState) -> tuple[str, ...]:
    """Kinds of events that the state allows, some of them only with the right content."""
    return tuple(kind for kind, cls in EVENTS.items() if state.phase in PHASES[cls] and switch_fits(state, cls))


def switch_fits(state: ReleaseState, cls: type[Event]) -> bool:
    """Whether a switch under way, or none, is what this kind of event needs."""
    return not (cls in WITH_SWITCH and state.switch is None) and not (cls in WITHOUT_SWITCH and state.switch is not None)


def why_not(state: ReleaseState, event: Event) -> str:
    """Why an event is not legal now, "" where it is."""
    if type(event) not in PHASES:
        return "it is not an event of a release"
    if state.phase not in PHASES[type(event)]:
        return f"the release is {state.phase}"
    if not switch_fits(state, type(event)):
        return "no switch is under way" if state.switch is None else "a switch is under way"
    check = CHECKS.get(type(event))
    return check(state, event) if check else ""


def check_planned(state: ReleaseState, event: Planned) -> str:
    """Every store once, none of them unknown, none that another release has left half-way."""
    named = [store for wave in event.waves for store in wave]
    if not named or not all(event.waves):
        return "a wave has no stores"
    if len(named) != len(set(named)):
        return "a store is in two waves"
    unknown = sorted(set(named) - set(event.routes))
    if unknown:
        return f"store {unknown[0]} is not known"
    if any(event.routes[store] not in (Route.LEGACY, Route.SHADOW) for store in named):
        return "a store of a wave has moved already"
    changed = [store for store, where in state.stores.items() if event.routes.get(store) not in (None, where.route)]
    return f"store {changed[0]} is on {state.stores[changed[0]].route} in the published map" if changed else ""


def check_started(state: ReleaseState, event: Started) -> str:
    """There is something to do."""
    return "" if state.waves else "nothing is planned"


def check_wave(state: ReleaseState, event: WaveBegun) -> str:
    """Waves come in order, each after the one before was promoted."""
    following = 0 if state.wave is None else state.wave + 1
    if event.wave != following or event.wave >= len(state.waves):
        return f"wave {event.wave + 1} is not the next"
    if state.wave is not None and state.wave not in state.promoted:
        return f"wave {state.wave + 1} is not promoted"
    return ""


def check_switch(state: ReleaseState, event: SwitchBegun) -> str:
    """Forward only stores of the waves under way; back any store of the release."""
    if not event.stores or len(set(event.stores)) != len(event.stores):
        return "it names no store, or one twice"
    for store in event.stores:
        where = state.stores.get(store)
        if where is None or where.wave is None:
            return f"store {store} is not part of the release"
        try:
            steps_of(where.route, event.to, rescue=event.rescue)
        except ValueError as error:
            return str(error)
        ahead = state.wave is None or where.wave > state.wave
        if ahead and event.to is not Route.LEGACY:
            return f"store {store} belongs to a later wave"
    if len({steps_of(state.stores[store].route, event.to, rescue=event.rescue) for store in event.stores}) != 1:
        return "its stores would go different ways"
    if state.phase is Phase.ROLLING_BACK and event.to is not Route.LEGACY:
        return "stores are going back"
    if event.to is Route.COMPLETE and state.promoted != frozenset(range(len(state.waves))):
        return "not every wave is promoted"
    return ""


def check_step(state: ReleaseState, event: Routed | StepDone | SwitchFailed) -> str:
    """Steps come in their order; a routing step is done only after its map was decided on."""
    switch = state.switch
    assert switch is not None
    if event.step != switch.next_step:
        return f"the next step is {switch.next_step}"
    if isinstance(event, Routed):
        return "" if event.step in ROUTING else f"{event.step} changes no route"
    if isinstance(event, StepDone) and event.step in ROUTING and switch.routed != event.step:
        return "its map was not decided on"
    return ""


def check_switch_done(state: ReleaseState, event: SwitchDone) -> str:
    """After the last step."""
    assert state.switch is not None
    return f"{state.switch.next_step} is still to come" if state.switch.next_step else ""


def check_promoted(state: ReleaseState, event: Promoted) -> str:
    """The wave under way, with all its stores on TiDB."""
    if event.wave != state.wave or event.wave in state.promoted:
        return "it is not the wave under way"
    return "" if state.moved_in(event.wave) else "not all of its stores are on TiDB"


def check_rollback(state: ReleaseState, event: RollbackBegun) -> str:
    """Stores that have moved, or are moving; nobody comes back from `complete`."""
    if not event.stores:
        return "it names no store"
    for store in event.stores:
        where = state.stores.get(store)
        if where is None or where.wave is None:
            return f"store {store} is not part of the release"
        if where.route is Route.COMPLETE:
            return f"store {store} is complete: there is no way back"
    return ""


def check_rolled_back(state: ReleaseState, event: RolledBack) -> str:
    """None of the stores that go back is left on TiDB, or between."""
    left = [store for store in state.going_back if writes_to(state.stores[store].route) != "legacy"]
    if left:
        return f"store {min(left)} is still on {state.stores[min(left)].route}"
    return "it names other stores than those that are left on TiDB" if event.left and event.left != moved_stores(state) else ""


def moved_stores(state: ReleaseState) -> tuple[str, ...]:
    """Stores of the release that write to TiDB and can come back: whose errors count."""
    return tuple(store for store in state.on(Route.TIDB) if state.stores[store].wave is not None)


def check_aborted(state: ReleaseState, event: Aborted) -> str:
    """No store of the release is left on TiDB, or between."""
    left = [store for store, where in state.stores.items() if where.wave is not None and writes_to(where.route) != "legacy"]
    return f"store {min(left)} is still on {state.stores[min(left)].route}" if left else ""


def check_asked(state: ReleaseState, event: CompletionAsked) -> str:
    """Nothing is left to prove."""
    return "" if state.waves and state.promoted == frozenset(range(len(state.waves))) else "not every wave is promoted"


def check_completed(state: ReleaseState, event: Completed) -> str:
    """All stores of the release."""
    left = [store for store, where in state.stores.items() if where.wave is not None and where.route is not Route.COMPLETE]
    return f"store {min(left)} is on {state.stores[min(left)].route}" if left else ""


def check_window(state: ReleaseState, event: WindowJudged) -> str:
    """Each window once, in order of time."""
    return "" if event.window > state.last_window else "that window was judged"


def check_minute(state: ReleaseState, event: MinuteJudged) -> str:
    """Each minute once, in order of time."""
    return "" if event.minute > state.last_minute else "that minute was judged"


CHECKS: Final[Mapping[type[Event], Callable[[ReleaseState, Any], str]]] = {
    Planned: check_planned,
    Started: check_started,
    WaveBegun: check_wave,
    SwitchBegun: check_switch,
    Routed: check_step,
    StepDone: check_step,
    SwitchFailed: check_step,
    SwitchDone: check_switch_done,
    Promoted: check_promoted,
    RollbackBegun: check_rollback,
    RolledBack: check_rolled_back,
    Aborted: check_aborted,
    CompletionAsked: check_asked,
    Completed: check_completed,
    WindowJudged: check_window,
    MinuteJudged: check_minute,
}
