"""Connections to the legacy server through both drivers, and databases of a test's own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import mssql_python
import pymssql

if TYPE_CHECKING:
    from fixtures.legacy_server.launcher import LegacyServer

numbers = itertools.count(1)

ITEM = """
CREATE TABLE dbo.Item (
    ItemId int IDENTITY(1,1) NOT NULL CONSTRAINT PK_Item PRIMARY KEY CLUSTERED,
    Code varchar(10) NOT NULL CONSTRAINT UQ_Item_Code UNIQUE,
    Name nvarchar(20) NULL,
    Price money NOT NULL DEFAULT (0),
    Sold int NOT NULL DEFAULT (0),
    Kind char(3) NULL,
    Total AS (Price * Sold) PERSISTED,
    ChangedAt datetime NOT NULL DEFAULT (getdate()),
    RowVer rowversion NOT NULL
)
"""


@contextmanager
def plain(
    server: LegacyServer, database: str = "master", *, user: str = "sa", autocommit: bool = True, **more: Any
) -> Iterator[pymssql.Connection]:
    """A pymssql connection."""
    connection = pymssql.connect(
        server=server.host,
        port=str(server.port),
        user=user,
        password=more.pop("password", server.password),
        database=database,
        autocommit=autocommit,
        **more,
    )
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def fast(
    server: LegacyServer,
    database: str = "master",
    *,
    user: str = "sa",
    password: str | None = None,
    autocommit: bool = True,
    encrypt: str = "no",
) -> Iterator[mssql_python.Connection]:
    """An mssql-python connection, not from a pool."""
    mssql_python.pooling(enabled=False)
    who = f"UID={user};PWD={{{password or server.password}}};Database={database}"
    text = f"Server={server.host},{server.port};{who};Encrypt={encrypt};TrustServerCertificate=yes"
    connection = mssql_python.connect(text, autocommit=autocommit)
    try:
        yield connection
    finally:
        connection.close()


def rows(connection: Any, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """Run one statement; its rows, or none."""
    cursor = connection.cursor()
    try:
        cursor.execute(sql, *parameters)
        return [tuple(row) for row in cursor.fetchall()] if cursor.description else []
    finally:
        cursor.close()


def scalar(connection: Any, sql: str, *parameters: Any) -> Any:
    return rows(connection, sql, *parameters)[0][0]


def error_number(connection: pymssql.Connection, sql: str) -> int:
    """The number of the error that `sql` ends in; 0 without one. pymssql tells numbers, mssql-python does not."""
    cursor = connection.cursor()
    try:
        cursor.execute(sql)
        if cursor.description:
            cursor.fetchall()
    except pymssql.Error as error:
        return int(error.args[0])
    finally:
        cursor.close()
    return 0


def new_database(server: LegacyServer, *statements: str, tracking: bool = False) -> str:
    """A database that no other test uses, with snapshot isolation allowed, after `statements`."""
    name = f"own{next(numbers)}"
    with plain(server) as connection:
        rows(connection, f"CREATE DATABASE {name} COLLATE Chinese_PRC_CI_AS")
        rows(connection, f"ALTER DATABASE {name} SET ALLOW_SNAPSHOT_ISOLATION ON")
        if tracking:
            rows(connection, f"ALTER DATABASE {name} SET CHANGE_TRACKING = ON (CHANGE_RETENTION = 2 DAYS)")
        rows(connection, f"USE {name}")
        for statement in statements:
            rows(connection, statement)
    return name
