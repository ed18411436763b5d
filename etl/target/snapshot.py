"""Several connections that read the target as it was at one instant."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from etl.settings import TargetSettings
from etl.target.bulk import BulkConnection
from etl.target.connect import connect_bulk

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Snapshot:
    """`connections` read as of `taken_at` (the target's clock, UTC) until the snapshot is closed; write nothing through them.

    `exact`: all of them see the very same instant. Otherwise they see instants a few milliseconds apart, and `note` says why.
    """

    connections: tuple[BulkConnection, ...]
    taken_at: datetime
    exact: bool
    note: str | None = None


@contextmanager
def consistent_snapshot(settings: TargetSettings, n: int, database: str | None = None) -> Iterator[Snapshot]:
    """Open `n` connections that read one instant; every commit answered before this call is seen.

    On TiDB the instant can be read for tidb_gc_life_time (10 minutes by default): raise it for longer reads, which otherwise fail
    with an error, never with other rows.
    Raises ServerError.
    """
    with ExitStack() as stack:
        connections = tuple(stack.enter_context(connect_bulk(settings, database)) for _ in range(n))
        yield read_together(connections) if connections[0].is_tidb else read_nearly_together(connections)


def read_together(connections: tuple[BulkConnection, ...]) -> Snapshot:
    """TiDB: the first millisecond after now, in all connections."""
    moment = next_millisecond(connections[0])
    text = moment.strftime("%Y-%m-%d %H:%M:%S.%f")
    for connection in connections:
        connection.begin(f"START TRANSACTION READ ONLY AS OF TIMESTAMP '{text}'")
    return Snapshot(connections, moment, exact=True)


def next_millisecond(connection: BulkConnection) -> datetime:
    """The start of the first millisecond in which nothing has been committed yet, waited for until it is past.

    A read as of a time leaves out what was committed within the millisecond that begins there, so the current one would miss the
    last commits. A timestamp of TiDB holds its milliseconds above 18 bits of counter.
    """
    connection.begin()
    timestamp = int(connection.scalar("SELECT @@tidb_current_ts"))
    connection.rollback()
    time.sleep(0.005)
    return EPOCH + timedelta(milliseconds=(timestamp >> 18) + 1)


def read_nearly_together(connections: tuple[BulkConnection, ...]) -> Snapshot:
    """MariaDB: each connection has a snapshot of its own, begun at once one after the other; locking all tables to make them one
    would stop the applications."""
    taken_at = connections[0].scalar("SELECT UTC_TIMESTAMP(6)")
    for connection in connections:
        connection.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    for connection in connections:
        connection.begin("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
    exact = len(connections) == 1
    note = None if exact else "This target cannot show one instant to several connections: they may be milliseconds apart."
    return Snapshot(connections, taken_at.replace(tzinfo=UTC), exact, note)
