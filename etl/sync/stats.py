"""What a running sync tells: by stream, how much it did, how far behind it is, and what it is waiting for.

Threads write, the screen and the metrics read: every method takes the lock. Times are of a monotonic clock.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Final, Protocol

from etl.sync.model import Counts

WINDOW_S: Final = 60.0


@dataclass(frozen=True)
class StreamView:
    """A stream as it is now. `name` is "forward/<database>" or "reverse". `lag_s`: what happened longer ago, in seconds, has
    been carried over or kept. `rate`: rows a second over the last minute. `waiting`: why nothing is done, "" where it works.
    `throttled_s`: how long the throttle has held it, all together."""

    name: str
    lag_s: float
    rate: float
    rounds: int
    waiting: str
    tables: Mapping[str, Counts]
    throttled_s: float = 0.0


@dataclass
class Stream:
    """What is kept of a stream."""

    tables: dict[str, Counts] = field(default_factory=lambda: defaultdict(Counts))
    through_at: float = field(default_factory=time.monotonic)
    done: deque[tuple[float, int]] = field(default_factory=deque)
    rounds: int = 0
    waiting: str = ""
    worked_at: float = 0.0
    idle_at: float | None = None
    throttled_s: float = 0.0


class Measured(Protocol):
    """What the throttle measures (etl/sync/throttle.py)."""

    @property
    def name(self) -> str: ...

    @property
    def limit(self) -> float: ...

    @property
    def value(self) -> float | None: ...


class Checked(Protocol):
    """A pass of the background check (etl/sync/check_record.py)."""

    @property
    def rows(self) -> int: ...

    @property
    def differing(self) -> int: ...

    @property
    def explained(self) -> int: ...

    @property
    def ended(self) -> datetime | None: ...


class Stats:
    """Of one process. `throttle`: what holds all streams back, "" nothing; `speed`: how fast they may go, 0 to 1. `check`: the
    background check's pass, `check_problem`: what keeps it from going on, "" nothing."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._streams: dict[str, Stream] = {}
        self.began = time.monotonic()
        self.throttle = ""
        self.speed = 1.0
        self.measures: Sequence[Measured] = ()
        self.check: Checked | None = None
        self.check_problem = ""

    def add(self, stream: str, counts: Mapping[str, Counts]) -> None:
        """A round's result."""
        with self._lock:
            kept = self._streams.setdefault(stream, Stream())
            rows = 0
            for table, one in counts.items():
                into = kept.tables[table]
                for name, value in asdict(one).items():
                    setattr(into, name, getattr(into, name) + value)
                rows += one.written + one.deleted
            kept.rounds += 1
            kept.waiting = ""
            if rows:
                kept.worked_at = time.monotonic()
                kept.done.append((kept.worked_at, rows))

    def through(self, stream: str, at: float) -> None:
        """The stream is through with everything that had happened at `at` (monotonic)."""
        with self._lock:
            self._streams.setdefault(stream, Stream()).through_at = at

    def idle(self, stream: str, at: float) -> None:
        """A round that began at `at` (monotonic) found nothing that it could do."""
        with self._lock:
            self._streams.setdefault(stream, Stream()).idle_at = at

    def wait(self, stream: str, why: str) -> None:
        """The stream cannot go on for now."""
        with self._lock:
            self._streams.setdefault(stream, Stream()).waiting = why

    def hold(self, stream: str, seconds: float) -> None:
        """The throttle holds the stream for so long."""
        with self._lock:
            self._streams.setdefault(stream, Stream()).throttled_s += seconds

    def expect(self, names: Iterable[str]) -> None:
        """These streams are about to begin."""
        with self._lock:
            for name in names:
                self._streams.setdefault(name, Stream())

    @property
    def quiet(self) -> bool:
        """Whether every stream found nothing to do in a round that began after the last one that did something ended."""
        with self._lock:
            streams = self._streams.values()
            worked_at = max((stream.worked_at for stream in streams), default=0.0)
            return all(stream.idle_at is not None and stream.idle_at > worked_at for stream in streams)

    def views(self) -> list[StreamView]:
        """All streams as they are now, by name."""
        now = time.monotonic()
        with self._lock:
            return [self._view(name, stream, now) for name, stream in sorted(self._streams.items())]

    def _view(self, name: str, stream: Stream, now: float) -> StreamView:
        while stream.done and stream.done[0][0] < now - WINDOW_S:
            stream.done.popleft()
        span = min(WINDOW_S, max(now - self.began, 1.0))
        tables = {table: Counts(**asdict(counts)) for table, counts in stream.tables.items()}
        rate = sum(rows for _, rows in stream.done) / span
        lag = max(0.0, now - stream.through_at)
        return StreamView(name, lag, rate, stream.rounds, stream.waiting, tables, stream.throttled_s)
