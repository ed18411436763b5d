"""The applications' client under random histories: maps come, vanish, lie and go back, writes begin and end, time passes.

What must hold whatever comes: a map that was acknowledged has no older write behind it, and nobody commits by an old route that
he could know of, or without a lease.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from migrations.release.acks import prepare_acks
from migrations.release.client import routes as client
from migrations.release.client.routes import NotNow, Routes, Write
from migrations.release.model import ReleaseState, Route, StoreRoute
from migrations.release.publish.atomic import replace_file
from migrations.release.publish.routes_map import map_of, text_of

STORES = ("S1", "S2")
LEASE_S, MARGIN_S = 30.0, 5.0
REPLACE = os.replace


class Application(RuleBasedStateMachine):
    """One instance, and the world around it."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.path, self.acks = self.folder / "routes.json", self.folder / "acks"
        self.patch = pytest.MonkeyPatch()
        self.time = 1_000.0
        self.patch.setattr("os.fsync", lambda descriptor: None)
        self.heard = self.time
        self.patch.setattr("os.replace", self.replace)
        self.patch.setattr(client, "clocks", lambda: (self.time, self.time))
        self.history = [ReleaseState("r", stores={store: StoreRoute(Route.LEGACY, 0, 0) for store in STORES})]
        self.publish()
        prepare_acks(self.acks)
        self.routes = Routes(self.path, self.acks, "till", lease_s=LEASE_S, margin_s=MARGIN_S, poll_s=20.0)
        self.writes: list[tuple[Write, AbstractContextManager[Write]]] = []
        self.highest = 0

    def replace(self, source: Path, aim: Path) -> None:
        """As os.replace does; and an acknowledgement that is written is heard."""
        REPLACE(source, aim)
        if Path(aim).name == "till.json":
            self.heard = self.time

    def publish(self) -> None:
        """The newest map, as it should be."""
        replace_file(self.path, text_of(map_of(self.history[-1])))

    @rule(store=st.sampled_from(STORES), route=st.sampled_from(list(Route)))
    def move(self, store: str, route: Route) -> None:
        """The next map."""
        state = self.history[-1]
        stores = {**state.stores, store: StoreRoute(route, state.sequence + 1, 0)}
        self.history.append(ReleaseState("r", sequence=state.sequence + 1, stores=stores))
        self.publish()

    @rule(how=st.sampled_from(["gone", "cut", "empty", "back", "right"]), back=st.integers(1, 4))
    def damage(self, how: str, back: int) -> None:
        """Something becomes of the file."""
        if how == "right":
            self.publish()
        elif how == "back":
            replace_file(self.path, text_of(map_of(self.history[max(0, len(self.history) - 1 - back)])))
        elif how == "gone":
            self.path.unlink(missing_ok=True)
        elif self.path.exists():
            whole = self.path.read_bytes()
            self.path.write_bytes(whole[: len(whole) // 2] if how == "cut" else b"")

    @rule(seconds=st.floats(0.1, 20.0))
    def wait(self, seconds: float) -> None:
        """Time passes in which it does nothing."""
        self.time += seconds

    @rule(there=st.booleans())
    def unmount(self, there: bool) -> None:
        """The share with the acknowledgements comes or goes."""
        if there:
            prepare_acks(self.acks)
        else:
            shutil.rmtree(self.acks)
            self.acks.mkdir()

    @rule()
    def poll(self) -> None:
        """As its thread would."""
        self.routes.poll()

    @rule(store=st.sampled_from(STORES))
    def begin(self, store: str) -> None:
        """A write begins, or is refused."""
        manager = self.routes.writing(store)
        try:
            write = manager.__enter__()
        except NotNow:
            return
        assert write.route in ("legacy", "shadow", "tidb", "complete")
        assert self.has_lease(), "it began to write when nobody waited for it any more"
        assert write.sequence >= self.highest
        self.writes.append((write, manager))

    @precondition(lambda self: self.writes)
    @rule(data=st.data())
    def commit(self, data: st.DataObject) -> None:
        """A write asks whether it may commit, and ends."""
        write, manager = self.writes.pop(data.draw(st.integers(0, len(self.writes) - 1)))
        with suppress(NotNow):
            write.still()
            known = self.history[self.routes.sequence]
            assert known.stores[write.store].epoch == write.epoch, "it was committed by a route that the store has left"
            assert self.has_lease(), "it was committed when nobody waited for it any more"
        manager.__exit__(None, None, None)

    def has_lease(self) -> bool:
        """Whether somebody who reads the acknowledgements would still wait for it."""
        return self.time - self.heard < LEASE_S - MARGIN_S

    @invariant()
    def an_acknowledged_map_has_no_older_write_behind_it(self) -> None:
        """The drain and the reconciliation after it would miss that write."""
        try:
            acked = json.loads((self.acks / "till.json").read_bytes())["sequence"]
        except FileNotFoundError:
            return
        for write, _ in self.writes:
            assert self.history[acked].stores[write.store].epoch <= write.epoch
        self.highest = max(self.highest, self.routes.sequence)
        assert self.routes.sequence == self.highest, "its map went backwards"

    def teardown(self) -> None:
        """Leave nothing behind."""
        self.patch.undo()
        shutil.rmtree(self.folder)


Application.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestApplication = Application.TestCase
