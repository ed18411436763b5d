"""A target that says no: one clear message with a remedy, and no secret in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import polars as pl
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from etl.settings import TargetSettings
from etl.target.bulk import BulkConnection
from etl.target.connect import connect_bulk, open_target
from etl.target.errors import ServerError
from fixtures.processes import free_port
from fixtures.target import TargetServer


def refused(settings: TargetSettings, database: str | None = "") -> ServerError:
    """The error of connecting by a bulk connection, which must be that of the engine too."""
    with pytest.raises(ServerError) as bulk_error:
        connect_bulk(settings, database).close()
    schema = settings.schema_name if database is None else database
    with open_target(settings, schema) as engine, pytest.raises(ServerError) as engine_error:
        engine.connect().close()
    assert engine_error.value.number == bulk_error.value.number
    assert engine_error.value.connecting
    assert bulk_error.value.connecting
    return bulk_error.value


def url_of(server: TargetServer, **changes: object) -> SecretStr:
    parts = {"user": server.user, "password": server.password, "port": server.port} | changes
    return SecretStr(f"mysql://{parts['user']}:{parts['password']}@{server.host}:{parts['port']}")


def test_a_wrong_password(by_driver: TargetSettings, target_server: TargetServer) -> None:
    error = refused(by_driver.model_copy(update={"url": url_of(target_server, password="wrong-one")}))

    assert error.number == 1045
    assert "[target] url" in error.remedy
    assert "wrong-one" not in error.message + error.remedy + repr(error)


def test_a_schema_that_is_not_there(by_driver: TargetSettings) -> None:
    error = refused(by_driver.model_copy(update={"schema_name": "not_there"}), None)

    assert error.number == 1049
    assert "schema up --execute" in error.remedy


def test_nobody_listens(by_driver: TargetSettings, target_server: TargetServer) -> None:
    error = refused(by_driver.model_copy(update={"url": url_of(target_server, port=free_port())}))

    assert error.lost
    assert "cannot be reached" in error.message


def test_tls_asked_of_a_server_that_has_none(by_driver: TargetSettings) -> None:
    """MariaDB's C client would go on in plain text for "trust" and give the password away to whoever listens."""
    for tls in ("verify", "trust"):
        assert refused(by_driver.model_copy(update={"tls": tls})).number == 2026


@pytest.fixture
def poor(by_driver: TargetSettings, target_server: TargetServer) -> Iterator[TargetSettings]:
    """An account that may read one table of the business schema, and nothing else."""
    with connect_bulk(by_driver) as admin:
        admin.execute("CREATE TABLE seen (a INT)")
        admin.execute("CREATE TABLE unseen (a INT)")
        admin.execute("CREATE USER 'poor'@'%' IDENTIFIED BY 'poor-secret'")
        admin.execute(f"GRANT SELECT ON {admin.quoted('seen')} TO 'poor'@'%'")
        yield by_driver.model_copy(update={"url": url_of(target_server, user="poor", password="poor-secret")})
        admin.execute("DROP USER 'poor'@'%'")


def test_rights_that_are_missing(poor: TargetSettings) -> None:
    with connect_bulk(poor) as connection:
        numbers = []
        for statement in (
            "SELECT * FROM unseen",
            "INSERT INTO seen VALUES (1)",
            "CREATE DATABASE mine",
            "SET GLOBAL local_infile = 0",
        ):
            with pytest.raises(ServerError) as caught:
                connection.execute(statement)
            numbers.append(caught.value.number)
            assert "docs/rights.md" in caught.value.remedy
        assert numbers == [1142, 1142, 1044, 1227]
        assert connection.query("SELECT * FROM seen") == []


def test_local_infile_switched_off(bulk: BulkConnection) -> None:
    if bulk.is_tidb:
        pytest.skip("TiDB 8.5 shows local_infile and ignores it")
    bulk.execute("CREATE TABLE t (a INT)")
    bulk.execute("SET GLOBAL local_infile = 0")
    try:
        with closing(connect_bulk(bulk.settings)) as connection:
            connection.begin()
            with pytest.raises(ServerError) as caught:
                connection.load_rows("t", ["a"], pl.DataFrame({"a": [1]}))
            assert "SET GLOBAL local_infile = 1" in caught.value.remedy
            connection.rollback()
            assert connection.scalar("SELECT COUNT(*) FROM t") == 0
    finally:
        bulk.execute("SET GLOBAL local_infile = 1")


def test_the_engine_cannot_be_made_to_send_files(by_driver: TargetSettings) -> None:
    """Small work never loads files, so a server in the wrong hands shall not be able to ask for one."""
    with connect_bulk(by_driver) as bulk:
        bulk.execute("CREATE TABLE t (a VARCHAR(200))")
    with open_target(by_driver, by_driver.schema_name) as engine, engine.connect() as connection:
        with pytest.raises(Exception) as caught:  # noqa: PT011 - one driver refuses by itself, the other is refused by the server
            connection.execute(text("LOAD DATA LOCAL INFILE '/etc/hostname' INTO TABLE t"))
        assert not isinstance(caught.value, AssertionError)
        connection.rollback()
    with connect_bulk(by_driver) as bulk:
        assert bulk.scalar("SELECT COUNT(*) FROM t") == 0


def test_an_error_of_the_engine_shows_no_value(by_driver: TargetSettings) -> None:
    with open_target(by_driver, by_driver.schema_name) as engine, engine.begin() as connection:
        connection.execute(text("CREATE TABLE t (phone VARCHAR(20) PRIMARY KEY)"))
        connection.execute(text("INSERT INTO t VALUES (:phone)"), {"phone": "13912345678"})
        with pytest.raises(ServerError) as caught:
            connection.execute(text("INSERT INTO t VALUES (:phone)"), {"phone": "13912345678"})
        assert caught.value.number == 1062
        assert "139" not in caught.value.message
