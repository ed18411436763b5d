"""The source: version, encryption, databases, snapshot isolation, change tracking, clock. Rights are in source_rights.py."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from etl.assess.inventory import read_databases
from etl.assess.model import DatabaseFacts
from etl.checks.clocks import Skew, judge_skew, measure_skew
from etl.checks.encryption import judge_encryption
from etl.checks.model import CheckResult
from etl.errors import SourceError
from etl.names import bracket
from etl.settings import SourceSettings
from etl.source.address import address_of
from etl.source.catalog import Asks, open_databases

OLDEST: Final = 11
"""SQL Server 2012: the first with OFFSET/FETCH and TRY_CONVERT, and the oldest we are tried against."""

VERSION: Final = (
    "SELECT CONVERT(nvarchar(128), SERVERPROPERTY('ProductVersion')), CONVERT(nvarchar(128), SERVERPROPERTY('Edition')), "
    "CONVERT(nvarchar(128), SERVERPROPERTY('Collation'))"
)
ENCRYPTED: Final = "SELECT encrypt_option FROM sys.dm_exec_connections WHERE session_id = @@SPID"
UTC_NOW: Final = "SELECT SYSUTCDATETIME()"


def check_version(source: Asks) -> Iterator[CheckResult]:
    """2012 or later."""
    version, edition, _ = read_version(source)
    values = (("version", version), ("edition", edition))
    if int(version.split(".")[0]) >= OLDEST:
        yield CheckResult("version", "source", "ok", "SQL Server {version}, {edition}.", values=values)
    else:
        remedy = "membershift reads SQL Server 2012 (11.0) and later: restore a backup on a later server and read that."
        yield CheckResult("version", "source", "fail", "SQL Server {version}, {edition}.", remedy, values)


def read_version(source: Asks) -> tuple[str, str, str]:
    """Product version, edition, server collation."""
    version, edition, collation = source.query(VERSION)[0]
    return str(version or "0"), str(edition or "unknown edition"), str(collation or "")


def check_encryption(source: Asks, settings: SourceSettings) -> Iterator[CheckResult]:
    """Whether what we read can be read by others on the way. The server is asked; where it may not tell, the setting counts."""
    address = address_of(settings)
    try:
        answer = source.query(ENCRYPTED)
        encrypted = bool(answer) and str(answer[0][0]).upper() == "TRUE"
    except SourceError:
        encrypted = address.tls != "off"
    yield judge_encryption("source", encrypted=encrypted, tls=address.tls, host=address.host)


def check_databases(source: Asks, settings: SourceSettings) -> Iterator[CheckResult]:
    """Each database: there, snapshot isolation, change tracking and which tables lack it."""
    names = open_databases(source, settings.databases)
    if not settings.databases:
        values = (("names", ", ".join(names) or "-"),)
        remedy = "Name those to move in [source] databases, so that a database added later is not taken for one of them."
        yield CheckResult(
            "databases", "source", "warn", "None is named in [source] databases; these are open: {names}.", remedy, values
        )
    for facts in read_databases(source, names):
        yield judge_snapshot(facts)
        yield judge_tracking(facts, untracked_tables(source, facts.name) if facts.change_tracking else ())


def judge_snapshot(facts: DatabaseFacts) -> CheckResult:
    """SNAPSHOT isolation gives one instant of a whole database without holding up its writers."""
    name = f"snapshot isolation of {facts.name}"
    values = (("database", facts.name), ("quoted", bracket(facts.name)))
    if facts.snapshot_isolation:
        return CheckResult(name, "source", "ok", "Allowed.", values=values)
    remedy = "Run: ALTER DATABASE {quoted} SET ALLOW_SNAPSHOT_ISOLATION ON (row versions go to tempdb)."
    return CheckResult(
        name,
        "source",
        "warn",
        "Not allowed: tables are read at different instants, and reading holds up writers.",
        remedy,
        values,
    )


def judge_tracking(facts: DatabaseFacts, untracked: Sequence[str]) -> CheckResult:
    """Change Tracking tells what changed since the extract, deletes included."""
    name = f"change tracking of {facts.name}"
    listed = ", ".join(untracked[:10]) + (", ..." if len(untracked) > 10 else "")
    values = (
        ("quoted", bracket(facts.name)),
        ("retention", facts.retention or ""),
        ("tables", listed),
        ("count", str(len(untracked))),
    )
    if not facts.change_tracking:
        remedy = "Run: ALTER DATABASE {quoted} SET CHANGE_TRACKING = ON (CHANGE_RETENTION = 7 DAYS, AUTO_CLEANUP = ON)"
        return CheckResult(
            name, "source", "warn", "Off: later changes are found by slower means, deletes by comparing keys.", remedy, values
        )
    if untracked:
        found = "On, kept for {retention}, but not for {count} tables with a key: {tables}."
        remedy = "For each of them run in {quoted}: ALTER TABLE ... ENABLE CHANGE_TRACKING"
        return CheckResult(name, "source", "warn", found, remedy, values)
    return CheckResult(name, "source", "ok", "On for every table with a key, kept for {retention}.", values=values)


def untracked_tables(source: Asks, database: str) -> tuple[str, ...]:
    """Tables with a primary key (Change Tracking needs one) whose changes are not tracked."""
    where = bracket(database)
    rows = source.query(
        f"SELECT s.name, t.name FROM {where}.sys.tables AS t "  # noqa: S608 - quoted names only
        f"JOIN {where}.sys.schemas AS s ON s.schema_id = t.schema_id "
        f"JOIN {where}.sys.indexes AS i ON i.object_id = t.object_id AND i.is_primary_key = 1 "
        f"LEFT JOIN {where}.sys.change_tracking_tables AS c ON c.object_id = t.object_id "
        f"WHERE c.object_id IS NULL AND t.is_ms_shipped = 0 ORDER BY s.name, t.name"
    )
    return tuple(f"{schema}.{table}" for schema, table in rows)


def source_skew(source: Asks) -> Skew:
    """The source's clock against ours."""

    def ask() -> datetime:
        now = source.query(UTC_NOW)[0][0]
        if not isinstance(now, datetime):
            raise SourceError("The source did not tell its time.", "Check that SELECT SYSUTCDATETIME() works there.")
        return now

    return measure_skew(ask)


def check_clock(skew: Skew) -> Iterator[CheckResult]:
    """The measured skew, judged."""
    yield judge_skew("source", skew)
