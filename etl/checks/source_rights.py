"""Rights on the source: each one needed, on each database and schema, and whether the login may do more than it should."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from etl.checks.model import CheckResult
from etl.names import SourceTable, bracket
from etl.settings import SourceSettings
from etl.source.address import address_of
from etl.source.catalog import Asks, open_databases

SERVER_STATE: Final = "SELECT HAS_PERMS_BY_NAME(NULL, NULL, N'VIEW SERVER STATE')"
SYSADMIN: Final = "SELECT IS_SRVROLEMEMBER(N'sysadmin')"
SHOWN: Final = 5


def check_rights(source: Asks, settings: SourceSettings) -> Iterator[CheckResult]:
    """SELECT on every table, VIEW CHANGE TRACKING on every tracked one, database by database and schema by schema."""
    user = bracket(address_of(settings).user)
    for database in open_databases(source, settings.databases):
        by_schema: dict[str, list[tuple[SourceTable, bool, bool, bool]]] = {}
        for schema, table, may_select, tracked, may_track in read_rights(source, database):
            name = SourceTable(database, schema, table)
            by_schema.setdefault(schema, []).append((name, bool(may_select), bool(tracked), bool(may_track)))
        if not by_schema:
            yield judge_empty(database, user)
        for schema, tables in by_schema.items():
            unreadable = [name for name, may_select, _, _ in tables if not may_select]
            untold = [name for name, _, tracked, may_track in tables if tracked and not may_track]
            yield judge_right("SELECT", database, schema, len(tables), unreadable, user)
            if any(tracked for _, _, tracked, _ in tables):
                yield judge_right("VIEW CHANGE TRACKING", database, schema, len(tables), untold, user)


def read_rights(source: Asks, database: str) -> list[tuple[str, str, object, object, object]]:
    """schema, table, may SELECT, tracked, may VIEW CHANGE TRACKING, for each table that the login may see at all."""
    where = bracket(database)
    named = f"N'{where.replace(chr(39), chr(39) * 2)}.' + QUOTENAME(s.name) + N'.' + QUOTENAME(t.name)"
    rows = source.query(
        f"SELECT s.name, t.name, HAS_PERMS_BY_NAME({named}, N'OBJECT', N'SELECT'), "  # noqa: S608 - quoted names only
        f"CASE WHEN c.object_id IS NULL THEN 0 ELSE 1 END, HAS_PERMS_BY_NAME({named}, N'OBJECT', N'VIEW CHANGE TRACKING') "
        f"FROM {where}.sys.tables AS t JOIN {where}.sys.schemas AS s ON s.schema_id = t.schema_id "
        f"LEFT JOIN {where}.sys.change_tracking_tables AS c ON c.object_id = t.object_id "
        f"WHERE t.is_ms_shipped = 0 ORDER BY s.name, t.name"
    )
    return [(str(row[0]), str(row[1]), row[2], row[3], row[4]) for row in rows]


def judge_empty(database: str, user: str) -> CheckResult:
    """A database in which the login sees no table: it has no right there, or there is nothing."""
    values = (("quoted", bracket(database)), ("user", user))
    remedy = "If it has tables, run in {quoted}: GRANT SELECT ON SCHEMA::[dbo] TO {user}"
    return CheckResult(f"rights in {database}", "source", "fail", "The login sees no table there.", remedy, values)


def judge_right(right: str, database: str, schema: str, tables: int, missing: list[SourceTable], user: str) -> CheckResult:
    """One right on one schema. It may have been denied on single tables."""
    name = f"right {right} in {database}.{schema}"
    shown = ", ".join(str(table) for table in missing[:SHOWN]) + (", ..." if len(missing) > SHOWN else "")
    values = (
        ("right", right),
        ("tables", str(tables)),
        ("missing", str(len(missing))),
        ("shown", shown),
        ("quoted", bracket(database)),
        ("schema", bracket(schema)),
        ("user", user),
    )
    if not missing:
        return CheckResult(name, "source", "ok", "Held on all {tables} tables.", values=values)
    remedy = "Run in {quoted}: GRANT {right} ON SCHEMA::{schema} TO {user}, and take back any DENY on these tables."
    return CheckResult(name, "source", "fail", "Missing on {missing} of {tables} tables: {shown}.", remedy, values)


def check_server_state(source: Asks, settings: SourceSettings) -> Iterator[CheckResult]:
    """VIEW SERVER STATE is needed only to see how busy the server is, which --max-load asks for."""
    user = (("user", bracket(address_of(settings).user)),)
    if source.query(SERVER_STATE)[0][0] == 1:
        yield CheckResult("right VIEW SERVER STATE", "source", "ok", "Held.")
    else:
        found = "Missing: --max-load cannot see how busy the server is."
        yield CheckResult(
            "right VIEW SERVER STATE", "source", "warn", found, "Run in master: GRANT VIEW SERVER STATE TO {user}", user
        )


def check_least_rights(source: Asks) -> Iterator[CheckResult]:
    """A login that only reads needs no more than docs/rights.md lists."""
    if source.query(SYSADMIN)[0][0] == 1:
        remedy = "Use a login of its own with the rights of docs/rights.md, so that a mistake cannot change the legacy data."
        yield CheckResult("least rights", "source", "warn", "The login is a member of sysadmin.", remedy)
    else:
        yield CheckResult("least rights", "source", "ok", "The login is no member of sysadmin.")
