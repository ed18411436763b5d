"""Open connections to the target: an engine for small work and reflection, or a connection for bulk work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from etl.settings import TargetSettings
from etl.target.address import Address, read_address
from etl.target.bulk import BulkConnection
from etl.target.drivers import MysqlclientDriver, PymysqlDriver, driver_errors, driver_name, raw_mysqlclient, raw_pymysql
from etl.target.errors import classify
from etl.target.session import prepare_session

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.engine import ExceptionContext


def connect_bulk(settings: TargetSettings, database: str | None = None) -> BulkConnection:
    """A connection for whole transactions, LOAD DATA and streaming reads, in `database` (None: the business schema, "": none).

    Close it, or use it as a context manager. Raises ServerError; 1049 when the schema is not there yet.
    """
    return BulkConnection(settings, database)


@contextmanager
def open_target(settings: TargetSettings, database: str | None = None) -> Iterator[Engine]:
    """An SQLAlchemy engine on `database` (None or "": none), for small statements and reflection; its pool is closed at the end.

    Whatever goes wrong in it is raised as ServerError. Nothing is connected until it is used.
    """
    from sqlalchemy import create_engine, event

    address = read_address(settings)
    engine = create_engine(
        f"mysql+{'mysqldb' if driver_name(settings) == 'mysqlclient' else 'pymysql'}://{address.where}/{database or ''}",
        creator=lambda: open_session(settings, address, database),
        pool_size=settings.pool_size,
        max_overflow=0,
        pool_pre_ping=True,
        hide_parameters=True,
    )
    event.listen(engine, "handle_error", lambda context: classified(context, address), retval=True)
    try:
        yield engine
    finally:
        engine.dispose()


def open_session(settings: TargetSettings, address: Address, database: str | None) -> Any:
    """A DB-API connection whose session is set up, without LOAD DATA LOCAL, in transaction mode as SQLAlchemy expects it."""
    if driver_name(settings) == "mysqlclient":
        connection = raw_mysqlclient(settings, address, database, local_infile=False)
        prepare_session(MysqlclientDriver(connection, address.where))
    else:
        connection = raw_pymysql(settings, address, database, local_infile=False)
        prepare_session(PymysqlDriver(connection, address.where))
    connection.autocommit(False)
    return connection


def classified(context: ExceptionContext, address: Address) -> BaseException | None:
    """What a driver's exception means, raised in its place; None leaves any other exception, a bug of ours, as it is.

    SQLAlchemy asks whether a table exists by trying, and marks such a try: that error is its own to catch.
    """
    error, execution = context.original_exception, context.execution_context
    is_probe = execution is not None and execution.execution_options.get("skip_user_error_events", False)
    if is_probe or not isinstance(error, driver_errors()):
        return None
    return classify(error, address.where, connecting=context.connection is None)
