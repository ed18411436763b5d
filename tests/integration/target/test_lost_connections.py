"""A target that goes away: nothing is half done, nothing is done twice, and work goes on when it is back."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from pydantic import SecretStr

from etl.progress import Silent
from etl.settings import TargetSettings
from etl.target.bulk import BulkConnection
from etl.target.connect import connect_bulk
from etl.target.errors import ServerError
from etl.target.retry import with_retries
from fixtures.target import TargetServer, kill_target, remove_target, start_target
from tests.integration.target.wire import Wire, open_wire

LATEST_S = 60.0
"""Nothing that is waited for here takes so long on the busiest machine."""


def end_connection(bulk: BulkConnection) -> None:
    """Have the server close the connection of `bulk`, as a restart or a firewall would."""
    number = bulk.scalar("SELECT CONNECTION_ID()")
    with connect_bulk(bulk.settings) as other:
        other.execute(f"KILL {number}")
        deadline = time.monotonic() + LATEST_S
        while other.scalar(f"SELECT COUNT(*) FROM information_schema.processlist WHERE id = {number}"):
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.fixture
def counted(bulk: BulkConnection) -> BulkConnection:
    bulk.execute("CREATE TABLE counted (a INT PRIMARY KEY)")
    return bulk


def test_an_idle_connection_is_made_again(counted: BulkConnection) -> None:
    end_connection(counted)

    with counted.transaction():
        counted.execute("INSERT INTO counted VALUES (1)")

    assert counted.query("SELECT a FROM counted") == [(1,)]


def test_a_transaction_is_never_continued_on_another_connection(counted: BulkConnection) -> None:
    counted.begin()
    counted.execute("INSERT INTO counted VALUES (1)")
    end_connection(counted)

    for _ in range(2):
        with pytest.raises(ServerError) as caught:
            counted.execute("INSERT INTO counted VALUES (2)")
        assert caught.value.lost
    with pytest.raises(ServerError):
        counted.commit()
    counted.rollback()

    assert counted.query("SELECT a FROM counted") == []


def test_a_lost_transaction_is_done_again_from_its_start(counted: BulkConnection) -> None:
    tries = []

    def work() -> None:
        with counted.transaction():
            counted.execute("INSERT INTO counted VALUES (1)")
            tries.append(1)
            if len(tries) == 1:
                end_connection(counted)
            counted.load_rows("counted", ["a"], pl.DataFrame({"a": [2, 3]}))

    with_retries(work, retries=2)

    assert len(tries) == 2
    assert counted.query("SELECT a FROM counted ORDER BY a") == [(1,), (2,), (3,)]


def test_a_failed_block_is_rolled_back(counted: BulkConnection) -> None:
    def work() -> None:
        with counted.transaction():
            counted.execute("INSERT INTO counted VALUES (1)")
            raise KeyError("x")

    with pytest.raises(KeyError):
        work()

    assert counted.query("SELECT a FROM counted") == []


def test_two_that_meet_are_told_apart_from_what_is_wrong(counted: BulkConnection) -> None:
    """A lock that is not let go: error 1205, which is tried again."""
    counted.execute("INSERT INTO counted VALUES (1)")
    with connect_bulk(counted.settings) as other:
        other.execute("SET SESSION innodb_lock_wait_timeout = 1")
        counted.begin()
        counted.query("SELECT a FROM counted WHERE a = 1 FOR UPDATE")
        other.begin()
        with pytest.raises(ServerError) as caught:
            other.query("SELECT a FROM counted WHERE a = 1 FOR UPDATE")
        other.rollback()
        counted.rollback()

    assert caught.value.number == 1205
    assert caught.value.transient


def test_leaving_a_stream_early_costs_the_connection_and_nothing_else(counted: BulkConnection) -> None:
    with counted.transaction():
        counted.load_rows("counted", ["a"], pl.DataFrame({"a": range(30_000)}))
    stream = counted.read_frame("SELECT a FROM counted", {"a": pl.Int64()}, batch_rows=1_000)
    assert next(stream).height == 1_000
    with pytest.raises(RuntimeError):
        counted.query("SELECT 1")
    stream.close()  # type: ignore[attr-defined]  # a generator, which an Iterator need not be

    assert counted.scalar("SELECT COUNT(*) FROM counted") == 30_000


@pytest.fixture
def wire(target_server: TargetServer) -> Iterator[Wire]:
    """A wire to the target that can be cut."""
    with open_wire(target_server.host, target_server.port) as opened:
        yield opened


@pytest.fixture
def over_wire(by_driver: TargetSettings, target_server: TargetServer, wire: Wire) -> Iterator[BulkConnection]:
    """A connection through `wire`, with a table `counted`."""
    url = SecretStr(target_server.url.replace(f":{target_server.port}", f":{wire.port}"))
    with connect_bulk(by_driver.model_copy(update={"url": url})) as connection:
        connection.execute("CREATE TABLE counted (a INT PRIMARY KEY)")
        yield connection


def test_a_stream_that_is_cut_is_an_error_not_a_short_result(over_wire: BulkConnection, wire: Wire) -> None:
    with over_wire.transaction():
        over_wire.load_rows("counted", ["a"], pl.DataFrame({"a": range(300_000)}))
    wire.cut_after_answer = 500_000  # of more than 2,000,000 bytes
    frames = over_wire.read_frame("SELECT a FROM counted", {"a": pl.Int64()}, batch_rows=2_000)
    read: list[int] = []
    with pytest.raises(ServerError) as caught:
        read.extend(frame.height for frame in frames)

    assert caught.value.lost
    assert 0 < sum(read) < 300_000
    assert over_wire.scalar("SELECT COUNT(*) FROM counted") == 300_000


@pytest.mark.parametrize("cut_after", [100, 20_000, 200_000])
def test_a_network_cut_within_a_load_leaves_nothing_and_is_done_again(
    over_wire: BulkConnection, wire: Wire, cut_after: int
) -> None:
    frame = pl.DataFrame({"a": range(100_000)})
    seen = []

    def load() -> None:
        with over_wire.transaction():
            seen.append(over_wire.scalar("SELECT COUNT(*) FROM counted"))
            if len(seen) == 1:
                wire.cut_after = cut_after
            over_wire.load_rows("counted", ["a"], frame)

    with_retries(load, retries=3)

    assert seen == [0, 0]
    assert over_wire.scalar("SELECT COUNT(*) FROM counted") == 100_000


def test_a_server_that_falls_silent_is_given_up(by_driver: TargetSettings) -> None:
    settings = by_driver.model_copy(update={"query_timeout_s": 3})
    with connect_bulk(settings) as connection, pytest.raises(ServerError) as caught:
        connection.query(f"SELECT SLEEP({LATEST_S})")  # which would end without an error

    assert caught.value.lost


class Notes(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


@pytest.fixture
def private(tmp_path: Path) -> Iterator[TargetServer]:
    """A target that this test may kill."""
    yield start_target(tmp_path)
    remove_target(tmp_path)


def test_a_killed_and_restarted_target_is_ridden_out(private: TargetServer) -> None:
    """Rows loaded in twenty transactions while the server is killed in the middle: each is there once."""
    settings = TargetSettings(url=SecretStr(private.url), schema="test")
    with connect_bulk(settings, "") as connection:
        connection.execute("CREATE DATABASE IF NOT EXISTS test")
    notes, killed = Notes(), threading.Event()

    def kill_and_restart() -> None:
        try:
            kill_target(private.folder)
        finally:
            killed.set()
        time.sleep(1)
        start_target(private.folder)

    with connect_bulk(settings) as connection:
        connection.execute("CREATE TABLE counted (a INT PRIMARY KEY)")
        connection.execute("CREATE TABLE done (batch INT PRIMARY KEY)")
        killer = threading.Thread(target=kill_and_restart)

        def load(batch: int) -> None:
            with connection.transaction():
                if connection.query("SELECT batch FROM done WHERE batch = %s", (batch,)):
                    return
                connection.load_rows("counted", ["a"], pl.DataFrame({"a": range(batch * 1000, batch * 1000 + 1000)}))
                connection.execute("INSERT INTO done VALUES (%s)", (batch,))
                if batch == 10 and not killed.is_set():
                    killer.start()
                    killed.wait()

        for batch in range(20):
            with_retries(lambda batch=batch: load(batch), retries=5, progress=notes)  # type: ignore[misc]  # a bound default
        killer.join()

        assert connection.scalar("SELECT COUNT(*) FROM counted") == 20_000
        assert connection.scalar("SELECT COUNT(*) FROM done") == 20
    assert any("2013" in note or "2006" in note for note in notes.notes)
