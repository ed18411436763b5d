"""Which database a store writes to now: the client of the published map. One file, standard library only: copy it as it is.

    routes = Routes("routes.json", acks="acks", instance="till-7")
    routes.start()                              # looks at the map and acknowledges it, in a thread
    with routes.writing("S001") as write:       # raises Fenced: wait a little and try again
        ...statements on write.side...          # "legacy" or "tidb"
        write.still()                           # raises Moved: roll back, begin again
        ...COMMIT...

The last good map stays in force whatever becomes of the file. A write counts as in flight from `writing` to the end of the block,
and a new map is acknowledged only when no write is in flight that began under an older route of its store: that is what whoever
moves a store waits for. An instance that could not say so for `lease_s` refuses writes by itself, since nobody waits for it then.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeGuard

FORMAT = 1
ROUTES = ("legacy", "shadow", "fenced", "tidb", "complete")
SIDES = {"legacy": "legacy", "shadow": "legacy", "tidb": "tidb", "complete": "tidb"}
LEASE_S = 30.0
POLL_S = 1.0
MARK = "membershift.acks"  # put there by publishing: without it, the folder is an empty place where a share should be
INSTANCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class NotNow(Exception):
    """This write cannot be done now; nothing is there of it if the transaction is rolled back. Wait a little, begin again."""


class Fenced(NotNow):
    """The store takes no writes at present: it is being moved, is not in the map, or this instance's lease has lapsed."""


class Moved(NotNow):
    """The route is not the one under which this write began: roll back and begin again under the new one."""


@dataclass(frozen=True)
class Entry:
    """A store in the map. `epoch`: the sequence of the map in which its route changed last. `reads`: of a fenced store."""

    route: str
    epoch: int
    reads: str = ""


@dataclass(frozen=True)
class RoutesMap:
    """One published map. `published_at` in UTC, ISO 8601."""

    sequence: int
    stores: Mapping[str, Entry]
    digest: str
    release: str = ""
    published_at: str = ""


def canonical(stores: Mapping[str, Any]) -> bytes:
    """The text that the digest is of: the stores as JSON, keys in order, no blanks, UTF-8.

    >>> canonical({"S1": {"route": "tidb", "epoch": 3}})
    b'{"S1":{"epoch":3,"route":"tidb"}}'
    """
    return json.dumps(stores, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest_of(stores: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical text, in hexadecimal."""
    return hashlib.sha256(canonical(stores)).hexdigest()


def read_map(text: bytes) -> RoutesMap:
    """The map in a file's text. Raises ValueError, with the reason, for anything that is not a whole and sound map."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("the map is cut short or no JSON") from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise ValueError(f"the map is not of format {FORMAT}")
    sequence, stores = found.get("sequence"), found.get("stores")
    if not is_count(sequence):
        raise ValueError("the map has no sequence number")
    if not isinstance(stores, dict) or not stores:
        raise ValueError("the map is empty")
    if digest_of(stores) != found.get("digest"):
        raise ValueError("the map's digest is wrong")
    entries = {store: read_entry(store, entry, sequence) for store, entry in stores.items()}
    return RoutesMap(sequence, entries, found["digest"], str(found.get("release", "")), str(found.get("published_at", "")))


def read_entry(store: str, entry: object, sequence: int) -> Entry:
    """One store of the map. Raises ValueError."""
    if not isinstance(entry, dict) or entry.get("route") not in ROUTES:
        raise ValueError(f"store {store} has no route that this client knows")
    epoch = entry.get("epoch")
    if not is_count(epoch) or epoch > sequence:
        raise ValueError(f"store {store} has no epoch")
    return Entry(entry["route"], epoch, str(entry.get("reads", "")))


def is_count(value: object) -> TypeGuard[int]:
    """Whether it is a whole number from 0 on."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


class Write:
    """A write under way. `route` is the published word, `side` the database that takes it, `sequence` that of the map."""

    def __init__(self, routes: Routes, store: str, entry: Entry, sequence: int) -> None:
        self._routes = routes
        self.store, self.route, self.epoch, self.sequence = store, entry.route, entry.epoch, sequence
        self.side = SIDES[entry.route]

    def still(self) -> None:
        """Call right before COMMIT. Raises Moved when this write may not be committed any more."""
        self._routes.check_still(self)


class Routes:
    """The map as this process knows it; for any number of threads. Make one in each process, after a fork, never before.

    path: the published map. acks: the folder for acknowledgements, None where nobody waits for them (then there is no lease).
    instance: a name that no other process has at the same time; made up where it is not given. `poll` has to be called every
    `poll_s` seconds: by `start`, which does it in a thread, or by `writing` itself whenever it is due.
    Refuses writes when no acknowledgement could be written for `lease_s - margin_s` seconds.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        acks: str | os.PathLike[str] | None = None,
        instance: str = "",
        *,
        lease_s: float = LEASE_S,
        margin_s: float | None = None,
        poll_s: float = POLL_S,
    ) -> None:
        self.path, self.instance = Path(path), instance or f"{socket.gethostname()[:60]}-{os.getpid()}-{secrets.token_hex(3)}"
        if not INSTANCE.fullmatch(self.instance):
            raise ValueError(f"{self.instance!r} cannot be the name of an instance: use letters, digits, dot, dash, underscore")
        margin_s = lease_s / 6 if margin_s is None else margin_s
        if not 0 < poll_s < lease_s - margin_s:
            raise ValueError("poll_s has to be shorter than lease_s - margin_s: the lease would lapse between two polls")
        self.lease_s, self.margin_s, self.poll_s = lease_s, margin_s, poll_s
        self.trouble = "no map was read yet"
        self._ack = Path(acks) / f"{self.instance}.json" if acks is not None else None
        self._process, self._pid, self._closed = secrets.token_hex(8), os.getpid(), False
        self._lock, self._ack_lock = threading.RLock(), threading.Lock()
        self._map: RoutesMap | None = None
        self._stamp: tuple[int, int, int] | None = None
        self._in_flight: Counter[tuple[str, int]] = Counter()
        self._acked = 0
        self._usurped = ""
        self._renewed: tuple[float, float] | None = None
        self._polled = float("-inf")
        self._thread: threading.Thread | None = None
        self._wake, self._stop = threading.Event(), threading.Event()
        others = Path(acks).glob("*.json") if acks is not None else ()
        self._floor = max((read_ack(one).get("sequence", 0) for one in others), default=0)
        self._ceiling = self._predecessor()
        self.poll()

    @property
    def sequence(self) -> int:
        """Of the map in force, 0 before the first."""
        return self._map.sequence if self._map else 0

    @property
    def in_flight(self) -> int:
        """Writes under way."""
        with self._lock:
            return self._in_flight.total()

    def stores(self) -> Mapping[str, Entry]:
        """The map in force, after a look at the file; empty before the first. To write, use `writing`."""
        self._look()
        return self._map.stores if self._map else {}

    def reads(self, store: str) -> str:
        """The side that answers reads; of a fenced store the one it is leaving. Raises Fenced for a store that is not known."""
        entry = self.stores().get(store)
        if entry is None:
            raise Fenced(f"store {store} is not in the map")
        return SIDES.get(entry.route) or entry.reads or "legacy"

    @contextmanager
    def writing(self, store: str) -> Iterator[Write]:
        """A write of a store, from its first statement to after its COMMIT. Raises Fenced when it may not begin now."""
        write = self._begin(store)
        try:
            yield write
        finally:
            self._end(write)

    def check_still(self, write: Write) -> None:
        """See Write.still."""
        entry = self.stores().get(write.store)
        if entry is None or entry.epoch != write.epoch or entry.route != write.route:
            raise Moved(f"store {write.store} has moved since this write began")
        if refusal := self._no_lease():
            raise Moved(refusal)

    def poll(self) -> None:
        """Look at the map and acknowledge. Never raises for the state of files: `trouble` says what is wrong."""
        self._polled = time.monotonic()
        self._look(again=True)
        self._acknowledge()

    def start(self) -> Routes:
        """Poll in a thread of its own from now on."""
        if self._thread is None:
            self._stop.clear()
            self._thread = threading.Thread(target=self._keep_polling, name="routes", daemon=True)
            self._thread.start()
        return self

    def __enter__(self) -> Routes:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Poll no more. The acknowledgement goes with it, unless writes are in flight: then it lapses by itself."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        with self._ack_lock, self._lock:
            self._renewed, self._closed = None, True
            if self._ack is not None and not self._in_flight and not self._usurped:
                self._ack.unlink(missing_ok=True)

    def _begin(self, store: str) -> Write:
        if os.getpid() != self._pid:
            raise RuntimeError("these Routes were made before a fork: make them in each process")
        if self._closed:
            raise RuntimeError("these Routes are closed")
        if not (self._thread and self._thread.is_alive()) and time.monotonic() - self._polled >= self.poll_s:
            self.poll()
        else:
            self._look()
        with self._lock:
            entry = self._map.stores.get(store) if self._map else None
            if self._map is None or entry is None:
                raise Fenced(f"store {store} is not in the map" if self._map else f"there is no map: {self.trouble}")
            if entry.route not in SIDES:
                raise Fenced(f"store {store} is being moved")
            if refusal := self._no_lease():
                raise Fenced(refusal)
            self._in_flight[store, entry.epoch] += 1
            return Write(self, store, entry, self._map.sequence)

    def _end(self, write: Write) -> None:
        key = write.store, write.epoch
        with self._lock:
            self._in_flight[key] -= 1
            if not self._in_flight[key]:
                del self._in_flight[key]
            entry = self._map.stores.get(write.store) if self._map else None
            last = self._map is not None and (entry is None or entry.epoch != write.epoch) and not self._held_back()
        if last:  # somebody may be waiting for exactly this write
            self._acknowledge_soon()

    def _look(self, *, again: bool = False) -> None:
        """Take in a new map if there is one. `again`: also read a file once more that was no good when it was last read."""
        with self._lock:
            before, stamp = self.sequence, (0, 0, 0)
            try:
                state = os.stat(self.path)
                stamp = (state.st_mtime_ns, state.st_size, state.st_ino)
                if stamp == self._stamp and not (again and self.trouble):
                    return
                found = read_map(self.path.read_bytes())
                self.trouble = self._refusal(found)
                self._map = self._map if self.trouble else found
            except OSError as error:
                self.trouble = f"the map cannot be read: {error.strerror or 'unknown error'}"
            except (ValueError, RecursionError) as error:
                self.trouble = str(error)
            self._stamp = stamp
            moved = self.sequence != before
        if moved and not again:
            self._acknowledge_soon()

    def _refusal(self, found: RoutesMap) -> str:
        """Why a sound map is not taken, "" where it is. An instance that has just started knows from the acknowledgements of the
        others how far the maps have come."""
        known = self._map
        least = known.sequence if known else self._floor
        if found.sequence < least:
            return f"the map goes backwards: {found.sequence} after {least}"
        if known and found.sequence == known.sequence and any(
            found.stores.get(store, entry) != entry for store, entry in known.stores.items()
        ):  # fmt: skip
            return f"there are two maps of sequence {found.sequence}"
        return ""

    def _held_back(self) -> bool:
        """Whether a write is in flight that began under an older route of its store."""
        stores = self._map.stores if self._map else {}
        return any(store not in stores or stores[store].epoch != epoch for store, epoch in self._in_flight)

    def _no_lease(self) -> str:
        """Why this instance may not write, "" where it may. Time is taken from a clock that cannot be set; where the other clock
        says that more has passed, the machine was asleep."""
        if self._ack is None or self._usurped:
            return self._usurped
        if (renewed := self._renewed) is None:
            return "no acknowledgement could be written"
        passed_s = max(now - then for now, then in zip(clocks(), renewed, strict=True))
        return "" if passed_s < self.lease_s - self.margin_s else f"no acknowledgement could be written for {passed_s:.0f} s"

    def _acknowledge_soon(self) -> None:
        if self._thread is None:
            self._acknowledge()
        else:
            self._wake.set()

    def _acknowledge(self) -> None:
        """Write down the newest map that all writes in flight keep to; the lease counts from before."""
        if self._ack is None:
            return
        with self._ack_lock:
            other = read_ack(self._ack)
            if self._renewed is not None and other.get("process", self._process) != self._process:
                self._usurped = f"another process has taken the name {self.instance}"
            if self._usurped or self._closed:
                return
            began = clocks()
            with self._lock:
                self._acked = self._acked if self._held_back() else self.sequence
                sequence = self._acked if began[0] > self._ceiling[0] else min(self._acked, self._ceiling[1])
                ack = {"format": FORMAT, "instance": self.instance, "sequence": sequence, "at": utc_now(),
                       "lease_s": self.lease_s, "in_flight": self.in_flight,
                       "trouble": self.trouble, "process": self._process}  # fmt: skip
            partial = self._ack.with_suffix(f".{self._process}.partial")
            try:
                os.stat(self._ack.parent / MARK)
                partial.write_text(json.dumps(ack), "utf-8")
                os.replace(partial, self._ack)
            except OSError as error:
                self.trouble = self.trouble or f"the acknowledgement cannot be written: {error.strerror or 'unknown error'}"
                return
            self._renewed = began

    def _predecessor(self) -> tuple[float, int]:
        """Until when, and up to which sequence, an earlier process of this name may still hold to what it acknowledged: it finds
        out at its next poll that it has a successor, and its lease lapses at the latest then."""
        found = read_ack(self._ack) if self._ack else {}
        if not found or self._ack is None:
            return float("-inf"), 0
        age_s = max(0.0, time.time() - self._ack.stat().st_mtime)
        return clocks()[0] + float(found.get("lease_s", self.lease_s)) - age_s, found["sequence"]

    def _keep_polling(self) -> None:
        while not self._stop.is_set():
            self._wake.wait(self.poll_s)
            self._wake.clear()
            if not self._stop.is_set():
                self.poll()


def read_ack(path: Path) -> dict[str, Any]:
    """An acknowledgement, empty where there is none that can be read."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) and is_count(found.get("sequence")) else {}


def clocks() -> tuple[float, float]:
    """Seconds of a clock that nobody can set and that goes on while the machine sleeps, and of the one on the wall."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    return (time.clock_gettime(boot) if boot is not None else time.monotonic()), time.time()


def utc_now() -> str:
    """The time in UTC, ISO 8601, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
