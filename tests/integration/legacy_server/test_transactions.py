"""Transactions through both drivers: commit, rollback, savepoints, snapshots, conflicts, rowversions in flight."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pymssql
import pytest

from tests.integration.legacy_server.support import error_number, fast, new_database, plain, rows, scalar

if TYPE_CHECKING:
    from fixtures.legacy_server.launcher import LegacyServer

COUNT = "SELECT COUNT(*) FROM dbo.Item"


@pytest.mark.parametrize("connect", [plain, fast])
def test_commit_keeps_and_rollback_undoes(legacy: LegacyServer, home: str, sql: Any, connect: Any) -> None:
    with connect(legacy, home, autocommit=False) as connection:
        rows(connection, "INSERT INTO dbo.Item (Code) VALUES ('a')")
        assert scalar(sql, COUNT) == 0  # others see what is committed only
        connection.commit()
        rows(connection, "INSERT INTO dbo.Item (Code) VALUES ('b')")
        connection.rollback()
        assert rows(connection, "SELECT Code FROM dbo.Item") == [("a",)]
        rows(connection, "INSERT INTO dbo.Item (Code) VALUES ('c')")
    assert rows(sql, "SELECT Code FROM dbo.Item") == [("a",)]  # a closed connection keeps nothing


def test_nested_begins_and_savepoints(sql: Any) -> None:
    rows(sql, "BEGIN TRAN; BEGIN TRAN; INSERT INTO dbo.Item (Code) VALUES ('a'); COMMIT")
    assert scalar(sql, "SELECT @@TRANCOUNT") == 1
    rows(sql, "SAVE TRANSACTION here; INSERT INTO dbo.Item (Code) VALUES ('b'); ROLLBACK TRANSACTION here; COMMIT")
    assert rows(sql, "SELECT Code, @@TRANCOUNT FROM dbo.Item") == [("a", 0)]


def test_a_snapshot_does_not_see_later_commits(legacy: LegacyServer, home: str, sql: Any) -> None:
    with plain(legacy, home) as reader:
        rows(reader, "SET TRANSACTION ISOLATION LEVEL SNAPSHOT")
        rows(reader, "BEGIN TRAN")
        assert scalar(reader, COUNT) == 0
        rows(sql, "INSERT INTO dbo.Item (Code) VALUES ('later')")
        assert scalar(reader, COUNT) == 0
        rows(reader, "COMMIT")
        assert scalar(reader, COUNT) == 1


def test_a_snapshot_that_writes_what_changed_since_is_3960(legacy: LegacyServer, home: str, sql: Any) -> None:
    rows(sql, "INSERT INTO dbo.Item (Code) VALUES ('a')")
    with plain(legacy, home) as writer:
        rows(writer, "SET TRANSACTION ISOLATION LEVEL SNAPSHOT")
        rows(writer, "BEGIN TRAN")
        assert scalar(writer, "SELECT Sold FROM dbo.Item") == 0
        rows(sql, "UPDATE dbo.Item SET Sold = 1")
        assert error_number(writer, "UPDATE dbo.Item SET Sold = 2") == 3960
    assert scalar(sql, "SELECT Sold FROM dbo.Item") == 1


def test_a_database_may_not_allow_snapshots(legacy: LegacyServer, home: str, sql: Any) -> None:
    closed = new_database(legacy, "CREATE TABLE dbo.T (a int)", "ALTER DATABASE CURRENT SET ALLOW_SNAPSHOT_ISOLATION OFF")
    rows(sql, "SET TRANSACTION ISOLATION LEVEL SNAPSHOT")
    assert error_number(sql, f"SELECT * FROM {closed}.dbo.T") == 3952
    assert rows(sql, f"SELECT snapshot_isolation_state FROM sys.databases WHERE name IN ('{home}', '{closed}') ORDER BY name")


def test_a_transaction_cannot_become_a_snapshot(sql: Any) -> None:
    rows(sql, "BEGIN TRAN")
    rows(sql, "SET TRANSACTION ISOLATION LEVEL SNAPSHOT")
    assert error_number(sql, COUNT) == 3951


def test_a_lock_that_is_not_given_up_is_1222(legacy: LegacyServer, home: str, sql: Any) -> None:
    rows(sql, "INSERT INTO dbo.Item (Code) VALUES ('a')")
    with plain(legacy, home, autocommit=False) as holder:
        rows(holder, "UPDATE dbo.Item SET Sold = 1")
        rows(sql, "SET LOCK_TIMEOUT 0")
        assert error_number(sql, "UPDATE dbo.Item SET Sold = 2") == 1222


def test_updlock_keeps_what_was_read_and_readpast_passes_over_it(legacy: LegacyServer, home: str, sql: Any) -> None:
    rows(sql, "INSERT INTO dbo.Item (Code) VALUES ('a'), ('b')")
    with plain(legacy, home) as holder:
        rows(holder, "BEGIN TRAN")
        assert rows(holder, "SELECT Code FROM dbo.Item WITH (UPDLOCK, ROWLOCK) WHERE Code = 'a'") == [("a",)]
        passed = "SELECT Code FROM dbo.Item WITH (UPDLOCK, ROWLOCK, READPAST) WHERE Code IN ('a', 'b')"
        assert rows(sql, f"BEGIN TRAN; {passed}") == [("b",)]
        rows(sql, "COMMIT; SET LOCK_TIMEOUT 0")
        assert rows(sql, "SELECT Code FROM dbo.Item WHERE Code = 'a'") == [("a",)]  # it may still be read
        assert error_number(sql, "UPDATE dbo.Item SET Sold = 1 WHERE Code = 'a'") == 1222
        rows(holder, "COMMIT")
    rows(sql, "UPDATE dbo.Item SET Sold = 1 WHERE Code = 'a'")


def test_two_hints_of_one_kind_are_refused(sql: Any) -> None:
    """A table takes one hint of granularity, READCOMMITTEDLOCK among them, and one of isolation."""
    for hints in ("ROWLOCK, READCOMMITTEDLOCK", "HOLDLOCK, REPEATABLEREAD"):
        assert error_number(sql, f"SELECT Code FROM dbo.Item WITH (UPDLOCK, {hints})") == 1047
    assert rows(sql, "SELECT Code FROM dbo.Item WITH (UPDLOCK, READPAST, READCOMMITTEDLOCK)") == []
    assert rows(sql, "SELECT Code FROM dbo.Item WITH (UPDLOCK, HOLDLOCK, ROWLOCK)") == []


def test_min_active_rowversion_stays_below_what_is_not_committed(legacy: LegacyServer, home: str, sql: Any) -> None:
    rows(sql, "INSERT INTO dbo.Item (Code) VALUES ('a')")
    with plain(legacy, home, autocommit=False) as writer:
        rows(writer, "INSERT INTO dbo.Item (Code) VALUES ('b')")
        pending = scalar(writer, "SELECT MAX(RowVer) FROM dbo.Item")
        assert scalar(sql, "SELECT MIN_ACTIVE_ROWVERSION()") <= pending
        assert scalar(sql, "SELECT @@DBTS") >= pending
        writer.commit()
    assert scalar(sql, "SELECT MIN_ACTIVE_ROWVERSION()") > pending


def test_every_update_takes_a_new_rowversion(sql: Any) -> None:
    rows(sql, "INSERT INTO dbo.Item (Code) VALUES ('a')")
    before = scalar(sql, "SELECT RowVer FROM dbo.Item")
    rows(sql, "UPDATE dbo.Item SET Sold = Sold")
    after = scalar(sql, "SELECT RowVer FROM dbo.Item")
    assert after > before
    assert scalar(sql, "SELECT CAST(RowVer AS bigint) FROM dbo.Item") == int.from_bytes(after, "big")


def test_ddl_is_refused_where_an_open_transaction_wrote(sql: Any) -> None:
    rows(sql, "BEGIN TRAN; INSERT INTO dbo.Item (Code) VALUES ('a')")
    assert error_number(sql, "CREATE TABLE dbo.Other (a int)") == 226
    rows(sql, "ROLLBACK")


def test_a_killed_session_is_gone(legacy: LegacyServer, home: str, sql: Any) -> None:
    with plain(legacy, home, autocommit=False) as victim:
        rows(victim, "INSERT INTO dbo.Item (Code) VALUES ('a')")
        number = scalar(victim, "SELECT @@SPID")
        assert number in {row[0] for row in rows(sql, "SELECT session_id FROM sys.dm_exec_sessions")}
        rows(sql, f"KILL {number}")
        with pytest.raises(pymssql.OperationalError):
            rows(victim, "SELECT 1")
    # What it wrote goes a moment after it, as on every server.
    deadline = time.monotonic() + 60
    while scalar(sql, "SELECT COUNT(*) FROM dbo.Item WITH (NOLOCK)") and time.monotonic() < deadline:
        time.sleep(0.02)
    assert scalar(sql, "SELECT COUNT(*) FROM dbo.Item WITH (NOLOCK)") == 0
