"""Random histories of a release: whatever order of legal events comes, no store is lost between two databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

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
    read_event,
    write_event,
)
from migrations.release.legal import moved_stores
from migrations.release.machine import IllegalEvent, apply, fold
from migrations.release.model import Phase, ReleaseState, Route, writes_to

STORES = tuple(f"S{number}" for number in range(6))
WAVES = (STORES[:1], STORES[1:3], STORES[3:5])
PLANNED = Planned("r", WAVES, dict.fromkeys(STORES, Route.LEGACY))
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def moment(state: ReleaseState) -> str:
    """A time after every earlier one."""
    return (NOON + timedelta(minutes=state.events)).isoformat()


def draw_event(draw: Any, state: ReleaseState) -> Event:
    """Any event, legal or not, with content that is often right."""
    wave = draw(st.integers(0, len(WAVES)))
    some = tuple(draw(st.lists(st.sampled_from(STORES), min_size=1, max_size=3, unique=True)))
    of_wave = WAVES[state.wave or 0]
    stores = draw(st.sampled_from([of_wave, some, tuple(store for wave in WAVES for store in wave)]))
    step = draw(st.sampled_from(["snapshot", "fence", "publish", "probe"]))
    if state.switch is not None and state.switch.next_step is not None:
        step = draw(st.sampled_from([state.switch.next_step, state.switch.next_step, step]))
    route = draw(st.sampled_from(list(Route)))
    following = 0 if state.wave is None else state.wave + 1
    verdict = draw(st.sampled_from(["PASS", "FAIL", "UNKNOWN"]))
    minute = draw(st.sampled_from(["BAD", "GOOD", "UNKNOWN"]))
    switch = [
        SwitchBegun(stores, Route.TIDB),
        SwitchBegun(stores, route, draw(st.booleans())),
        SwitchFailed(step, "x"),
        SwitchDone(),
    ]
    steps = [Routed(step), StepDone(step), StepDone(step)]
    waves = [WaveBegun(following), WaveBegun(wave), Promoted(state.wave or 0)]
    judged = [
        WindowJudged(moment(state), verdict),
        MinuteJudged(moment(state), minute),
        Approved(wave, "a"),
        Forced("g", "r", "a"),
    ]
    back = [RollbackBegun(stores, "x", "t"), RolledBack(moved_stores(state))]
    phases = [Started(), Paused(), Resumed(), *back, Aborted(), CompletionAsked("a"), Completed(), PLANNED]
    events: list[Event] = [*switch, *steps, *steps, *waves, *judged, *phases]
    chosen: int = draw(st.integers(0, len(events) - 1))
    return events[chosen]


def assert_sound(before: ReleaseState, event: Event, after: ReleaseState) -> None:
    """What must be true of every state, and of every step from one to the next."""
    between = set(after.on(Route.FENCED))
    assert between <= set(after.switch.stores if after.switch else ()), "a store would be fenced for ever"
    assert after.sequence - before.sequence in (0, 1), "a map would be skipped"
    if after.phase in (Phase.PLANNED, Phase.ROLLED_BACK, Phase.ABORTED):
        assert not moved_stores(after), "a store stays on TiDB while no controller watches"
    changed = {store for store in STORES if before.stores and before.stores[store].route is not after.stores[store].route}
    if isinstance(event, Planned):
        return
    assert all(after.stores[store].epoch == after.sequence for store in changed), "an application would not see the change"
    assert not changed or after.sequence == before.sequence + 1
    assert not any(before.stores[store].route is Route.COMPLETE for store in changed), "there is no way back from complete"
    assert after.stores[STORES[-1]].route is Route.LEGACY, "a store of no wave was moved"
    started = {store for wave in WAVES[: 0 if after.wave is None else after.wave + 1] for store in wave}
    moved = {store for store in STORES if writes_to(after.stores[store].route) == "tidb"}
    assert moved <= started, "a store of a later wave was moved"
    for store in changed:
        sides = writes_to(before.stores[store].route), writes_to(after.stores[store].route)
        rescued = before.switch is not None and before.switch.steps == ("publish", "count")
        if sides in {("legacy", "tidb"), ("tidb", "legacy")} and not isinstance(event, SwitchFailed):
            assert rescued, "writes moved without a fence"


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_every_history_is_sound(data: st.DataObject) -> None:
    """What an illegal event would have cost: a store that both databases take for theirs, or that neither does."""
    state = apply(ReleaseState(), PLANNED)
    events: list[Event] = [PLANNED]
    for _ in range(data.draw(st.integers(1, 60))):
        event = draw_event(data.draw, state)
        try:
            after = apply(state, event)
        except IllegalEvent:
            continue
        assert_sound(state, event, after)
        state = after
        events.append(event)
    again = [read_event(event.kind, write_event(event)) for event in events]
    assert fold(again) == state, "after a crash the log would lead to another state"


MOVE = ["snapshot", "compare", "fence", "acknowledge", "drain", "reconcile", "publish", "follow", "probe"]


def moved(stores: tuple[str, ...], to: Route) -> list[Event]:
    """A switch that goes well."""
    steps: list[Event] = []
    for step in MOVE:
        steps += [Routed(step), StepDone(step)] if step in ("fence", "publish") else [StepDone(step)]  # type: ignore[arg-type]
    return [SwitchBegun(stores, to), *steps, SwitchDone()]


def test_three_waves_and_the_end() -> None:
    """The whole story, once."""
    events: list[Event] = [PLANNED, Started()]
    for wave, stores in enumerate(WAVES):
        events += [WaveBegun(wave), *moved(stores, Route.TIDB), Promoted(wave)]
    everyone = tuple(store for wave in WAVES for store in wave)
    finish = [StepDone("check"), Routed("publish"), StepDone("publish"), StepDone("follow")]
    state = fold([*events, SwitchBegun(everyone, Route.COMPLETE), *finish, SwitchDone(), Completed()])
    assert state.phase is Phase.COMPLETED
    assert state.on(Route.COMPLETE) == everyone
    assert state.sequence == 1 + 2 * len(WAVES) + 1


def test_stores_go_back_and_come_again() -> None:
    """After a rollback the wave that went back is the next one again; the one before it stays."""
    first = [
        PLANNED,
        Started(),
        WaveBegun(0),
        *moved(WAVES[0], Route.TIDB),
        Promoted(0),
        WaveBegun(1),
        *moved(WAVES[1], Route.TIDB),
    ]
    back = [RollbackBegun(WAVES[1], "errors", "trigger"), *moved(WAVES[1], Route.LEGACY), RolledBack()]
    state = fold([*first, *back])
    assert (state.phase, state.wave, state.promoted) == (Phase.ROLLED_BACK, 0, frozenset({0}))
    assert state.on(Route.TIDB) == WAVES[0]
    again = fold([Started(), WaveBegun(1)], state)
    assert again.wave == 1


def test_a_failed_step_puts_the_old_routes_back() -> None:
    """A store whose drain fails would have stayed closed."""
    state = fold(
        [
            PLANNED,
            Started(),
            WaveBegun(0),
            SwitchBegun(WAVES[0], Route.TIDB),
            StepDone("snapshot"),
            StepDone("compare"),
            Routed("fence"),
        ]
    )
    assert state.on(Route.FENCED) == WAVES[0]
    back = apply(state, SwitchFailed("fence", "no answer"))
    assert back.on(Route.FENCED) == ()
    assert back.sequence == state.sequence + 1
    assert back.switch is None


def test_a_refusal_names_what_is_legal() -> None:
    """A tired person is told what to do instead."""
    with pytest.raises(IllegalEvent) as raised:
        apply(apply(ReleaseState(), PLANNED), Promoted(0))
    assert "the release is planned" in raised.value.message
    assert "started" in raised.value.remedy
    assert "promoted" not in raised.value.remedy


def test_unknown_minutes_hold_the_streak() -> None:
    """A metrics server that is away would have ended the streak of a failing release, or rolled back a healthy one."""
    judged = [MinuteJudged(f"12:0{at}", verdict) for at, verdict in enumerate(["BAD", "BAD", "UNKNOWN", "BAD"])]
    state = fold([PLANNED, Started(), *judged])
    assert state.bad_minutes == 3
    assert apply(state, MinuteJudged("12:05", "GOOD")).bad_minutes == 0
    assert set(EVENTS) >= {event.kind for event in judged}
