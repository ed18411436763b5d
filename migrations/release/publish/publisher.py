"""Publish a state's map: everything that is read by somebody says the same, or what does not is named.

Publishing again what is out already changes nothing, so that a controller may do it after each start. What was published by
somebody else since is never covered up.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final

from etl.errors import ConfigurationError, OpsError, RefusedError
from migrations.release.acks import prepare_acks
from migrations.release.client.routes import RoutesMap, read_map
from migrations.release.model import ReleaseState
from migrations.release.plan import PublishSettings
from migrations.release.publish.atomic import PublishError, refused, replace_file
from migrations.release.publish.flagd import flagd_text, flagd_version
from migrations.release.publish.haproxy import haproxy_text, haproxy_version, update_haproxy
from migrations.release.publish.routes_map import map_of, text_of

LOCK_S: Final = 10.0
"""How long another process may be publishing; it takes well below a second."""


@dataclass(frozen=True)
class Places:
    """Where the map goes. `haproxy_sockets`: path or host:port of each HAProxy's runtime socket. `haproxy_name`: the map's path
    as HAProxy's configuration has it, where that is not `haproxy_map` (HAProxy in a container). `acks`: where applications
    acknowledge it, None where they do not."""

    routes: Path
    flagd: Path | None = None
    haproxy_map: Path | None = None
    haproxy_sockets: tuple[str, ...] = ()
    haproxy_name: str = ""
    acks: Path | None = None


@dataclass(frozen=True)
class Output:
    """One place. `how`: what was done there, "" where it said the same already."""

    kind: str
    where: str
    how: str
    seconds: float


@dataclass(frozen=True)
class Published:
    """What is out now."""

    map: RoutesMap
    outputs: tuple[Output, ...]

    @property
    def changed(self) -> bool:
        """Whether anything had to be written."""
        return any(output.how for output in self.outputs)


class PartlyPublished(PublishError):
    """Some places have the new map and some could not be given it. `published`: those that have it. `routes_out`: whether the map
    that applications read and acknowledge is among them."""

    def __init__(self, published: Published, failures: list[OpsError]) -> None:
        first = failures[0]
        more = f" ({len(failures) - 1} more failed.)" if len(failures) > 1 else ""
        super().__init__(first.message + more, f"{first.remedy} Then publish again: what is done is not done twice.")
        self.published, self.failures = published, tuple(failures)
        self.routes_out = any(output.kind == "routes" for output in published.outputs)


def places_of(plan: PublishSettings, folder: Path) -> Places:
    """The places that a release plan names; relative paths are relative to `folder`, which holds release.toml."""

    def of(path: Path | None) -> Path | None:
        return folder / path if path is not None else None

    socket = plan.haproxy_socket
    sockets = (socket if ":" in socket else str(folder / socket),) if socket else ()
    acks = folder / plan.acks if plan.acknowledge == "instances" else None
    return Places(folder / plan.routes, of(plan.flagd), of(plan.haproxy_map), sockets, acks=acks)


def publish(state: ReleaseState, places: Places, now: datetime | None = None) -> Published:
    """Put the map of `state` everywhere. Raises EmptyMap, RefusedError when somebody has published a later map or another one of
    the same sequence, and PartlyPublished when a place could not be written: all the others are, even then."""
    check_places(places)
    routes = map_of(state, now)
    with publishing(places.routes) as lock:
        refuse_older(routes, places)
        try:
            return write_all(routes, places, newest_time(lock, places))
        finally:
            newest_time(lock, places)


def check_places(places: Places) -> None:
    """Refuse what cannot work, before anything is written."""
    if places.haproxy_sockets and not (places.haproxy_map or places.haproxy_name):
        raise ConfigurationError("haproxy_socket needs haproxy_map.", "Name the map file that HAProxy's configuration names.")


def refuse_older(routes: RoutesMap, places: Places) -> None:
    """Never cover up what somebody else has published. A file that is damaged says nothing, and is replaced."""
    for path, (sequence, digest) in versions_out(places):
        if sequence > routes.sequence:
            raise RefusedError(
                f"{path} holds map {sequence}, later than {routes.sequence} of this release log: somebody else has published.",
                "Publish from the state folder that wrote it, or point [publish] elsewhere. Never delete the file.",
            )
        if sequence == routes.sequence and digest != routes.digest and not only_grows(places.routes, routes):
            raise RefusedError(
                f"{path} holds another map {sequence} than this release log: two of them publish to the same place.",
                "Publish from one state folder only: `membershift release history` shows what each has done.",
            )


def versions_out(places: Places) -> Iterator[tuple[Path, tuple[int, str]]]:
    """Sequence and digest of what stands in each file now."""
    readers: list[tuple[Path | None, Callable[[Path], tuple[int, str] | None]]] = [
        (places.routes, routes_version),
        (places.flagd, flagd_version),
        (places.haproxy_map, haproxy_version),
    ]
    for path, read in readers:
        version = read(path) if path else None
        if path and version:
            yield path, version


def routes_version(path: Path) -> tuple[int, str] | None:
    """Sequence and digest of the map in a routes file, None where there is none that can be read."""
    try:
        found = read_map(path.read_bytes())
    except (OSError, ValueError):
        return None
    return found.sequence, found.digest


def only_grows(path: Path, routes: RoutesMap) -> bool:
    """Whether a map of the same sequence only knows more stores: a new release was planned, in which no store has moved yet."""
    try:
        before = read_map(path.read_bytes())
    except (OSError, ValueError):
        return False
    return all(routes.stores.get(store) == entry for store, entry in before.stores.items())


def write_all(routes: RoutesMap, places: Places, after_ns: int) -> Published:
    """One place after the other. What one of them lacks must not keep the map from the others: stores may be on their way back
    from a database that is down."""
    outputs: list[Output] = []
    failures: list[OpsError] = []
    for kind, where, write in writers(routes, places, after_ns):
        started = time.perf_counter()
        try:
            outputs.append(Output(kind, where, write(), time.perf_counter() - started))
        except OpsError as error:
            failures.append(error)
    published = Published(routes, tuple(outputs))
    if failures:
        raise PartlyPublished(published, failures)
    return published


def writers(routes: RoutesMap, places: Places, after_ns: int) -> Iterator[tuple[str, str, Callable[[], str]]]:
    """Kind, name, and how to write it. What applications need comes first, and HAProxy's file before its memory: it may be
    started again in between."""
    if places.acks:
        yield "acknowledgements", str(places.acks), partial(prepare_acks, places.acks)
    yield "routes", str(places.routes), partial(write_routes, places.routes, routes, after_ns)
    if places.flagd:
        yield "flagd", str(places.flagd), partial(write_file, places.flagd, flagd_text, routes, after_ns)
    if places.haproxy_map:
        yield "haproxy map", str(places.haproxy_map), partial(write_file, places.haproxy_map, haproxy_text, routes, after_ns)
    for address in places.haproxy_sockets:
        yield "haproxy", address, partial(update_haproxy, address, places.haproxy_name or str(places.haproxy_map), routes)


def write_routes(path: Path, routes: RoutesMap, after_ns: int) -> str:
    """The map that applications read, unless it stands there already."""
    if routes_version(path) == (routes.sequence, routes.digest):
        return ""
    replace_file(path, text_of(routes), after_ns)
    return "written"


def write_file(path: Path, text: Callable[[RoutesMap], bytes], routes: RoutesMap, after_ns: int) -> str:
    """Another form of it, unless it stands there already, byte by byte."""
    content = text(routes)
    try:
        if path.read_bytes() == content:
            return ""
    except OSError:
        pass  # not there, or damaged: it is written, and that will say what is wrong
    replace_file(path, content, after_ns)
    return "written"


def newest_time(lock: int, places: Places) -> int:
    """The latest time in nanoseconds that a reader may have seen. It is kept with the lock, for a file that has vanished: one
    that came back with an earlier time would not be read again."""
    times = [os.fstat(lock).st_mtime_ns]
    for path in (places.routes, places.flagd, places.haproxy_map):
        with suppress(OSError):
            times += [path.stat().st_mtime_ns] if path else []
    os.utime(lock, ns=(max(times), max(times)))
    return max(times)


@contextmanager
def publishing(path: Path) -> Iterator[int]:
    """Alone among the publishers of this map: between looking at what is out and writing, nobody else may have written.
    Raises PublishError when another one does not end."""
    try:
        descriptor = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise refused(error, path) from error
    try:
        latest = time.monotonic() + LOCK_S
        while not locked(descriptor):
            if time.monotonic() > latest:
                raise PublishError(
                    f"Another process has been publishing {path} for {LOCK_S:.0f} s.", "See whether it hangs; end it if it does."
                )
            time.sleep(0.01)
        yield descriptor
    finally:
        os.close(descriptor)


def locked(descriptor: int) -> bool:
    """Whether the lock is ours now; it goes with the process, however that ends."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
