"""Publishing under kills, full disks and power cuts, wherever they can happen: readers find the old map or the new one.

The disk here forgets, at a power cut, what nobody has synced: half of a file's content, or a rename.
"""

from __future__ import annotations

import errno
import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from etl.errors import OpsError
from migrations.release.client.routes import Routes as Client
from migrations.release.client.routes import RoutesMap, read_map
from migrations.release.model import ReleaseState, Route, StoreRoute
from migrations.release.publish import atomic
from migrations.release.publish.flagd import flagd_text
from migrations.release.publish.haproxy import haproxy_text
from migrations.release.publish.publisher import Places, publish
from migrations.release.publish.routes_map import map_of

STORES = ("S1", "S2", "S3")
HOW: tuple[str | int, ...] = ("kill", "power", errno.ENOSPC, errno.EACCES, errno.EIO)
CALLS = ("stat", "open", "fchmod", "write", "fsync", "close", "utime", "replace", "unlink")


class Killed(BaseException):
    """The process is gone: nothing that it would have cleaned up is cleaned up."""


@dataclass
class Disk:
    """`os` for the one who writes, failing at call number `fails_at` as `how` says: "kill", "power", or an error number."""

    fails_at: int
    how: str | int
    calls: int = 0
    dead: bool = False
    files: dict[int, str] = field(default_factory=dict)
    unsynced: set[str] = field(default_factory=set)
    renamed: dict[str, bytes | None] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        return (lambda *given, **named: self.call(name, real, *given, **named)) if name in CALLS else real

    def call(self, name: str, real: Any, *given: Any, **named: Any) -> Any:
        """One operation, or the end."""
        if self.dead:
            raise Killed
        self.calls += 1
        if self.calls == self.fails_at:
            if name == "write":
                real(given[0], given[1][: len(given[1]) // 2])
            self.fail()
        return self.note(name, real, *given, **named)

    def fail(self) -> NoReturn:
        """End the process, or let this one call fail."""
        if isinstance(self.how, int):
            raise OSError(self.how, os.strerror(self.how))
        self.dead = True
        raise Killed

    def note(self, name: str, real: Any, *given: Any, **named: Any) -> Any:
        """Do it, and remember what a power cut would undo."""
        match name:
            case "open":
                descriptor: int = real(*given, **named)
                self.files[descriptor] = str(given[0])
                return descriptor
            case "write":
                self.unsynced.add(self.files[given[0]])
            case "fsync":
                where = self.files[given[0]]
                self.unsynced.discard(where)
                if os.path.isdir(where):
                    self.renamed = {path: old for path, old in self.renamed.items() if os.path.dirname(path) != where}
            case "replace":
                source, aim = map(str, given)
                self.renamed.setdefault(aim, Path(aim).read_bytes() if os.path.exists(aim) else None)
                if source in self.unsynced:
                    self.unsynced.add(aim)
            case "close":
                self.files.pop(given[0])
        return real(*given, **named)

    def end(self, undo: bool) -> None:
        """What is left of the disk when the machine comes up again. undo: renames that were not synced did not happen."""
        for descriptor in self.files:
            os.close(descriptor)
        if self.how != "power":
            return
        for path in self.unsynced:
            if os.path.exists(path):
                content = Path(path).read_bytes()
                Path(path).write_bytes(content[: len(content) // 2])
        for path, old in self.renamed.items() if undo else ():
            Path(path).unlink()
            if old is not None:
                Path(path).write_bytes(old)


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[ReleaseState, int, str | int, bool]]:
    """States one after the other, each with the place where its publishing fails; far behind its end where it does not."""
    state = ReleaseState("r", stores={store: StoreRoute(Route.LEGACY, 0, 0) for store in STORES})
    steps: list[tuple[ReleaseState, int, str | int, bool]] = []
    for _ in range(draw(st.integers(1, 6))):
        sequence = state.sequence + draw(st.integers(0, 1))
        if sequence > state.sequence:
            route = draw(st.sampled_from(list(Route)))
            stores = {**state.stores, draw(st.sampled_from(STORES)): StoreRoute(route, sequence, 0)}
            state = ReleaseState("r", sequence=sequence, stores=stores)
        how = draw(st.sampled_from(HOW))
        steps.append((state, draw(st.integers(1, 45)), how, draw(st.booleans())))
    return steps


def places_in(folder: Path) -> Places:
    """All files."""
    return Places(folder / "routes.json", folder / "flags.json", folder / "stores.map")


def outcomes(places: Places) -> tuple[RoutesMap | None, bytes | None, bytes | None]:
    """What readers find: a map that cannot be read is an error here, whatever the reason."""
    assert places.flagd is not None
    assert places.haproxy_map is not None
    routes = read_map(places.routes.read_bytes()) if places.routes.exists() else None
    flags = places.flagd.read_bytes() if places.flagd.exists() else None
    return routes, flags, places.haproxy_map.read_bytes() if places.haproxy_map.exists() else None


def forms(state: ReleaseState) -> tuple[str, bytes, bytes]:
    """The whole of a state's map in its three forms, the first by its digest."""
    routes = map_of(state)
    return routes.digest, flagd_text(routes), haproxy_text(routes)


@settings(max_examples=120, deadline=None)
@given(histories())
def test_readers_find_the_old_map_or_the_new_one(history: list[tuple[ReleaseState, int, str | int, bool]]) -> None:
    """Half a map, an empty one or one that goes back would send stores to a side that they have left, or stop every till."""
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        folder = Path(name)
        places = places_in(folder)
        client = Client(places.routes)
        for state, fails_at, how, undo in history:
            before, leftovers = outcomes(places), set(folder.glob(".*.partial"))
            disk = Disk(fails_at, how)
            patch.setattr(atomic, "os", disk)
            try:
                publish(state, places)
                failed = False
            except (Killed, OpsError):
                failed = True
            patch.undo()
            disk.end(undo)
            after, wanted = outcomes(places), forms(state)
            for number, (found, old, new) in enumerate(zip(after, before, wanted, strict=True)):
                text = found.digest if isinstance(found, RoutesMap) else found
                former = old.digest if isinstance(old, RoutesMap) else old
                assert text == new or (failed and text == former), (number, fails_at, how)
            if isinstance(how, int):
                assert set(folder.glob(".*.partial")) <= leftovers, "a full disk filled further at each attempt"
            known = client.sequence
            client.poll()
            assert client.sequence >= known
            if isinstance(after[0], RoutesMap) and after[0].sequence >= known:
                assert (client.sequence, client.trouble) == (after[0].sequence, "")
        publish(history[-1][0], places)
        last = outcomes(places)
        assert last[0] is not None
        assert (last[0].digest, *last[1:]) == forms(history[-1][0])
        client.poll()
        assert (client.sequence, client.trouble) == (history[-1][0].sequence, "")


def test_each_single_call_is_a_place_to_fail() -> None:
    """The property above tries places by chance; here is every one of them, for the change that matters most: a fence."""
    legacy = ReleaseState("r", stores={store: StoreRoute(Route.LEGACY, 0, 0) for store in STORES})
    fence = ReleaseState("r", sequence=1, stores={**legacy.stores, "S1": StoreRoute(Route.FENCED, 1, 0)})
    seen = set()
    for fails_at in range(1, 60):
        for how in ("kill", "power"):
            with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
                places = places_in(Path(name))
                publish(legacy, places)
                disk = Disk(fails_at, how)
                patch.setattr(atomic, "os", disk)
                with suppress(Killed):
                    publish(fence, places)
                patch.undo()
                disk.end(undo=fails_at % 2 == 0)
                found = outcomes(places)
                assert found[0] is not None
                assert found[0].digest in (map_of(legacy).digest, map_of(fence).digest)
                seen.add((disk.dead, found[0].sequence))
                publish(fence, places)
    assert seen == {(True, 0), (True, 1), (False, 1)}, "the failures did not reach every part of publishing"
