"""What the throttle measures, each by one small question: how busy the source is, how fast both sides answer, how far replicas
lag."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Final, Protocol

from pydantic import SecretStr
from sqlalchemy import text

from etl.errors import ConfigurationError
from etl.settings import Settings, TargetSettings
from etl.source.connect import Source, open_source
from etl.source.errors import ServerError as LegacyError
from etl.source.gentle import NO_RIGHT, read_load
from etl.sync.state import write_control
from etl.target.bulk import BulkConnection
from etl.target.connect import connect_bulk, open_target

LATEST: Final = 20
"""Answers of which the 95th percentile is taken: one slow answer alone is an outlier, the second one counts."""

BLIND_LATENCY_MS: Final = 250.0
"""Limit of the source's latency that takes the place of `max_load` where the login may not see how busy it is."""

PROBE: Final = "throttle"
"""Row of sync_control that is written to see how fast the target answers."""

LOAD, SOURCE_LATENCY, TARGET_LATENCY, LAG = "source load", "source latency", "target latency", "replication lag"


class Probe(Protocol):
    """Something that is measured. `unknown_holds`: what cannot be measured holds sync back too."""

    name: str
    unit: str
    limit: float
    unknown_holds: bool

    def measure(self) -> float | None:
        """The value now, None where there is none. Raises SourceError, TargetError."""

    def close(self) -> None:
        """Let go of what it holds."""


@dataclass
class Latest:
    """The last answers' times."""

    times: deque[float] = field(default_factory=lambda: deque(maxlen=LATEST))

    def add(self, value: float) -> float:
        """One more; the 95th percentile.

        >>> latest = Latest()
        >>> [latest.add(value) for value in (1.0, 90.0, 2.0)][-1], [latest.add(1.0) for _ in range(20)][-1]
        (90.0, 1.0)
        """
        self.times.append(value)
        ordered = sorted(self.times)
        return ordered[max(0, -(-95 * len(ordered) // 100) - 1)]


class SourceProbe:
    """How busy SQL Server is; where VIEW SERVER STATE is missing, how fast it answers."""

    unknown_holds = False

    def __init__(self, settings: Settings) -> None:
        throttle = settings.sync.throttle
        self.settings = settings.source.model_copy(update={"retries": 0})
        self.by_load = throttle.max_load is not None
        self.latency_ms = throttle.max_source_latency_ms or BLIND_LATENCY_MS
        self.name, self.unit, self.limit = LOAD, "%", float(throttle.max_load or 0)
        self.latest = Latest()
        self.stack = ExitStack()
        self.source: Source | None = None
        if not self.by_load:
            self.take_latency()

    def take_latency(self) -> None:
        """From now on by its answers."""
        self.by_load, self.name, self.unit, self.limit = False, SOURCE_LATENCY, "ms", self.latency_ms

    def measure(self) -> float | None:
        """Percent, or milliseconds."""
        source = self.source or self.stack.enter_context(open_source(self.settings))
        self.source = source
        if self.by_load:
            try:
                return float(read_load(source).percent)
            except LegacyError as error:
                if error.number not in NO_RIGHT:
                    raise
                self.take_latency()
        return self.latest.add(milliseconds(lambda: source.scalar("SELECT 1")))

    def close(self) -> None:
        """Let go of its sessions."""
        self.source = None
        self.stack.close()


class TargetProbe:
    """How long a small transaction takes on the target, its commit among it: what applications feel."""

    name, unit, unknown_holds = TARGET_LATENCY, "ms", False

    def __init__(self, settings: Settings, limit_ms: float) -> None:
        self.settings = settings.target
        self.limit = limit_ms
        self.latest = Latest()
        self.connection: BulkConnection | None = None

    def measure(self) -> float | None:
        """Milliseconds."""
        connection = self.connection or connect_bulk(self.settings)
        self.connection = connection
        state = self.settings.state_schema
        return self.latest.add(milliseconds(lambda: write_control(connection, state, PROBE, "", "throttle")))

    def close(self) -> None:
        """Let go of its connection."""
        if self.connection is not None:
            self.connection.close()


class LagQueryProbe:
    """What a statement of the user's says of the target's replicas, in seconds; NULL is not known."""

    name, unit, unknown_holds = LAG, "s", True

    def __init__(self, settings: Settings, query: str) -> None:
        self.settings, self.query = settings.target, query
        self.limit = settings.sync.throttle.max_lag_s
        self.connection: BulkConnection | None = None

    def measure(self) -> float | None:
        """Seconds. Raises ConfigurationError where it is no number."""
        connection = self.connection or connect_bulk(self.settings)
        self.connection = connection
        value = connection.scalar(self.query)
        try:
            return None if value is None else float(value)
        except (TypeError, ValueError):
            raise ConfigurationError(
                "[sync.throttle] lag_query returns something that is no number.", "Let it return seconds, as one value."
            ) from None

    def close(self) -> None:
        """Let go of its connection."""
        if self.connection is not None:
            self.connection.close()


class ReplicaProbe:
    """How far one replica is behind, as it says itself; not known while it does not replicate or cannot be reached."""

    unit, unknown_holds = "s", True

    def __init__(self, settings: Settings, url: SecretStr, number: int) -> None:
        self.settings: TargetSettings = settings.target.model_copy(update={"url": url, "retries": 0})
        self.limit = settings.sync.throttle.max_lag_s
        self.name = f"{LAG} ({number})"
        self.stack = ExitStack()

    def measure(self) -> float | None:
        """Seconds: the most of all its sources."""
        with open_target(self.settings, "") as engine, engine.connect() as connection:
            is_mariadb = "mariadb" in str(connection.execute(text("SELECT VERSION()")).scalar()).lower()
            statement = "SHOW ALL SLAVES STATUS" if is_mariadb else "SHOW REPLICA STATUS"
            rows = [dict(row) for row in connection.execute(text(statement)).mappings()]
        return greatest_lag(rows)

    def close(self) -> None:
        """Nothing is held."""


def greatest_lag(rows: list[dict[str, object]]) -> float | None:
    """Of a replica's status, the most seconds behind; None where one of its sources, or all, are not followed.

    >>> greatest_lag([{"Seconds_Behind_Master": 3}, {"Seconds_Behind_Source": 4}]), greatest_lag([])
    (4.0, None)
    """
    found = [row.get("Seconds_Behind_Master", row.get("Seconds_Behind_Source")) for row in rows]
    if not found or any(value is None for value in found):
        return None
    return max(float(str(value)) for value in found)


def probes_of(settings: Settings) -> Iterator[Probe]:
    """What the settings ask to be measured."""
    throttle = settings.sync.throttle
    if throttle.max_load is not None or throttle.max_source_latency_ms is not None:
        yield SourceProbe(settings)
    if throttle.max_target_latency_ms is not None:
        yield TargetProbe(settings, throttle.max_target_latency_ms)
    if throttle.lag_query is not None:
        yield LagQueryProbe(settings, throttle.lag_query)
    for number, url in enumerate(throttle.replicas, 1):
        yield ReplicaProbe(settings, url, number)


def milliseconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    began = time.monotonic()
    work()
    return (time.monotonic() - began) * 1000
