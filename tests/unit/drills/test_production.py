"""The drill for production: refused whenever a store could be left closed, or moved at a time at which nobody may move one."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from etl.errors import RefusedError
from etl.settings import Settings, SourceSettings, TargetSettings
from fixtures.drills.production import ReturnRequest, refuse_closed_hours, return_stores
from migrations.release.event_log import EventLog, open_event_log
from migrations.release.events import (
    Paused,
    Planned,
    RolledBack,
    Routed,
    Started,
    StepDone,
    SwitchBegun,
    SwitchDone,
    WaveBegun,
)  # fmt: skip
from migrations.release.legal import moved_stores
from migrations.release.model import ROUTING, Phase, Route
from migrations.release.plan import Plan

STORES = ("S1", "S2")
PLAN = Plan.model_validate({"name": "autumn", "wave": [{"name": "a", "stores": list(STORES)}]})
MEANT = ReturnRequest(("S1",), "ann", meant=True)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Servers that nobody asks."""
    nowhere = SecretStr("mysql://nobody:x@127.0.0.1:1")
    source = SourceSettings(url=SecretStr("mssql://nobody:x@127.0.0.1:1"))
    return Settings(source=source, target=TargetSettings(url=nowhere), origin=tmp_path / "membershift.toml")


@pytest.fixture
def log(settings: Settings) -> Iterator[EventLog]:
    """A release that runs, with both stores on TiDB."""
    with open_event_log(settings.state_dir) as log:
        log.append(Planned("autumn", (STORES,), {"S1": Route.LEGACY, "S2": Route.LEGACY, "S3": Route.LEGACY}))
        log.append(Started())
        log.take_lease("a controller")
        log.append(WaveBegun(0))
        switch(log, STORES, Route.TIDB)
        yield log


def switch(log: EventLog, stores: tuple[str, ...], to: Route) -> None:
    """All steps of a switch, as a controller writes them down."""
    log.append(SwitchBegun(stores, to))
    while log.state.switch is not None and (step := log.state.switch.next_step) is not None:
        if step in ROUTING:
            log.append(Routed(step))
        log.append(StepDone(step))
    log.append(SwitchDone())


def control(log: EventLog, end: threading.Event) -> None:
    """What a controller does: back, paused while others stay, and again once it goes on."""
    while not end.is_set():
        state = log.refresh()
        if state.phase is Phase.ROLLING_BACK:
            switch(log, state.going_back, Route.LEGACY)
            log.append(RolledBack(moved_stores(log.state)))
        elif state.phase is Phase.RUNNING and (away := tuple(store for store in STORES if store in state.on(Route.LEGACY))):
            if state.wave is None:
                log.append(WaveBegun(0))
            switch(log, away, Route.TIDB)
        time.sleep(0.01)


def test_stores_go_back_and_come_again(settings: Settings, log: EventLog) -> None:
    """Only those that were named; and the release stands where it stood."""
    end = threading.Event()
    controller = threading.Thread(target=control, args=(log, end))
    controller.start()
    try:
        done = return_stores(settings, PLAN, MEANT, lambda text: None)
    finally:
        end.set()
        controller.join()
    assert done.stores == ("S1",)
    assert 0 <= done.back_s < 30
    assert log.state.on(Route.TIDB) == STORES
    assert log.state.phase is Phase.RUNNING
    moved = [logged.event.stores for logged in log.events() if isinstance(logged.event, SwitchBegun)]
    assert moved == [STORES, ("S1",), ("S1",)]


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (ReturnRequest(("S1",), "ann"), "closes real stores"),
        (ReturnRequest((), "ann", meant=True), "No store was named"),
        (ReturnRequest(("S3",), "ann", meant=True), "S3 is not on TiDB"),
    ],
)
def test_what_is_not_meant_is_refused(settings: Settings, log: EventLog, request_: ReturnRequest, why: str) -> None:
    """A drill typed in the wrong window of a terminal would close the shops of a city."""
    before = log.state.events
    with pytest.raises(RefusedError, match=why):
        return_stores(settings, PLAN, request_, print)
    assert log.refresh().events == before


def test_without_a_controller_nothing_begins(settings: Settings, log: EventLog) -> None:
    """The stores would be ordered back, and nobody would carry it out."""
    log.release_lease()
    with pytest.raises(RefusedError, match="Nobody carries"):
        return_stores(settings, PLAN, MEANT, print)


def test_a_release_that_is_paused_or_another_is_left_alone(settings: Settings, log: EventLog) -> None:
    """Somebody paused it for a reason."""
    with pytest.raises(RefusedError, match="Release autumn"):
        return_stores(settings, PLAN.model_copy(update={"name": "winter"}), MEANT, print)
    log.append(Paused("lunch"))
    with pytest.raises(RefusedError, match="is paused"):
        return_stores(settings, PLAN, MEANT, print)


def test_outside_the_hours_of_the_plan_nobody_drills() -> None:
    """Never on double eleven."""
    windows = {"allow": ["Mon-Fri 22:00-06:00"], "never": ["2026-11-11"], "time_zone": "UTC"}
    plan = Plan.model_validate({"name": "autumn", "windows": windows})
    for when in (datetime(2026, 1, 5, 12, tzinfo=UTC), datetime(2026, 11, 11, 23, tzinfo=UTC)):
        with pytest.raises(RefusedError, match="allows no switch before"):
            refuse_closed_hours(plan, when)
    refuse_closed_hours(plan, datetime(2026, 1, 5, 23, tzinfo=UTC))
