"""The two drivers behind one face: mysqlclient (fast, C) and PyMySQL (plain, always there).

Both give typed Python values to `query`, and raw bytes as the server wrote them to `stream`: what a driver does not convert it
cannot damage, and polars converts columns faster than any driver converts values.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from importlib.util import find_spec
from typing import Any, Literal, Protocol

from etl.errors import ConfigurationError
from etl.settings import TargetSettings
from etl.target.address import Address
from etl.target.errors import LOST_CONNECTION, TLS_FAILED, classify, describe

RawRows = Sequence[tuple[bytes | None, ...]]
Params = Sequence[object] | None


class Driver(Protocol):
    """One open connection. Every method raises ServerError."""

    def run(self, sql: str, params: Params = None) -> tuple[int, int]:
        """Execute; return (rows affected, warnings)."""

    def query(self, sql: str, params: Params = None) -> list[tuple[Any, ...]]:
        """All rows of a small result."""

    def stream(self, sql: str, params: Params, slice_rows: int) -> Iterator[RawRows]:
        """The rows of a large result as the server sends them, `slice_rows` at a time, each value as its bytes."""

    def close(self) -> None:
        """Close at once, whatever is under way; never raises."""


def driver_name(settings: TargetSettings) -> Literal["mysqlclient", "pymysql"]:
    """The driver that [target] driver stands for here. Raises ConfigurationError when "fast" is asked for and not installed."""
    if settings.driver != "plain" and find_spec("MySQLdb") is not None:
        return "mysqlclient"
    if settings.driver == "fast":
        raise ConfigurationError(
            '[target] driver = "fast" needs mysqlclient, which is not installed.',
            'Install the extra "fast" (pip install "membershift[fast]"), or set driver = "auto".',
        )
    return "pymysql"


def driver_errors() -> tuple[type[Exception], ...]:
    """What the installed drivers raise."""
    import pymysql

    # PyMySQL lets errors of the socket through at times.
    found: tuple[type[Exception], ...] = (pymysql.MySQLError, OSError)
    if find_spec("MySQLdb") is None:
        return found
    import MySQLdb

    return (*found, MySQLdb.Error)


def connect_driver(settings: TargetSettings, address: Address, database: str | None, *, local_infile: bool) -> Driver:
    """Open one connection. Raises ServerError."""
    if driver_name(settings) == "mysqlclient":
        connection = raw_mysqlclient(settings, address, database, local_infile=local_infile)
        return MysqlclientDriver(connection, address.where, tag_of(settings))
    return PymysqlDriver(raw_pymysql(settings, address, database, local_infile=local_infile), address.where, tag_of(settings))


def tag_of(settings: TargetSettings) -> str:
    """The program's name as a comment before every statement: mysqlclient cannot give it when connecting, and a DBA who looks
    at SHOW PROCESSLIST or the slow log shall see who is at work.

    >>> tag_of(TargetSettings.model_validate({"url": "mysql://h", "application_name": "shift */ 100%"}))
    '/* shift 100 */ '
    """
    words = re.findall(r"[\w.:-]+", settings.application_name)
    return f"/* {' '.join(words)} */ "


def raw_mysqlclient(settings: TargetSettings, address: Address, database: str | None, *, local_infile: bool) -> Any:
    """A DB-API connection of mysqlclient in autocommit mode. Raises its own errors, and ServerError for TLS that failed."""
    import MySQLdb

    modes = {"verify": "VERIFY_IDENTITY", "trust": "REQUIRED", "off": "DISABLED"}
    options: dict[str, Any] = {"ssl": {"ca": address.ca}} if address.tls == "verify" and address.ca else {}
    connection = MySQLdb.connect(
        host=address.host,
        port=address.port,
        user=address.user,
        password=address.password,
        database=database or "",
        charset="utf8mb4",
        autocommit=True,
        multi_statements=False,
        local_infile=local_infile,
        connect_timeout=max(1, round(settings.connect_timeout_s)),
        read_timeout=max(1, round(settings.query_timeout_s)),
        write_timeout=max(1, round(settings.query_timeout_s)),
        ssl_mode=modes[address.tls],
        **options,
    )
    if address.tls != "off":
        refuse_plain_text(connection, address)
    return connection


def refuse_plain_text(connection: Any, address: Address) -> None:
    """MariaDB's C client goes on in plain text when a server offers no TLS and only REQUIRED was asked for."""
    with closing(connection.cursor()) as cursor:
        cursor.execute("SHOW STATUS LIKE 'Ssl_cipher'")
        row = cursor.fetchone()
    if not (row and row[1]):
        connection.close()
        raise describe(TLS_FAILED, where=address.where, connecting=True)


def raw_pymysql(settings: TargetSettings, address: Address, database: str | None, *, local_infile: bool) -> Any:
    """A DB-API connection of PyMySQL in autocommit mode. Raises its own errors."""
    import pymysql

    context = tls_context(address)
    return pymysql.connect(
        host=address.host,
        port=address.port,
        user=address.user,
        password=address.password,
        database=database,
        charset="utf8mb4",
        autocommit=True,
        local_infile=local_infile,
        connect_timeout=settings.connect_timeout_s,
        read_timeout=settings.query_timeout_s,
        write_timeout=settings.query_timeout_s,
        program_name=settings.application_name,
        ssl=context,
        ssl_disabled=context is None,
    )


def tls_context(address: Address) -> ssl.SSLContext | None:
    """How Python shall check the server, None for plain text."""
    if address.tls == "off":
        return None
    context = ssl.create_default_context(cafile=address.ca)
    if address.tls == "trust":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class MysqlclientDriver:
    """mysqlclient; its C code releases the interpreter while it waits for the server, so that threads overlap."""

    def __init__(self, connection: Any, where: str, tag: str = "") -> None:
        self._connection, self._where, self._tag = connection, where, tag

    def run(self, sql: str, params: Params = None) -> tuple[int, int]:
        with self._classified(), closing(self._connection.cursor()) as cursor:
            cursor.execute(self._tag + sql, params)
            return max(cursor.rowcount, 0), self._connection.warning_count()

    def query(self, sql: str, params: Params = None) -> list[tuple[Any, ...]]:
        with self._classified(), closing(self._connection.cursor()) as cursor:
            cursor.execute(self._tag + sql, params)
            return list(cursor.fetchall())

    def stream(self, sql: str, params: Params, slice_rows: int) -> Iterator[RawRows]:
        with self._classified():
            with closing(self._connection.cursor()) as cursor:
                statement = cursor.mogrify(self._tag + sql, params)
            result = self._unconverted(statement)
            while rows := result.fetch_row(maxrows=slice_rows, how=0):
                yield rows

    def close(self) -> None:
        with suppress(*driver_errors()):
            self._connection.close()

    def _unconverted(self, sql: str) -> Any:
        """Begin a streaming result whose values stay bytes: a result takes the converters its connection has at that moment."""
        converters = self._connection.converter
        self._connection.converter = {}
        try:
            self._connection.query(sql)
            return self._connection.use_result()
        finally:
            self._connection.converter = converters

    @contextmanager
    def _classified(self) -> Iterator[None]:
        try:
            yield
        except driver_errors() as error:
            raise classify(error, self._where) from None


class PymysqlDriver:
    """PyMySQL, pure Python: slower, and needs nothing but Python."""

    def __init__(self, connection: Any, where: str, tag: str = "") -> None:
        self._connection, self._where, self._tag = connection, where, tag

    def run(self, sql: str, params: Params = None) -> tuple[int, int]:
        with self._classified(), self._connection.cursor() as cursor:
            return max(cursor.execute(self._tag + sql, params), 0), cursor.warning_count

    def query(self, sql: str, params: Params = None) -> list[tuple[Any, ...]]:
        with self._classified(), self._connection.cursor() as cursor:
            cursor.execute(self._tag + sql, params)
            return list(cursor.fetchall())

    def stream(self, sql: str, params: Params, slice_rows: int) -> Iterator[RawRows]:
        with self._classified():
            with self._connection.cursor() as renderer:
                statement = renderer.mogrify(self._tag + sql, params)
            cursor = self._unconverted(statement)
            while rows := cursor.fetchmany(slice_rows):
                yield rows
            cursor.close()

    def close(self) -> None:
        result, self._connection._result = self._connection._result, None
        if result is not None:
            result.unbuffered_active = False  # else it tries to read what is left of itself when it is collected
        self._connection._force_close()

    def _unconverted(self, sql: str) -> Any:
        """Begin a streaming result whose values stay bytes: a result asks its connection for decoders when it begins."""
        from pymysql.cursors import SSCursor

        connection = self._connection
        decoders, unicode = connection.decoders, connection.use_unicode
        connection.decoders, connection.use_unicode = {}, False
        try:
            cursor = SSCursor(connection)
            cursor.execute(sql)
            return cursor
        finally:
            connection.decoders, connection.use_unicode = decoders, unicode

    @contextmanager
    def _classified(self) -> Iterator[None]:
        try:
            yield
        except driver_errors() as error:
            raise classify(error, self._where) from None
        except AttributeError:
            # Cut off in the middle of a LOAD DATA, it stumbles over the socket that it has closed itself.
            if self._connection.open:
                raise
            raise describe(LOST_CONNECTION, where=self._where) from None
