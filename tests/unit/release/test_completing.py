"""`release complete` while a controller runs: it carries the order out, or says why it could not; nothing is done unasked."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from etl.errors import RefusedError
from etl.progress import Silent
from migrations.release import going_back
from migrations.release.event_log import EventLog, open_event_log
from migrations.release.events import Completed, CompletionAsked, Paused, Planned, Resumed, RollbackBegun, Started
from migrations.release.going_back import complete_release
from migrations.release.machine import IllegalEvent
from migrations.release.model import Phase, Route
from migrations.release.timeline import read_timeline
from migrations.release.view import is_to_complete
from tests.unit.release.test_controller import WAVES, Run, World, controller
from tests.unit.release.test_wiring import plan_in, settings_in

STORES = ("S1", "S2", "S3", "S4", "S5")


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Every wave is through, and the controller runs on."""
    with open_event_log(tmp_path / "state") as log:
        log.append(Planned("r", WAVES, dict.fromkeys((*STORES, "S6"), Route.LEGACY)))
        log.append(Started())
        made = controller(tmp_path, World(), log)
        made.run(1200)
        assert made.log.state.promoted == {0, 1}
        yield made


def test_nothing_is_completed_unasked(run: Run) -> None:
    run.run(600)
    assert run.log.state.on(Route.COMPLETE) == ()


def test_a_controller_carries_the_order_out(run: Run) -> None:
    """What a bug would cost: the stores nobody watches, because the controller had to be ended first."""
    run.log.append(CompletionAsked("li"))
    run.until(Phase.COMPLETED, 20)
    assert run.log.state.on(Route.COMPLETE) == STORES
    assert run.world.steps[-3:] == ["check", "publish", "acknowledge"]
    assert ("blue", "completed") in run.world.told


def test_a_full_disk_or_a_slow_sync_is_no_reason_not_to(run: Run) -> None:
    """Nobody is closed for it."""
    run.mover.not_ready = lambda: "the disk is full"
    run.log.append(CompletionAsked("li"))
    run.until(Phase.COMPLETED, 20)


def test_open_conflicts_end_the_order(run: Run) -> None:
    """What a bug would cost: a release that somebody resumed for another reason loses its way back that night."""
    run.world.fail["check"] = 1
    run.log.append(CompletionAsked("li"))
    run.until(Phase.PAUSED, 20)
    run.log.append(Resumed())
    run.run(60)
    assert run.log.state.phase is Phase.RUNNING
    assert run.log.state.on(Route.TIDB) == STORES
    assert ("red", "switch") in run.world.told


@pytest.mark.parametrize("between", [(Paused("x"), Resumed()), (RollbackBegun(("S1",), "x", "li"),)])
def test_what_comes_in_between_ends_the_order(run: Run, between: tuple[Paused | Resumed | RollbackBegun, ...]) -> None:
    run.log.append(CompletionAsked("li"))
    assert run.log.is_to_complete()
    for event in between:
        run.log.append(event)
    timeline = read_timeline(run.log.events())
    assert timeline is not None
    assert (run.log.is_to_complete(), is_to_complete(timeline)) == (False, False)
    run.run(30)
    assert run.log.state.on(Route.COMPLETE) == ()


def test_it_may_be_ordered_when_every_wave_is_through_only(tmp_path: Path) -> None:
    with open_event_log(tmp_path) as log:
        log.append(Planned("r", WAVES, dict.fromkeys(STORES, Route.LEGACY)))
        with pytest.raises(IllegalEvent):
            log.append(CompletionAsked("li"))
        log.append(Started())
        with pytest.raises(IllegalEvent, match="not every wave is promoted"):
            log.append(CompletionAsked("li"))


@contextmanager
def at_work(run: Run, folder: Path) -> Iterator[None]:
    """The controller, as another process: beside the command."""
    end = threading.Event()

    def work() -> None:
        with open_event_log(folder) as log:
            other = controller_of(run, log)
            while not end.wait(0.05):
                other.log.renew_lease()
                other.mover.move()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


def controller_of(run: Run, log: EventLog) -> Run:
    """With the same lease."""
    log.token = run.log.token
    run.mover.log = log
    return Run(run.world, log, run.watcher, run.mover)


def test_the_command_waits_for_the_controller(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes that publish would publish against each other; a refusal would make people kill the one that watches."""
    monkeypatch.setattr(going_back, "LOOK_S", 0.05)
    with at_work(run, tmp_path / "state"):
        ended = complete_release(settings_in(tmp_path), plan_in(tmp_path), Silent())
    assert (ended.carried_out, ended.left, ended.stores) == (True, (), STORES)
    assert [one.event.kind for one in run.log.events()][-1] == Completed.kind


def test_the_command_says_why_the_controller_could_not(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a bug would cost: a command that waits for ever, or says that all is done."""
    monkeypatch.setattr(going_back, "LOOK_S", 0.05)
    run.world.fail["check"] = 1
    with at_work(run, tmp_path / "state"), pytest.raises(RefusedError) as raised:
        complete_release(settings_in(tmp_path), plan_in(tmp_path), Silent())
    assert "check failed" in raised.value.message
    assert "release resume" in raised.value.remedy


def test_a_command_that_is_interrupted_leaves_the_order(run: Run, tmp_path: Path) -> None:
    """As `release rollback` does: the controller goes on with it."""
    end = threading.Event()
    run.log.renew_lease()
    threading.Timer(0.2, end.set).start()
    ended = complete_release(settings_in(tmp_path), plan_in(tmp_path), Silent(), end)
    assert (ended.carried_out, ended.holder, ended.left) == (False, "test", STORES)
    run.until(Phase.COMPLETED, 20)
