"""Below which time nothing can still become visible: what makes reading changes by their time safe.

`updated_at` is the time of the statement, not of the commit: a transaction held for three seconds shows its rows three seconds
into the past. So a scan goes on from the oldest thing that was still under way before the last scan began, never from the
greatest time seen (that lost 39 % of the changes of writers who hold transactions).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from etl.sync.capture.rows import microseconds
from etl.target.bulk import BulkConnection

ALLOWANCE_US: Final = 5_000_000
"""How far the clocks of the target's nodes may be apart. It costs re-reads and nothing else."""

LEAST_ALLOWANCE_US: Final = 1_000_000
"""Below this, what happens between the two lists of one statement is no longer covered."""

TIDB_WATERMARK: Final = """\
SELECT NOW(6),
       (SELECT MIN(TIDB_PARSE_TSO(id)) FROM information_schema.cluster_tidb_trx),
       (SELECT MIN(DATE_SUB(NOW(6), INTERVAL time + 1 SECOND)) FROM information_schema.cluster_processlist
         WHERE id <> CONNECTION_ID() AND command <> 'Sleep'),
       CONNECTION_ID()"""
"""NOW(6) stands first: TiDB fixes it when it comes to the first one, not when the statement begins; behind the lists it would be
later than they are. START_TIME is in the zone of the server, so the id is parsed. The list of processes is needed besides that of
transactions: an autocommit statement that met a conflict has a new start, and its old NOW."""

MARIADB_WATERMARK: Final = """\
SELECT NOW(6),
       (SELECT MIN(CONVERT_TZ(trx_started, 'SYSTEM', '+00:00')) FROM information_schema.innodb_trx),
       (SELECT MIN(DATE_SUB(NOW(6), INTERVAL time + 1 SECOND)) FROM information_schema.processlist
         WHERE id <> CONNECTION_ID() AND command NOT IN ('Sleep', 'Daemon', 'Binlog Dump')),
       (SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_mysql_thread_id = CONNECTION_ID())"""

WARNINGS: Final = "SELECT @@warning_count, CONNECTION_ID()"


@dataclass(frozen=True)
class Watermark:
    """`value_us`: every change of a statement that began before it is committed or undone (microseconds since 1970, UTC), None
    when that cannot be known now: keep the old one. `now`: the target's clock (UTC, without zone). `held_by`: what keeps the
    value back, "clock", "transaction" or "statement"."""

    value_us: int | None
    now: datetime
    held_by: str = "clock"

    def advance(self, old_us: int, left_us: int | None = None) -> int:
        """The watermark after a whole round that began with this one: not past `left_us`, the least time of the rows that the
        round found and left dirty (locked, not sent); and not backwards, unless the target's clock itself stands below the old
        one. Then it was set back by more than the allowance, and what is written now has times that no scan would look for.

        >>> noon = datetime(1970, 1, 1, 12)
        >>> Watermark(9, noon).advance(5, left_us=7), Watermark(None, noon).advance(5), Watermark(4, noon).advance(5)
        (7, 5, 5)
        """
        if self.value_us is None:
            return old_us
        if old_us > microseconds(self.now):
            return self.value_us
        return max(old_us, self.value_us if left_us is None else min(self.value_us, left_us))


def low_watermark(connection: BulkConnection, allowance_us: int = ALLOWANCE_US) -> Watermark:
    """Ask before the scan, and take it over only after all of the scan's rows are on the other side and marked.

    One for all tables of a round. Needs the right PROCESS (`require_process`): without it only one's own transactions are seen,
    and no error says so. Raises ServerError.
    """
    if connection.is_tidb:
        return read_tidb(connection, allowance_us)
    return read_mariadb(connection, allowance_us)


def read_tidb(connection: BulkConnection, allowance_us: int) -> Watermark:
    """A warning means that a node did not answer: its transactions are not in the list. On another connection than the list's (a
    lost one is made again) nothing is known of its warnings."""
    now, transaction, statement, session = connection.query(TIDB_WATERMARK)[0]
    warnings, warned_session = connection.query(WARNINGS)[0]
    if int(warnings) or warned_session != session:
        return Watermark(None, as_time(now))
    return least(as_time(now), optional_time(transaction), optional_time(statement), allowance_us)


def read_mariadb(connection: BulkConnection, allowance_us: int) -> Watermark:
    """MariaDB renews its list of transactions only when nobody has read it for 0.1 s: who polls faster never sees a new one.

    So the list is read inside a transaction of our own, which has to be in it: whatever is not in the list began after it was
    made, and so after ours that is in it, and ours counts among the others.
    """
    connection.begin("START TRANSACTION WITH CONSISTENT SNAPSHOT")
    try:
        now, transaction, statement, own = connection.query(MARIADB_WATERMARK)[0]
    finally:
        connection.rollback()
    if not int(own):
        return Watermark(None, as_time(now))
    return least(as_time(now), optional_time(transaction), optional_time(statement), allowance_us)


def least(now: datetime, transaction: datetime | None, statement: datetime | None, allowance_us: int) -> Watermark:
    """The least of the three, less the allowance.

    >>> least(datetime(2026, 1, 1, 0, 0, 9), datetime(2026, 1, 1, 0, 0, 7), None, 5_000_000).held_by
    'transaction'
    """
    found = [(now, "clock")]
    found += [(transaction, "transaction")] if transaction is not None else []
    found += [(statement, "statement")] if statement is not None else []
    at, held_by = min(found, key=lambda each: each[0])
    return Watermark(microseconds(at) - max(allowance_us, LEAST_ALLOWANCE_US), now, held_by)


def as_time(value: Any) -> datetime:
    """A time of the server, which some drivers give as text where it is computed."""
    if isinstance(value, datetime):
        return value
    return datetime.fromisoformat(value.decode() if isinstance(value, bytes) else str(value))


def optional_time(value: Any) -> datetime | None:
    """The same, where there may be none."""
    return None if value is None else as_time(value)
