"""What the controller is put together from: when stores moved, what a switch lacks, and whose lease it is."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from etl.errors import OpsError, RefusedError
from etl.progress import Silent
from etl.settings import Settings, SourceSettings, StateSettings, TargetSettings
from migrations.release import preflight, wiring
from migrations.release.alerts.desk import open_desk
from migrations.release.controller import keep_watching
from migrations.release.event_log import LONG_AGO, EventLog, LeaseLost, open_event_log
from migrations.release.events import Planned, RollbackBegun, Routed, Started, StepDone, SwitchBegun, SwitchDone, WaveBegun
from migrations.release.model import MOVE, ROUTING, ReleaseState, Route
from migrations.release.moves import Moves
from migrations.release.plan import Plan
from migrations.release.preflight import Preflight, nobody_listens, what_is_missing
from migrations.release.wiring import RunRequest, open_controller, refuse_changed_plan, refuse_idle, take_lease

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


def settings_in(folder: Path) -> Settings:
    """Addresses at which nobody answers."""
    return Settings(
        source=SourceSettings(url=SecretStr("mssql://a:b@127.0.0.1:1")),
        target=TargetSettings(url=SecretStr("mysql://a:b@127.0.0.1:1"), retries=0),
        state=StateSettings(dir=folder / "state"),
        origin=folder / "membershift.toml",
    )


def plan_in(folder: Path, **more: object) -> Plan:
    """A plan beside it."""
    return Plan.model_validate({"name": "r", "origin": folder / "release.toml", "digest": "d", **more})


def move(log: EventLog, to: Route, *stores: str) -> None:
    """A whole switch."""
    log.append(SwitchBegun(stores, to))
    for step in MOVE:
        if step in ROUTING:
            log.append(Routed(step))
        log.append(StepDone(step))
    log.append(SwitchDone())


def test_a_store_moved_when_its_new_route_was_decided_on(tmp_path: Path) -> None:
    """What a bug would cost: an invariant that was broken for weeks sends back stores that moved a minute ago."""
    clock = [NOON]
    with open_event_log(tmp_path) as log:
        log.now = lambda: clock[0]
        log.take_lease("test")
        log.append(Planned("r", (("S1", "S2"),), dict.fromkeys(("S1", "S2"), Route.LEGACY)))
        log.append(Started())
        log.append(WaveBegun(0))
        moves = Moves()
        assert moves.first(log, ["S1"]) == LONG_AGO
        for minutes, store in ((1, "S1"), (2, "S2")):
            clock[0] = NOON + timedelta(minutes=minutes)
            move(log, Route.TIDB, store)
        assert moves.first(log, ["S2"]) == NOON + timedelta(minutes=2)
        assert moves.first(log, ["S1", "S2"]) == NOON + timedelta(minutes=1)
        assert moves.since(log, ["S1", "S2"], NOON + timedelta(minutes=1)) == ("S1",)
        log.append(RollbackBegun(("S1",), "x", "li"))
        clock[0] = NOON + timedelta(minutes=3)
        move(log, Route.LEGACY, "S1")
        assert moves.first(log, ["S2"]) == NOON + timedelta(minutes=2), "going back is no move to TiDB"


def test_nothing_begins_on_a_disk_that_is_nearly_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a bug would cost: stores closed, and a log that cannot be written to open them."""
    (tmp_path / "state").mkdir()
    settings, plan = settings_in(tmp_path), plan_in(tmp_path, publish={"acknowledge": "none"})
    monkeypatch.setattr(preflight, "LEAST_FREE", 2**80)
    assert "state.db" in what_is_missing(settings, plan)
    monkeypatch.setattr(preflight, "LEAST_FREE", 1)
    assert "cannot be reached" in what_is_missing(settings, plan), (
        "the next thing that is missing: sync, on a target that is down"
    )


def test_nothing_begins_where_no_application_listens(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="0 application instances"):
        nobody_listens(plan_in(tmp_path))
    assert nobody_listens(plan_in(tmp_path, publish={"acknowledge": "none"})) == ""


def test_what_is_missing_is_not_asked_for_every_second(tmp_path: Path) -> None:
    """A target that is down would be connected to by every look of the controller."""
    clock = [0.0]
    looked = Preflight(settings_in(tmp_path), plan_in(tmp_path), steady=lambda: clock[0])
    assert looked() != ""
    first = looked.looked_at
    clock[0] = 1.0
    assert (looked() != "", looked.looked_at) == (True, first)
    clock[0] = 6.0
    looked()
    assert looked.looked_at == 6.0


def test_the_lease_of_a_killed_process_is_waited_for(tmp_path: Path) -> None:
    """What a bug would cost: stores that nobody watches until somebody calls the command again, by hand, later."""
    with open_event_log(tmp_path) as killed, open_event_log(tmp_path) as log:
        killed.take_lease("killed")
        killed.connection.execute("UPDATE lease SET until = ?", (time.time() + 0.5,))
        take_lease(log, RunRequest("the next"), Silent())
        assert log.holder() == "the next"


def test_the_lease_of_a_process_that_lives_is_not_taken(tmp_path: Path) -> None:
    with open_event_log(tmp_path) as alive, open_event_log(tmp_path) as log:
        alive.take_lease("alive")
        end = threading.Event()

        def renew() -> None:
            while not end.wait(0.1):
                alive.renew_lease()

        thread = threading.Thread(target=renew)
        thread.start()
        try:
            with pytest.raises(LeaseLost, match="alive"):
                take_lease(log, RunRequest("another"), Silent())
        finally:
            end.set()
            thread.join()


def test_a_target_that_is_down_does_not_answer(tmp_path: Path) -> None:
    assert not wiring.target_answers(settings_in(tmp_path).target)


def test_what_does_not_run_says_what_would(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="No release is planned"):
        refuse_idle(ReleaseState())
    planned = ReleaseState(release="r", waves=(("S1",),), digest="other")
    with pytest.raises(RefusedError, match="planned"):
        refuse_idle(planned)
    with pytest.raises(RefusedError, match="changed"):
        refuse_changed_plan(planned, plan_in(tmp_path))
    refuse_changed_plan(planned, plan_in(tmp_path), changed=True)


def test_the_controller_hears_instances_between_switches(tmp_path: Path) -> None:
    """What a bug would cost: an instance that died before the first switch keeps its stores closed for a whole lease."""
    (tmp_path / "acks").mkdir()
    (tmp_path / "acks" / "till.json").write_text("{}")
    settings, plan = settings_in(tmp_path), plan_in(tmp_path)
    with open_event_log(settings.state_dir) as log, open_desk(settings.state_dir, plan.alerts) as desk:
        log.take_lease("test")
        watcher, mover = open_controller(settings, plan, (log, log), desk, Silent())
        end = threading.Event()
        failed: list[OpsError] = []
        threading.Timer(0.1, end.set).start()
        keep_watching(watcher, end, failed.append)
    assert failed == []
    steps = mover.ports.publish.__self__  # type: ignore[attr-defined]  # the steps that a switch is made of
    assert list(steps.watch._heard) == ["till"], "the very watch that the switch asks"
