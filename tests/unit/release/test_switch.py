"""A switch, killed at every point and failing at every step: no store stays closed, and the published map is the state's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from etl.errors import OpsError, TargetError
from migrations.release.event_log import EventLog, LeaseLost, open_event_log
from migrations.release.events import Planned, RollbackBegun, Started, SwitchBegun, WaveBegun
from migrations.release.model import MOVE, Phase, ReleaseState, Route, Switch
from migrations.release.switch import Ports, SwitchRefused, carry_out

WAVES = (("S1", "S2"), ("S3",))


class Killed(BaseException):
    """As kill -9: nothing catches it."""


@dataclass
class World:
    """What the ports touch. `die_at`, `fail_at`: the number of the call at which the process dies (before it and after it are two
    numbers), or a step fails."""

    published: ReleaseState | None = None
    calls: list[str] = field(default_factory=list)
    die_at: int = -1
    fail_at: str = ""
    error: OpsError = field(default_factory=lambda: TargetError("no answer", "look at it"))
    moments: int = 0

    def moment(self) -> None:
        """A point at which the process may die."""
        self.moments += 1
        if self.moments == self.die_at:
            raise Killed

    def do(self, step: str) -> dict[str, Any]:
        """Any step."""
        self.moment()
        self.calls.append(step)
        if step == self.fail_at:
            raise self.error
        self.moment()
        return {"calls": len(self.calls)}

    def publish(self, state: ReleaseState) -> dict[str, Any]:
        """Take a map over; never an older one."""
        self.moment()
        assert self.published is None or state.sequence >= self.published.sequence
        self.calls.append("publish")
        self.published = state
        self.moment()
        return {"sequence": state.sequence}

    def ports(self) -> Ports:
        """As a switch wants them."""

        def step(name: str) -> Any:
            return lambda switch: self.do(name)

        return Ports(
            publish=self.publish, acknowledge=lambda state: self.do("acknowledge"), snapshot=step("snapshot"),
            compare=step("compare"), drain=step("drain"), reconcile=step("reconcile"), probe=step("probe"),
            count=step("count"), check=step("check"),
        )  # fmt: skip


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EventLog]:
    """A release whose first wave is about to move."""
    with open_event_log(tmp_path) as opened:
        opened.append(Planned("r", WAVES, dict.fromkeys(("S1", "S2", "S3", "S4"), Route.LEGACY)))
        opened.append(Started())
        opened.take_lease("test")
        opened.append(WaveBegun(0))
        opened.append(SwitchBegun(WAVES[0], Route.TIDB))
        yield opened


def routes(state: ReleaseState | None) -> dict[str, Route]:
    """The routes alone."""
    assert state is not None
    return {store: where.route for store, where in state.stores.items()}


def test_all_steps_in_order(log: EventLog) -> None:
    """A store would move before its writes were stopped, or before they had all arrived."""
    world = World()
    state = carry_out(log, world.ports())
    assert world.calls == [
        "snapshot",
        "compare",
        "publish",
        "acknowledge",
        "drain",
        "reconcile",
        "publish",
        "acknowledge",
        "probe",
    ]
    assert state.on(Route.TIDB) == WAVES[0]
    assert state.switch is None
    assert routes(world.published) == routes(state)


@pytest.mark.parametrize("moment", range(1, 17))
def test_killed_at_any_moment_it_goes_on(log: EventLog, tmp_path: Path, moment: int) -> None:
    """A store would stay closed until somebody edits a file by hand, in the middle of the night."""
    world = World(die_at=moment)
    with pytest.raises(Killed):
        carry_out(log, world.ports())
    log.release_lease()
    with open_event_log(tmp_path) as again:
        again.take_lease("another")
        state = carry_out(again, world.ports())
    assert state.on(Route.TIDB) == WAVES[0]
    assert world.published is not None
    assert (world.published.sequence, routes(world.published)) == (state.sequence, routes(state))


@pytest.mark.parametrize("step", [step for step in (*MOVE, "x") if step not in ("fence", "publish", "follow", "x")])
def test_a_step_that_fails_puts_the_old_routes_back(log: EventLog, step: str) -> None:
    """Stores would stay closed because a reconcile found one row."""
    world = World(fail_at=step)
    with pytest.raises(SwitchRefused, match=step):
        carry_out(log, world.ports())
    assert log.state.switch is None
    assert set(routes(log.state).values()) == {Route.LEGACY}
    if world.published is not None:
        assert (world.published.sequence, routes(world.published)) == (log.state.sequence, routes(log.state))


def test_a_rollback_stops_stores_on_their_way(log: EventLog) -> None:
    """A release that somebody called back would have gone on moving stores."""
    world = World()
    ports = world.ports()

    def ask_back(switch: Switch) -> dict[str, Any]:
        log.append(RollbackBegun(WAVES[0], "the shop phones", "ops"))
        return {}

    with pytest.raises(SwitchRefused, match="going back"):
        carry_out(log, Ports(**{**vars(ports), "drain": ask_back}))
    assert log.state.phase is Phase.ROLLING_BACK
    assert set(routes(world.published).values()) == {Route.LEGACY}


def test_a_controller_that_was_asleep_writes_nothing(log: EventLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two controllers would each move the same store, one forward and one back."""
    world = World()
    ports = world.ports()

    def asleep(switch: Switch) -> dict[str, Any]:
        log.connection.execute("UPDATE lease SET until = until - 60")  # as a minute later
        with open_event_log(tmp_path) as other:
            other.take_lease("the other one")
        return {}

    with pytest.raises(LeaseLost):
        carry_out(log, Ports(**{**vars(ports), "drain": asleep}))
    with open_event_log(tmp_path) as other:
        assert other.state.switch is not None
        assert other.state.switch.next_step == "drain"


def test_a_second_controller_is_refused(log: EventLog, tmp_path: Path) -> None:
    """Started twice from two terminals."""
    with open_event_log(tmp_path) as other, pytest.raises(LeaseLost, match="test carries"):
        other.take_lease("second")
    log.release_lease()
    with open_event_log(tmp_path) as other:
        other.take_lease("second")
