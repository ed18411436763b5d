"""One connection to SQL Server, through either driver, giving the same rows and the same Arrow columns.

`open_plain` (pymssql) is always there and tells errors by number. `open_fast` (mssql-python) reads bulk rows as Arrow several
times faster but gives only classes of errors; what went wrong is then asked through pymssql (`Explain`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final, Protocol

import pyarrow as pa

from etl.errors import SourceError
from etl.names import bracket
from etl.settings import SourceSettings
from etl.source.address import Address
from etl.source.canonical import batch_from_arrow, batch_from_rows
from etl.source.errors import LOST_NUMBERS, NOT_CONNECTED, ServerError, describe, number_and_text, tells_of_another
from etl.source.refusal import refusal_anew
from etl.source.tls import trusting

Row = tuple[Any, ...]
Explain = Callable[[str], ServerError]

BATCH_ROWS: Final = 16_384
FAST, PLAIN = "mssql-python", "pymssql"
_LONGEST_ANSWER: Final = 0.95
"""A connection lost after this share of query_timeout_s is the client giving up: FreeTDS closes the socket then."""


class Session(Protocol):
    """A connection that one thread uses at a time."""

    driver_name: str

    def query(self, sql: str, params: Sequence[object] = ()) -> list[Row]:
        """All rows of a small query. `params` fill %s (pymssql only)."""

    def execute(self, sql: str) -> None:
        """A statement without rows."""

    def arrow_batches(self, sql: str, schema: pa.Schema | None = None, batch_rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """Rows as they stream in, cast to `schema`; memory is bounded by `batch_rows`."""

    def close(self) -> None:
        """Close at once; an open transaction is rolled back."""


class PlainSession:
    """pymssql. It holds one result at a time, and its rows pass through Python objects."""

    driver_name = PLAIN

    def __init__(self, connection: Any, address: Address, query_timeout_s: float, database: str | None) -> None:
        self._connection = connection
        self._address = address
        self._timeout_s = query_timeout_s
        self._database = database

    def use(self, database: str | None) -> None:
        """Make `database` the current one; None leaves it, for statements that name their tables in full."""
        if database is not None and database != self._database:
            self.execute(f"USE {bracket(database)}")
            self._database = database

    def query(self, sql: str, params: Sequence[object] = ()) -> list[Row]:
        started = time.monotonic()
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(sql, tuple(params)) if params else cursor.execute(sql)
                return [tuple(row) for row in cursor.fetchall()] if cursor.description else []
        except SourceError:
            raise
        except Exception as error:
            raise self._described(error, started) from error

    def execute(self, sql: str) -> None:
        self.query(sql)

    def arrow_batches(self, sql: str, schema: pa.Schema | None = None, batch_rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        started = time.monotonic()
        with self._connection.cursor() as cursor:
            try:
                cursor.execute(sql)
                names = [column[0] for column in cursor.description]
                rows = cursor.fetchmany(batch_rows)
            except Exception as error:
                raise self._described(error, started) from error
            while rows:
                batch = batch_from_rows(rows, names, schema)
                schema = batch.schema
                yield batch
                started = time.monotonic()
                try:
                    rows = cursor.fetchmany(batch_rows)
                except Exception as error:
                    raise self._described(error, started) from error

    def close(self) -> None:
        import pymssql

        with suppress(pymssql.Error):  # already broken: not worth telling
            self._connection.close()

    def _described(self, error: Exception, started: float) -> Exception:
        """The driver's error as ours; anything that is not the driver's is a bug and stays as it is."""
        import pymssql
        from pymssql import _mssql

        if not isinstance(error, (pymssql.Error, _mssql.MSSQLException)):
            return error
        number, text = number_and_text(error)
        waited = time.monotonic() - started
        if number in LOST_NUMBERS and waited >= self._timeout_s * _LONGEST_ANSWER:
            number = 20003
        return describe(number, text, str(self._address))


class FastSession:
    """mssql-python. `explain` is asked for the number behind an error, which this driver does not give."""

    driver_name = FAST

    def __init__(self, connection: Any, explain: Explain) -> None:
        self._connection = connection
        self._explain = explain

    def query(self, sql: str, params: Sequence[object] = ()) -> list[Row]:
        if params:
            raise ValueError("parameters are for the plain driver: the two mark them differently")
        with self._connection.cursor() as cursor:
            try:
                cursor.execute(sql)
                return [tuple(row) for row in cursor.fetchall()] if cursor.description else []
            except Exception as error:
                raise self._described(error, sql) from error

    def execute(self, sql: str) -> None:
        self.query(sql)

    def arrow_batches(self, sql: str, schema: pa.Schema | None = None, batch_rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        with self._connection.cursor() as cursor:
            try:
                cursor.execute(sql)
                reader = cursor.arrow_reader(batch_size=batch_rows)
            except Exception as error:
                raise self._described(error, sql) from error
            try:
                while True:
                    try:
                        batch = next(reader, None)
                    except Exception as error:
                        raise self._described(error, sql) from error
                    if batch is None:
                        return
                    yield batch_from_arrow(batch, schema)
            finally:
                reader.close()

    def close(self) -> None:
        import mssql_python

        with suppress(mssql_python.Error, RuntimeError):  # already broken: not worth telling
            self._connection.close()

    def _described(self, error: Exception, sql: str) -> Exception:
        import mssql_python

        return self._explain(sql) if isinstance(error, mssql_python.Error | RuntimeError) else error


def open_plain(settings: SourceSettings, address: Address, database: str | None = None) -> PlainSession:
    """Connect with pymssql, in autocommit. Raises ServerError."""
    import pymssql

    login_s = max(1, round(settings.connect_timeout_s))
    arguments: dict[str, Any] = {
        "server": address.host,
        "port": str(address.port),
        "user": address.user,
        "password": address.password,
        "database": database or "",
        "timeout": max(1, round(settings.query_timeout_s)),
        "login_timeout": login_s,
        "appname": settings.application_name,
        "autocommit": True,
        "tds_version": "7.4",
        "encryption": "off" if address.tls == "off" else "require",
    }
    with trusting(address):
        try:
            connection = pymssql.connect(**arguments)
        except pymssql.Error as error:
            if tells_of_another(error):
                anew = refusal_anew(arguments, login_s)
                raise describe(*(number_and_text(anew) if anew else (None, "")), str(address)) from error
            number, text = number_and_text(error)
            raise describe(number or NOT_CONNECTED, text, str(address)) from error
    return PlainSession(connection, address, settings.query_timeout_s, database)


def open_fast(settings: SourceSettings, address: Address, database: str | None, explain: Explain) -> FastSession:
    """Connect with mssql-python, in autocommit. Raises ServerError."""
    import mssql_python

    # Its pool would keep connections of snapshot readers, whose state must not reach anybody else.
    mssql_python.pooling(enabled=False)
    options = {
        "Server": f"{address.host},{address.port}",
        "UID": address.user,
        "PWD": address.password,
        "Database": database or "",
        "Encrypt": "no" if address.tls == "off" else "yes",
        "TrustServerCertificate": "no" if address.tls == "verify" else "yes",
        "ConnectRetryCount": "0",
        "PacketSize": "32767",
    }
    text = ";".join(f"{key}={{{value.replace('}', '}}')}}}" for key, value in options.items() if value)
    try:
        with trusting(address):
            connection = mssql_python.connect(text, autocommit=True, timeout=max(1, round(settings.connect_timeout_s)))
        connection.timeout = max(1, round(settings.query_timeout_s))
    except (mssql_python.Error, RuntimeError) as error:
        raise explain("SELECT 1") from error
    session = FastSession(connection, explain)
    # This driver sets its own program name; the DBA finds our sessions by sys.dm_exec_sessions.context_info instead.
    session.execute(f"SET CONTEXT_INFO 0x{settings.application_name.encode()[:128].hex()}")
    return session
