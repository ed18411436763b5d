"""Some stores went back, the others stay on TiDB: they are watched as before, by figures of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from etl.errors import ConfigurationError
from migrations.release.event_log import open_event_log
from migrations.release.events import (
    Event,
    Paused,
    Planned,
    Resumed,
    RollbackBegun,
    RolledBack,
    Started,
    SwitchBegun,
    read_event,
    write_event,
)
from migrations.release.legal_commands import legal_commands
from migrations.release.look import wave_standing
from migrations.release.machine import IllegalEvent, apply, fold
from migrations.release.metrics.base import Sample
from migrations.release.model import Phase, Route
from migrations.release.timeline import read_timeline
from migrations.release.view import standing_of
from reports.documents.release_words import TELL
from tests.unit.release.test_controller import PLAN, WAVES, Run, World, controller


class Stores(World):
    """Each store has errors of its own."""

    bad: frozenset[str] = frozenset()

    def sample(self, stores: Sequence[str], start: datetime, end: datetime) -> Sample:
        """Pooled, 100 requests each."""
        if self.errors is None:
            return Sample(why="the source is away")
        return Sample(100.0 * len(stores), 60.0 * len(self.bad & set(stores)), 0.01, end)


@pytest.fixture
def world() -> Stores:
    return Stores()


@pytest.fixture
def run(tmp_path: Path, world: Stores) -> Iterator[Run]:
    """The first wave is on TiDB."""
    with open_event_log(tmp_path) as log:
        log.append(Planned("r", WAVES, dict.fromkeys(("S1", "S2", "S3", "S4", "S5"), Route.LEGACY)))
        log.append(Started())
        made = controller(tmp_path, world, log)
        made.run(75)
        yield made


def send_back(run: Run, *stores: str, until: Phase = Phase.PAUSED) -> None:
    """As `release rollback --store` does."""
    run.log.append(RollbackBegun(stores, "its till is broken", "li"))
    run.until(until, 20)


def kinds(run: Run) -> list[str]:
    """Events, by name."""
    return [logged.event.kind for logged in run.log.events()]


def test_the_others_are_watched_on_and_go_back_when_they_fail(run: Run, world: Stores) -> None:
    """What a bug would cost: two stores that fail for a night, on a database that nobody looks at."""
    send_back(run, "S1")
    assert run.log.state.on(Route.TIDB) == ("S2", "S3")
    world.bad = frozenset({"S2"})
    assert run.until(Phase.ROLLED_BACK, 200) <= 130
    assert run.log.state.on(Route.LEGACY) == ("S1", "S2", "S3", "S4", "S5")
    assert kinds(run).count("rolled_back") == 2


def test_a_minute_from_before_does_not_send_the_others_back(run: Run, world: Stores) -> None:
    """What a bug would cost: one broken till takes every store with it, after somebody has put it right."""
    run.world.now = run.world.now.replace(second=0) + timedelta(seconds=69)
    run.watcher.look()
    world.bad = frozenset({"S1"})
    before = len(kinds(run))
    run.log.append(RollbackBegun(("S1",), "its till is broken", "li"))
    run.world.now += timedelta(seconds=2)
    run.watcher.look()  # the minute is judged while S1 goes back, with its errors
    assert "minute_judged" in kinds(run)[before:]
    run.until(Phase.PAUSED, 20)
    run.run(400)
    assert run.log.state.phase is Phase.PAUSED
    assert run.log.state.on(Route.TIDB) == ("S2", "S3")


def test_a_minute_whose_order_could_not_be_written_down_is_heeded_later(run: Run, world: Stores) -> None:
    """What a bug would cost: a disk that is full for a second, and the stores that burn stay where they are."""
    world.bad = frozenset({"S1", "S2", "S3"})
    run.world.now = run.world.now.replace(second=0) + timedelta(seconds=75)
    append = run.watcher.log.append

    def full(event: Event) -> object:
        if isinstance(event, RollbackBegun):
            raise ConfigurationError("no room", "make some")
        return append(event)

    run.watcher.log.append = full  # type: ignore[method-assign, assignment]  # the disk is full
    with pytest.raises(ConfigurationError):
        run.watcher.look()
    run.watcher.log.append = append  # type: ignore[method-assign]
    run.world.now += timedelta(seconds=1)
    run.watcher.look()
    assert run.log.refresh().phase is Phase.ROLLING_BACK


def test_waiting_for_the_first_store_is_not_blindness(run: Run, tmp_path: Path) -> None:
    """What a bug would cost: a release that waited for its hours is paused, or sent back, in its first minute."""
    world = Stores(now=run.world.now, errors=None)
    with open_event_log(tmp_path / "other") as log:
        log.append(Planned("r", WAVES, dict.fromkeys(("S1", "S2", "S3", "S4", "S5"), Route.LEGACY)))
        log.append(Started())
        waiting = controller(tmp_path, world, log)
        for _ in range(600):
            world.now += timedelta(seconds=1)
            waiting.watcher.look()
        waiting.run(100, 1)
        assert log.state.on(Route.TIDB) == WAVES[0]
        assert not [one for one in log.events() if isinstance(one.event, Paused)]
        waiting.until(Phase.PAUSED, 200)


def test_resumed_it_moves_the_stores_once_more(run: Run) -> None:
    send_back(run, "S1")
    assert run.log.state.sick == "its till is broken"
    assert {"release resume", "release rollback", "release run"} <= set(legal_commands(run.log.state))
    assert "release start" not in legal_commands(run.log.state)
    run.log.append(Resumed())
    state = run.run(60)
    assert (state.sick, state.on(Route.TIDB)) == ("", WAVES[0])


def test_the_next_rollback_waits_its_own_time_for_tidb(run: Run, world: Stores) -> None:
    """What a bug would cost: sales left behind, because TiDB was away for a moment, a day after it had been away for long."""
    world.dead = True
    send_back(run, "S1")
    world.dead = False
    run.run(30)
    world.dead = True
    run.log.append(RollbackBegun(("S2",), "x", "li"))
    run.run(10, 1)
    assert run.log.state.on(Route.TIDB) == ("S2", "S3")
    world.dead = False
    run.until(Phase.PAUSED, 20)
    assert [one.event.rescue for one in run.log.events() if isinstance(one.event, SwitchBegun)][-1] is False


def test_failed_switches_forward_do_not_count_against_the_way_back(run: Run, world: Stores) -> None:
    """What a bug would cost: after three switches that failed, stores are sent back without what they sold."""
    for _ in range(3):
        send_back(run, "S1")
        world.fail["drain"] = 1
        run.log.append(Resumed())
        run.until(Phase.PAUSED, 20)
    run.log.append(RollbackBegun(("S2",), "x", "li"))
    run.until(Phase.PAUSED, 20)
    assert not any(one.event.rescue for one in run.log.events() if isinstance(one.event, SwitchBegun))


def test_what_stays_is_in_the_log_and_in_the_report(run: Run) -> None:
    """What a bug would cost: "every store is back", in the report that is signed."""
    send_back(run, "S1")
    event = next(one.event for one in run.log.events() if isinstance(one.event, RolledBack))
    assert event.left == ("S2", "S3")
    assert read_event(event.kind, write_event(event)) == event
    assert "S2" in TELL[RolledBack](event, "en")
    assert "every" not in TELL[RolledBack](event, "en")
    timeline = read_timeline(run.log.events())
    assert timeline is not None
    assert (timeline.ended_at, timeline.pauses[-1].reason) == (None, "its till is broken")


def test_a_wave_of_which_some_stay_is_not_told_as_to_come(run: Run) -> None:
    """What a bug would cost: two stores on TiDB that a screen says have not begun."""
    send_back(run, "S1")
    state = run.log.state
    assert [standing_of(state, wave) for wave in (0, 1)] == ["moving", "to come"]
    assert [wave_standing(state, PLAN, wave).under_way for wave in (0, 1)] == [True, False]
    send_back(run, "S2", "S3", until=Phase.ROLLED_BACK)
    assert [standing_of(run.log.state, wave) for wave in (0, 1)] == ["to come", "to come"]


def test_it_may_not_name_others_than_those_that_stay(run: Run) -> None:
    run.log.append(RollbackBegun(("S4",), "x", "li"))
    with pytest.raises(IllegalEvent, match="left on TiDB"):
        run.log.append(RolledBack(("S1",)))


def test_a_log_of_before_reads_as_it_was_written() -> None:
    """What a bug would cost: an update, and the log of a release that is under way cannot be read any more."""
    state = fold([Planned("r", (("S1", "S2"),), {"S1": Route.LEGACY, "S2": Route.LEGACY}), Started()])
    old = apply(apply(state, RollbackBegun(("S1",), "x", "li")), read_event("rolled_back", "{}"))
    assert (old.phase, apply(old, Started()).phase) == (Phase.ROLLED_BACK, Phase.RUNNING)
