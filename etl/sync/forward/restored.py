"""Whether a legacy database is still the one whose changes were followed, also where its version has outgrown the position since.

SQL Server names the recovery fork that a database is on (sys.database_recovery_status.recovery_fork_guid): a database that is
restored to an earlier point, or forced over to a copy that lagged behind, goes on under a new one ("Recovery Paths"). No
connection survives a restore, so it is asked whenever one was made, and noted for each legacy table until that is compared anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from etl.errors import RefusedError
from etl.names import SourceTable
from etl.source.connect import Snapshot, Source
from etl.source.session import Session
from etl.sync.forward.context import ForwardContext
from etl.sync.plan import SyncPlan
from etl.sync.state import read_positions, write_position
from etl.target.bulk import BulkConnection

FORK: Final = "SELECT CONVERT(nvarchar(36), recovery_fork_guid) FROM sys.database_recovery_status WHERE database_id = DB_ID()"
"""A login sees the row with VIEW ANY DATABASE, which public has unless somebody took it away, or as the database's owner."""


def fork_name(table: SourceTable) -> str:
    """Name in sync_position; its detail is the fork that the table's changes are followed on."""
    return f"fork/{table}"


def read_fork(session: Session) -> str | None:
    """The fork that the session's database is on; None where the login may not see it. Raises ServerError."""
    rows = session.query(FORK)
    return str(rows[0][0]).lower() if rows and rows[0][0] is not None else None


def read_forks(source: Source, databases: Iterable[str]) -> dict[str, str | None]:
    """The forks of some databases. Raises ServerError."""
    forks: dict[str, str | None] = {}
    for database in databases:
        with source.snapshot(database) as snapshot:
            forks[database] = read_fork(snapshot.session)
    return forks


def note_forks(connection: BulkConnection, plan: SyncPlan, forks: dict[str, str | None], *, again: bool = False) -> None:
    """Note on which fork each legacy table of these databases is followed, inside the caller's transaction; one that is noted
    stays, unless `again`."""
    known = {} if again else read_positions(connection, plan.state_schema)
    for table in tables_of(plan, forks):
        fork = forks[table.database]
        if fork is not None and fork_name(table) not in known:
            write_position(connection, plan.state_schema, fork_name(table), 0, fork)


def tables_of(plan: SyncPlan, databases: Iterable[str]) -> list[SourceTable]:
    """Legacy tables of some databases, each once."""
    return list(dict.fromkeys(part.part.source for name in databases for _, part in plan.parts_of(name)))


def check_fork(context: ForwardContext, snapshot: Snapshot, database: str) -> None:
    """Look once for each connection; its instant is let go of, since versions have to be read first at a new one. Raises
    RefusedError for tables that were followed on another fork."""
    name, made = f"fork/{database}", context.sessions.made.get(database, 0)
    if context.looked.get(name) == made:
        return
    fork = read_fork(snapshot.session)
    snapshot.renew()
    if fork is not None:
        positions = read_positions(context.target, context.plan.state_schema)
        tables = tables_of(context.plan, [database])
        left = [table for table in tables if (noted := positions.get(fork_name(table))) is not None and noted.detail != fork]
        if left:
            raise RefusedError(
                f"The database {database} was restored, or failed over by force, since changes of {', '.join(map(str, left))} "
                "were followed: some that sync has seen may be gone, and others have taken their versions.",
                f"Find out which changes the source lost; then: membershift sync resync {' '.join(map(str, left))}",
            )
        with context.target.transaction():
            note_forks(context.target, context.plan, {database: fork})
    context.looked[name] = made
