"""What capturing changes rests on, looked for before it begins: what is missing would lose changes, and no error would say so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from etl.checks.target_rights import parse_grants
from etl.errors import RefusedError
from etl.load.sql import sql
from etl.sync.capture.rows import SYNC_INDEX, SYNCED_AT, UPDATED_AT
from etl.sync.capture.watermark import ALLOWANCE_US, as_time
from etl.sync.plan import SyncTable
from etl.target.bulk import BulkConnection
from etl.target.columns import text_of

COLUMNS: Final = """\
SELECT column_name, column_type, is_nullable, extra FROM information_schema.columns
WHERE table_schema = %s AND table_name = %s AND column_name IN ('updated_at', 'synced_at')"""

INDEX: Final = """\
SELECT column_name FROM information_schema.statistics
WHERE table_schema = %s AND table_name = %s AND index_name = %s ORDER BY seq_in_index"""

CASCADES: Final = """\
SELECT constraint_name FROM information_schema.referential_constraints
WHERE constraint_schema = %s AND table_name = %s
  AND (update_rule IN ('CASCADE', 'SET NULL', 'SET DEFAULT') OR delete_rule IN ('CASCADE', 'SET NULL', 'SET DEFAULT'))"""

FUTURE: Final = """\
SELECT COUNT(*), MAX(updated_at), NOW(6) FROM {schema}.{table} FORCE INDEX ({index})
WHERE updated_at > NOW(6) + INTERVAL %s MICROSECOND"""

MAINTAIN: Final = (
    "ALTER TABLE .. MODIFY updated_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6), "
    "MODIFY synced_at TIMESTAMP(6) NULL"
)


@dataclass(frozen=True)
class FutureRows:
    """Rows whose time lies further in the future than clocks may differ: a node's clock is wrong, or somebody writes the time.

    Changes made on another node meanwhile have times below the watermark, and only a sweep finds them.
    """

    table: str
    count: int
    ahead_s: float


def require_process(connection: BulkConnection) -> None:
    """The login sees the open transactions of all others. Raises RefusedError, ServerError."""
    lines = [text_of(row[0]) for row in connection.query("SHOW GRANTS")]
    if parse_grants(lines).held("PROCESS"):
        return
    name, _, host = text_of(connection.scalar("SELECT CURRENT_USER()")).rpartition("@")
    raise RefusedError(
        "The account of the target lacks the right PROCESS: open transactions of other accounts cannot be seen, and changes "
        "made by them would be lost without a word.",
        f"Run: GRANT PROCESS ON *.* TO '{name}'@'{host}' (to the account itself, not to a role).",
    )


def require_clock(connection: BulkConnection, allowance_us: int = ALLOWANCE_US) -> None:
    """The clock of the node we are connected to and that of the placement driver, by which transactions are numbered, are not
    further apart than the allowance: the watermark compares them. Other nodes cannot be asked. Raises RefusedError, ServerError.
    """
    if not connection.is_tidb:
        return
    with connection.transaction():
        numbered, now = connection.query("SELECT TIDB_PARSE_TSO(@@tidb_current_ts), NOW(6)")[0]
    apart = abs((as_time(numbered) - as_time(now)).total_seconds())
    if apart * 1e6 > allowance_us:
        raise RefusedError(
            f"The clocks of TiDB and of its placement driver are {apart:.1f} s apart: changes could be missed.",
            "Keep the clocks of all nodes together (NTP), then start again.",
        )


def require_capturable(connection: BulkConnection, schema: str, table: SyncTable) -> None:
    """Every write of the table shows in its two times, and the index finds it. Raises RefusedError, ServerError."""
    require_columns(connection, schema, table)
    require_index(connection, schema, table)
    if not connection.is_tidb:
        refuse_cascades(connection, schema, table)


def require_columns(connection: BulkConnection, schema: str, table: SyncTable) -> None:
    """TIMESTAMP, not DATETIME: a session in another time zone would write times that no scan looks for."""
    rows = connection.query(COLUMNS, (schema, table.name))
    found = {text_of(name): tuple(text_of(value).lower() for value in others) for name, *others in rows}
    updated, synced = found.get(UPDATED_AT), found.get(SYNCED_AT)
    if updated is None or synced is None:
        raise RefusedError(
            f"{table.name} has no columns updated_at and synced_at.",
            "Bring the schema up to date: `membershift schema up --execute`.",
        )
    right = updated[:2] == ("timestamp(6)", "no") and "on update current_timestamp(6)" in updated[2]
    if not right or synced[:2] != ("timestamp(6)", "yes"):
        raise RefusedError(
            f"updated_at or synced_at of {table.name} do not show every write.", f"Make them so again: {MAINTAIN}."
        )


def require_index(connection: BulkConnection, schema: str, table: SyncTable) -> None:
    """Without the index each scan would read the whole table."""
    columns: Sequence[str] = [text_of(row[0]) for row in connection.query(INDEX, (schema, table.name, SYNC_INDEX))]
    if list(columns[:2]) != [UPDATED_AT, SYNCED_AT]:
        raise RefusedError(
            f"{table.name} has no index {SYNC_INDEX} (updated_at, synced_at).",
            "Build the indexes that the load leaves for later: `membershift schema up --execute`.",
        )


def refuse_cascades(connection: BulkConnection, schema: str, table: SyncTable) -> None:
    """MariaDB changes rows by cascades without moving their updated_at; TiDB moves it."""
    names = [text_of(row[0]) for row in connection.query(CASCADES, (schema, table.name))]
    if names:
        raise RefusedError(
            f"{table.name} has foreign keys that change its rows by themselves ({', '.join(names)}), and MariaDB does not move "
            "updated_at then.",
            "Declare them without CASCADE and SET NULL, and let the application change the rows.",
        )


def find_future_rows(connection: BulkConnection, schema: str, table: str, allowance_us: int = ALLOWANCE_US) -> FutureRows | None:
    """Rows from the future, None when there are none: to be told to people. Raises ServerError."""
    names = {"schema": schema, "table": table, "index": SYNC_INDEX}
    count, latest, now = connection.query(sql(FUTURE, names), (allowance_us,))[0]
    if not int(count):
        return None
    return FutureRows(table, int(count), (as_time(latest) - as_time(now)).total_seconds())
