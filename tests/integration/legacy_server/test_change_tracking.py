"""Change Tracking: net changes in the order of commits, our own writes told apart, versions that are no longer valid."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.legacy_server.support import ITEM, error_number, new_database, plain, rows, scalar

if TYPE_CHECKING:
    from fixtures.legacy_server.launcher import LegacyServer

ENABLE = "ALTER TABLE dbo.Item ENABLE CHANGE_TRACKING WITH (TRACK_COLUMNS_UPDATED = OFF)"


@pytest.fixture
def tracked(legacy: LegacyServer) -> Iterator[Any]:
    name = new_database(legacy, ITEM, ENABLE, tracking=True)
    with plain(legacy, name) as connection:
        rows(connection, "SET IDENTITY_INSERT dbo.Item ON")
        yield connection


def version(connection: Any) -> int:
    return int(scalar(connection, "SELECT CHANGE_TRACKING_CURRENT_VERSION()"))


def changes(connection: Any, since: int, where: str = "") -> list[tuple[Any, ...]]:
    columns = "c.ItemId, c.SYS_CHANGE_OPERATION, c.SYS_CHANGE_CONTEXT"
    return rows(connection, f"SELECT {columns} FROM CHANGETABLE(CHANGES dbo.Item, {since}) AS c {where} ORDER BY 1")


def test_changes_are_net(tracked: Any) -> None:
    rows(tracked, "INSERT INTO dbo.Item (ItemId, Code) VALUES (1, 'a'), (2, 'b'), (3, 'c')")
    since = version(tracked)
    rows(tracked, "UPDATE dbo.Item SET Sold = 1 WHERE ItemId = 1")
    rows(tracked, "UPDATE dbo.Item SET Sold = 2 WHERE ItemId = 1")
    rows(tracked, "DELETE FROM dbo.Item WHERE ItemId = 2")
    rows(tracked, "INSERT INTO dbo.Item (ItemId, Code) VALUES (4, 'd')")
    rows(tracked, "UPDATE dbo.Item SET Sold = 3 WHERE ItemId = 4")
    assert changes(tracked, since) == [(1, "U", None), (2, "D", None), (4, "I", None)]
    assert [row[:2] for row in changes(tracked, 0)] == [(1, "I"), (2, "D"), (3, "I"), (4, "I")]
    assert changes(tracked, version(tracked)) == []


def test_changes_are_the_same_whether_or_not_what_was_done_is_asked(tracked: Any) -> None:
    """What was done takes sorting of its own, and is left out where nobody asks."""
    rows(tracked, "INSERT INTO dbo.Item (ItemId, Code) VALUES (1, 'a'), (2, 'b')")
    rows(tracked, "UPDATE dbo.Item SET Sold = 1 WHERE ItemId = 1")
    rows(tracked, "DELETE FROM dbo.Item WHERE ItemId = 2")
    source = "FROM CHANGETABLE(CHANGES dbo.Item, 0) AS c ORDER BY ItemId"
    told = rows(tracked, f"SELECT ItemId, SYS_CHANGE_VERSION, SYS_CHANGE_OPERATION {source}")
    assert [row[2] for row in told] == ["I", "D"]
    assert rows(tracked, f"SELECT ItemId, SYS_CHANGE_VERSION {source}") == [row[:2] for row in told]
    assert [row[2] for row in rows(tracked, f"SELECT * {source}")] == ["I", "D"]


def test_a_transaction_has_one_version_given_when_it_commits(legacy: LegacyServer, tracked: Any) -> None:
    before = version(tracked)
    with plain(legacy, scalar(tracked, "SELECT DB_NAME()"), autocommit=False) as other:
        rows(other, "SET IDENTITY_INSERT dbo.Item ON")
        rows(other, "INSERT INTO dbo.Item (ItemId, Code) VALUES (1, 'a')")
        rows(other, "INSERT INTO dbo.Item (ItemId, Code) VALUES (2, 'b')")
        rows(tracked, "INSERT INTO dbo.Item (ItemId, Code) VALUES (3, 'c')")
        assert changes(tracked, before) == [(3, "I", None)]  # nothing of what may yet be undone
        noted = version(tracked)
        other.commit()
    assert [row[0] for row in changes(tracked, noted)] == [1, 2]  # nothing is missed by who noted the version before
    found = rows(tracked, "SELECT DISTINCT SYS_CHANGE_VERSION FROM CHANGETABLE(CHANGES dbo.Item, 0) AS c WHERE c.ItemId < 3")
    assert found == [(noted + 1,)]


def test_what_is_rolled_back_never_happened(tracked: Any) -> None:
    before = version(tracked)
    rows(tracked, "BEGIN TRAN; INSERT INTO dbo.Item (ItemId, Code) VALUES (1, 'a'); ROLLBACK")
    assert error_number(tracked, "INSERT INTO dbo.Item (ItemId, Code) VALUES (2, 'b'), (3, NULL)") == 515
    assert (version(tracked), changes(tracked, 0)) == (before, [])


def test_our_own_writes_carry_a_context(tracked: Any) -> None:
    rows(tracked, "INSERT INTO dbo.Item (ItemId, Code) VALUES (1, 'a'), (2, 'b')")
    since = version(tracked)
    rows(tracked, "WITH CHANGE_TRACKING_CONTEXT (0x6D73) UPDATE dbo.Item SET Sold = 1 WHERE ItemId = 1")
    rows(
        tracked, "DECLARE @who varbinary(128) = 0x6D73; WITH CHANGE_TRACKING_CONTEXT (@who) DELETE FROM dbo.Item WHERE ItemId = 2"
    )
    assert changes(tracked, since) == [(1, "U", b"ms"), (2, "D", b"ms")]
    rows(tracked, "UPDATE dbo.Item SET Sold = 2 WHERE ItemId = 1")  # the context belongs to its statement alone
    foreign = "WHERE c.SYS_CHANGE_CONTEXT IS NULL OR c.SYS_CHANGE_CONTEXT <> 0x6D73"
    assert changes(tracked, since, foreign) == [(1, "U", None)]


def test_a_changed_key_is_a_delete_and_an_insert(legacy: LegacyServer) -> None:
    table = "CREATE TABLE dbo.K (K varchar(5) NOT NULL PRIMARY KEY, V int)"
    name = new_database(legacy, table, "ALTER TABLE dbo.K ENABLE CHANGE_TRACKING", tracking=True)
    with plain(legacy, name) as connection:
        rows(connection, "INSERT INTO dbo.K VALUES ('a', 1)")
        since = version(connection)
        rows(connection, "UPDATE dbo.K SET K = 'b'")
        found = rows(connection, f"SELECT K, SYS_CHANGE_OPERATION FROM CHANGETABLE(CHANGES dbo.K, {since}) AS c ORDER BY K")
    assert found == [("a", "D"), ("b", "I")]


def test_the_version_of_a_row(tracked: Any) -> None:
    rows(tracked, "INSERT INTO dbo.Item (ItemId, Code) VALUES (1, 'a')")
    made = version(tracked)
    rows(tracked, "INSERT INTO dbo.Item (ItemId, Code) VALUES (2, 'b')")
    query = """SELECT i.ItemId, v.SYS_CHANGE_VERSION FROM dbo.Item AS i
               CROSS APPLY CHANGETABLE(VERSION dbo.Item, (ItemId), (i.ItemId)) AS v ORDER BY 1"""
    assert rows(tracked, query) == [(1, made), (2, made + 1)]


def test_what_cannot_be_replayed_any_more_is_told(tracked: Any) -> None:
    oldest = "SELECT CHANGE_TRACKING_MIN_VALID_VERSION(OBJECT_ID('dbo.Item'))"
    rows(tracked, "INSERT INTO dbo.Item (ItemId, Code) VALUES (1, 'a')")
    noted = version(tracked)
    assert scalar(tracked, oldest) <= noted
    rows(tracked, "TRUNCATE TABLE dbo.Item")
    assert scalar(tracked, oldest) > noted
    rows(tracked, "ALTER TABLE dbo.Item DISABLE CHANGE_TRACKING")
    assert scalar(tracked, oldest) is None
    assert error_number(tracked, "SELECT * FROM CHANGETABLE(CHANGES dbo.Item, 0) AS c") == 22105


def test_tracking_needs_a_database_that_tracks_and_a_key(legacy: LegacyServer) -> None:
    with plain(legacy, new_database(legacy, ITEM)) as connection:
        assert error_number(connection, ENABLE) == 22114
        assert scalar(connection, "SELECT CHANGE_TRACKING_CURRENT_VERSION()") is None
    with plain(legacy, new_database(legacy, "CREATE TABLE dbo.Heap (a int)", tracking=True)) as connection:
        assert error_number(connection, "ALTER TABLE dbo.Heap ENABLE CHANGE_TRACKING") == 4997
