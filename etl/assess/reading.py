"""One connection for all reading, and for each table an instant of its own.

A transaction over the whole assessment would make the server keep every row version of its hours; one for each table does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from etl.source.connect import Source
from etl.source.session import Session


@contextmanager
def one_connection(source: Source) -> Iterator[Session]:
    """A bulk connection, closed at the end. Raises ServerError."""
    session = source.retrying(source.open_bulk)
    try:
        yield session
    finally:
        session.close()


@contextmanager
def one_instant(session: Session, *, snapshot: bool) -> Iterator[Session]:
    """The session while it reads one table: under SNAPSHOT where that is allowed, else READ COMMITTED.

    The level has to be set before the transaction begins (error 3951 otherwise). After a failure the connection is given up, and
    the server undoes what it began.
    """
    session.execute(f"SET TRANSACTION ISOLATION LEVEL {'SNAPSHOT' if snapshot else 'READ COMMITTED'}")
    if snapshot:
        session.execute("BEGIN TRAN")
    yield session
    if snapshot:
        session.execute("COMMIT TRAN")
