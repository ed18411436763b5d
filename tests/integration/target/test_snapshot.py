"""Several connections, one instant; and what the target says of itself."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from etl.settings import TargetSettings
from etl.target.capabilities import read_capabilities
from etl.target.columns import read_target_columns
from etl.target.connect import connect_bulk
from etl.target.snapshot import consistent_snapshot


@pytest.fixture
def accounts(target: TargetSettings) -> TargetSettings:
    """Two accounts whose balances always sum to 100."""
    with connect_bulk(target) as connection:
        connection.execute("CREATE TABLE account (id INT PRIMARY KEY, balance INT NOT NULL)")
        connection.execute("INSERT INTO account VALUES (1, 100), (2, 0)")
    return target


def test_a_snapshot_sees_what_was_committed_and_not_what_comes_after(accounts: TargetSettings) -> None:
    with connect_bulk(accounts) as writer, consistent_snapshot(accounts, 2) as snapshot:
        writer.execute("UPDATE account SET balance = 7")

        for reader in snapshot.connections:
            assert reader.query("SELECT balance FROM account ORDER BY id") == [(100,), (0,)]
            frames = list(reader.read_frame("SELECT id, balance FROM account", {"id": pl.Int32(), "balance": pl.Int32()}))
            assert pl.concat(frames)["balance"].sum() == 100
        assert abs(snapshot.taken_at - datetime.now(UTC)) < timedelta(seconds=60)


def test_the_last_commit_before_is_always_seen(accounts: TargetSettings) -> None:
    with connect_bulk(accounts) as writer:
        for number in range(20):
            writer.execute("UPDATE account SET balance = %s WHERE id = 1", (number,))
            with consistent_snapshot(accounts, 1) as snapshot:
                assert snapshot.connections[0].scalar("SELECT balance FROM account WHERE id = 1") == number


@pytest.mark.tidb
def test_all_connections_see_one_instant_while_money_moves(accounts: TargetSettings) -> None:
    stop = threading.Event()

    def move() -> None:
        with connect_bulk(accounts) as writer:
            while not stop.is_set():
                with writer.transaction():
                    writer.execute("UPDATE account SET balance = balance - 1 WHERE id = 1")
                    writer.execute("UPDATE account SET balance = balance + 1 WHERE id = 2")

    mover = threading.Thread(target=move)
    mover.start()
    try:
        for _ in range(10):
            with consistent_snapshot(accounts, 2) as snapshot:
                assert snapshot.exact
                first, second = snapshot.connections
                one = first.scalar("SELECT balance FROM account WHERE id = 1")
                assert one + second.scalar("SELECT balance FROM account WHERE id = 2") == 100
    finally:
        stop.set()
        mover.join()


def test_a_target_without_shared_snapshots_says_so(accounts: TargetSettings) -> None:
    with consistent_snapshot(accounts, 2) as snapshot:
        assert snapshot.exact == snapshot.connections[0].is_tidb
        assert (snapshot.note is None) == snapshot.exact


def test_a_dba_sees_who_is_at_work(target: TargetSettings) -> None:
    for driver in ("auto", "plain"):
        settings = target.model_copy(update={"driver": driver, "application_name": "shop-move"})
        with connect_bulk(settings) as connection:
            shown = connection.scalar("SELECT info FROM information_schema.processlist WHERE id = CONNECTION_ID()")
        assert str(shown).startswith("/* shop-move */ SELECT")


def test_capabilities_are_those_of_the_server(target: TargetSettings) -> None:
    with connect_bulk(target) as connection:
        found = read_capabilities(connection)

    assert found.is_tidb == connection.is_tidb == found.as_of == found.auto_random
    assert found.version >= ((6, 5, 0) if found.is_tidb else (10, 5, 0))
    assert found.local_infile
    assert found.max_packet >= 1024 * 1024


def test_columns_are_described_alike_by_both_servers(target: TargetSettings) -> None:
    with connect_bulk(target) as connection:
        connection.execute(
            "CREATE TABLE t (a BIGINT NOT NULL, b TINYINT UNSIGNED, c DECIMAL(19,4) NOT NULL DEFAULT 0, d VARCHAR(40), e CHAR(1),"
            " f TEXT, g DATETIME(6), h DATE, i VARBINARY(9), j DOUBLE, k FLOAT, l TIME(3), m INT AS (a + 1),"
            " PRIMARY KEY (a)) DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin"
        )
        columns = {column.name: column for column in read_target_columns(connection, target.schema_name)["t"]}

    seen = {
        name: (found.kind, found.length, found.precision, found.scale, found.nullable, found.type_name)
        for name, found in columns.items()
    }
    assert seen == {
        "a": ("integer", None, 64, None, False, "bigint"),
        "b": ("integer", None, 8, None, True, "tinyint unsigned"),
        "c": ("decimal", None, 19, 4, False, "decimal(19,4)"),
        "d": ("text", 40, None, None, True, "varchar(40)"),
        "e": ("text", 1, None, None, True, "char(1)"),
        "f": ("text", 65535, None, None, True, "text"),
        "g": ("datetime", None, None, 6, True, "datetime(6)"),
        "h": ("date", None, None, None, True, "date"),
        "i": ("binary", 9, None, None, True, "varbinary(9)"),
        "j": ("float", None, 64, None, True, "double"),
        "k": ("float", None, 32, None, True, "float"),
        "l": ("time", None, None, 3, True, "time(3)"),
        "m": ("integer", None, 32, None, True, "int"),
    }
    assert columns["f"].bytes_limit == 65_535
    assert [name for name, found in columns.items() if found.has_default] == ["c"]
    assert [name for name, found in columns.items() if found.generated] == ["m"]
