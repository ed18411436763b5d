"""States of a release as its events make them, for tests of what is published."""

from __future__ import annotations

from dataclasses import replace

from migrations.release.events import Event, Planned, Routed, Started, StepDone, SwitchBegun, SwitchDone, WaveBegun
from migrations.release.machine import fold
from migrations.release.model import ReleaseState, Route, steps_of

STORES = ("S001", "S002", "S003")


def planned(*stores: str, release: str = "autumn") -> ReleaseState:
    """A release that has begun its only wave: all stores on the legacy side, map 0."""
    names = stores or STORES
    state = fold([Planned(release, (names,), dict.fromkeys(names, Route.LEGACY)), Started(), WaveBegun(0)])
    return replace(state, sequence=0)  # so that the maps of a test count from 1


def fenced(state: ReleaseState, *stores: str, to: Route = Route.TIDB) -> ReleaseState:
    """The same with these stores fenced, on their way."""
    return fold([SwitchBegun(stores, to), StepDone("snapshot"), StepDone("compare"), Routed("fence"), StepDone("fence")], state)


def moved(state: ReleaseState, *stores: str, to: Route = Route.TIDB) -> ReleaseState:
    """The same with these stores arrived: two maps later."""
    before = state.stores[stores[0]].route
    events: list[Event] = [SwitchBegun(stores, to)]
    for step in steps_of(before, to):
        events += [Routed(step)] if step in ("fence", "publish") else []
        events.append(StepDone(step))
    return fold([*events, SwitchDone()], state)
