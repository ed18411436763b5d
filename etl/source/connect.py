"""The source as everything else sees it: small queries, bulk reads as Arrow, and snapshots."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Final, TypeVar

import pyarrow as pa

from etl.errors import ConfigurationError, SourceError
from etl.progress import Progress, Silent
from etl.settings import SourceSettings
from etl.source.address import Address, address_of
from etl.source.errors import NO_TRANSACTION, ServerError, describe
from etl.source.session import BATCH_ROWS, FAST, PLAIN, PlainSession, Session, open_fast, open_plain
from etl.source.tls import check_reachable

T = TypeVar("T")
Row = tuple[Any, ...]

_FIRST_PAUSE_S: Final = 0.2
_LONGEST_PAUSE_S: Final = 10.0
_IDLE_S: Final = 60.0
"""A bulk connection that was idle for longer is not used again: a firewall may have forgotten it, and say nothing."""

_LET_GO: Final = "IF @@TRANCOUNT > 0 ROLLBACK TRAN; SET TRANSACTION ISOLATION LEVEL READ COMMITTED"
_SNAPSHOT_STATES: Final = "SELECT name, snapshot_isolation_state FROM sys.databases"


@dataclass(frozen=True)
class Snapshot:
    """A connection that reads one database. `consistent`: all its reads see one instant; else each sees what is committed."""

    session: Session
    consistent: bool

    @property
    def isolation(self) -> str:
        """Name of the isolation level in force."""
        return "snapshot" if self.consistent else "read committed"

    def renew(self) -> None:
        """Let go of the instant and take a later one, that of the next read."""
        if self.consistent:
            self.session.execute("COMMIT TRAN")
            self.session.execute("BEGIN TRAN")


class Source:
    """SQL Server, reached by `open_source`. May be used by several threads; each snapshot by one at a time."""

    def __init__(self, settings: SourceSettings, address: Address, driver_name: str, progress: Progress) -> None:
        self.settings = settings
        self.address = address
        self.driver_name = driver_name
        self._progress = progress
        self._idle: list[PlainSession] = []
        self._idle_bulk: list[_Idle] = []
        self._fast_works = False
        self._snapshot_states: dict[str, int] | None = None
        self._lock = threading.Lock()

    def log_in(self) -> None:
        """The first connection. Where it fails, the reason is looked for below the driver, which tells every refusal alike."""

        def connect() -> None:
            try:
                with self._plain(None) as session:
                    session.query("SELECT 1")
            except ServerError as error:
                if error.transient:
                    check_reachable(self.address, self.settings.connect_timeout_s)
                raise

        self.retrying(connect)

    def query(self, sql: str, params: Sequence[object] = (), *, database: str | None = None) -> list[Row]:
        """Rows of a small read, retried while the failure is a passing one. `params` fill %s. Raises ServerError."""

        def ask() -> list[Row]:
            with self._plain(database) as session:
                return session.query(sql, params)

        return self.retrying(ask)

    def scalar(self, sql: str, params: Sequence[object] = (), *, database: str | None = None) -> Any:
        """First column of the first row, None without a row."""
        rows = self.query(sql, params, database=database)
        return rows[0][0] if rows else None

    def arrow_batches(
        self, sql: str, batch_rows: int = BATCH_ROWS, schema: pa.Schema | None = None, *, database: str | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Rows of any size as they stream in, on a connection of their own, cast to `schema` (see etl.source.extract).

        Without a schema the fast driver gives its own types and the plain one guesses from the first batch: only for types where
        both agree. Connecting is retried; a failure in mid-stream is raised, since rows were given out already.
        """
        with self._pooled(database) as session:
            yield from session.arrow_batches(sql, schema, batch_rows)

    @contextmanager
    def snapshot(self, database: str, *, pooled: bool = False) -> Iterator[Snapshot]:
        """A bulk connection to `database`: in SNAPSHOT isolation where the database allows it, else READ COMMITTED. `pooled`: one
        that was used before, and is used again; for readers that are soon done.

        The instant is that of the first read. Nothing is locked under SNAPSHOT; the server keeps old row versions meanwhile.
        """
        consistent = self.allows_snapshot(database)

        def begin(session: Session) -> None:
            # The level has to be set before the transaction begins: error 3951 otherwise.
            session.execute(f"SET TRANSACTION ISOLATION LEVEL {'SNAPSHOT' if consistent else 'READ COMMITTED'}")
            if consistent:
                session.execute("BEGIN TRAN")

        with self._pooled(database, begin, _LET_GO) if pooled else closing(self._begun(database, begin)) as session:
            yield Snapshot(session, consistent)

    def allows_snapshot(self, database: str) -> bool:
        """Whether ALLOW_SNAPSHOT_ISOLATION is on; asked once."""
        if self._snapshot_states is None:
            self._snapshot_states = {str(name).lower(): int(state) for name, state in self.query(_SNAPSHOT_STATES)}
        return self._snapshot_states.get(database.lower()) == 1

    def open_bulk(self, database: str | None = None) -> Session:
        """A connection by the driver in use, the caller's to close. Not retried.

        Where the fast driver cannot connect but the plain one can (a system library is missing, say), the plain one does it all.
        """
        if self.driver_name == PLAIN:
            return open_plain(self.settings, self.address, database)
        try:
            session: Session = open_fast(self.settings, self.address, database, lambda sql: self._explain(database, sql))
            self._fast_works = True
            return session
        except (SourceError, ImportError, OSError) as error:
            if self.settings.driver == "fast" or self._fast_works:
                raise
            session = open_plain(self.settings, self.address, database)
            self._progress.note(f"mssql-python cannot connect ({type(error).__name__}): reading with pymssql, which is slower.")
            self.driver_name = PLAIN
            return session

    def retrying(self, action: Callable[[], T]) -> T:
        """Do `action`, again after a pause that doubles while it fails in a passing way, `retries` times at most."""
        pause = _FIRST_PAUSE_S
        for attempt in range(self.settings.retries + 1):
            try:
                return action()
            except ServerError as error:
                if not error.transient or attempt == self.settings.retries:
                    raise
                self._progress.note(f"{error.message} Trying again ({attempt + 1} of {self.settings.retries}).")
                time.sleep(pause * random.uniform(0.8, 1.2))
                pause = min(pause * 2, _LONGEST_PAUSE_S)
        raise AssertionError("unreachable: the last attempt returns or raises")

    @contextmanager
    def plain_session(self) -> Iterator[PlainSession]:
        """A pymssql connection from the pool, for a transaction of the caller's own: nothing is retried. Any exception closes it,
        and the server undoes what was begun; otherwise it must be given back as it came."""
        with self._plain(None) as session:
            yield session

    def close(self) -> None:
        """Close the idle connections."""
        with self._lock:
            idle, self._idle = self._idle, []
            bulk, self._idle_bulk = self._idle_bulk, []
        for session in [*idle, *(one.session for one in bulk)]:
            session.close()

    @contextmanager
    def _plain(self, database: str | None) -> Iterator[PlainSession]:
        """A pymssql connection from the pool, in `database`; it goes back only when it was not broken."""
        with self._lock:
            session = self._idle.pop() if self._idle else None
        session = session or open_plain(self.settings, self.address, database)
        try:
            session.use(database)
            yield session
        except BaseException:
            session.close()
            raise
        with self._lock:
            if len(self._idle) < self.settings.pool_size:
                self._idle.append(session)
                return
        session.close()

    @contextmanager
    def _pooled(
        self, database: str | None, begin: Callable[[Session], None] = lambda session: None, end: str = ""
    ) -> Iterator[Session]:
        """A bulk connection to `database` on which `begin` was done, one used before where there is one: connecting takes longer
        than most reads. Once `end` was executed it goes back to the pool; after an exception it is closed."""
        session = self._idle_one(database, begin) or self._begun(database, begin)
        try:
            yield session
        except BaseException:
            session.close()
            raise
        with suppress(SourceError):  # what was wanted of it was done
            if end:
                session.execute(end)
            with self._lock:
                if len(self._idle_bulk) < self.settings.pool_size:
                    self._idle_bulk.append(_Idle(database, session, time.monotonic()))
                    return
        session.close()

    def _begun(self, database: str | None, begin: Callable[[Session], None]) -> Session:
        """A new bulk connection on which `begin` was done."""

        def open_one() -> Session:
            session = self.open_bulk(database)
            try:
                begin(session)
            except BaseException:
                session.close()
                raise
            return session

        return self.retrying(open_one)

    def _idle_one(self, database: str | None, begin: Callable[[Session], None]) -> Session | None:
        """A connection used before that still answers; those that do not are closed."""
        while True:
            with self._lock:
                at = next((at for at, one in enumerate(self._idle_bulk) if one.database == database), None)
                if at is None:
                    return None
                idle = self._idle_bulk.pop(at)
            try:
                if time.monotonic() - idle.since <= _IDLE_S:
                    idle.session.query("SELECT 1")
                    begin(idle.session)
                    return idle.session
            except SourceError:
                pass
            idle.session.close()

    def _explain(self, database: str | None, sql: str) -> ServerError:
        """Ask through pymssql, which gives numbers, why a statement failed. If it succeeds there, it was a passing failure; so it
        was where a COMMIT finds no transaction there: the one it was meant for went with its connection."""
        try:
            session = open_plain(self.settings, self.address, database)
            try:
                next(session.arrow_batches(sql, batch_rows=1), None)
            finally:
                session.close()
        except ServerError as error:
            if error.number != NO_TRANSACTION:
                return error
        return describe(None, "", str(self.address))


@dataclass(frozen=True)
class _Idle:
    """A bulk connection that waits for the next reader of its database, `since` (monotonic)."""

    database: str | None
    session: Session
    since: float


@contextmanager
def open_source(settings: SourceSettings, progress: Progress | None = None) -> Iterator[Source]:
    """Reach the source, log in, choose the driver; close every connection afterwards.

    Raises ServerError (a SourceError with a number), SourceError when TLS is refused, ConfigurationError for a bad URL or driver.
    """
    address = address_of(settings)
    source = Source(settings, address, choose_driver(settings), progress or Silent())
    try:
        source.log_in()
        yield source
    finally:
        source.close()


def choose_driver(settings: SourceSettings) -> str:
    """The fast driver where it is installed and allowed. Raises ConfigurationError when it is demanded and not installed."""
    present = find_spec("mssql_python") is not None
    if settings.driver == "fast" and not present:
        raise ConfigurationError(
            '[source] driver = "fast", but mssql-python is not installed.',
            'Install membershift[fast], or set driver = "auto".',
        )
    return FAST if present and settings.driver != "plain" else PLAIN
