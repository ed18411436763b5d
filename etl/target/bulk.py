"""One connection for bulk work: whole transactions, LOAD DATA from memory, streaming reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from etl.names import backtick
from etl.settings import TargetSettings
from etl.target.address import read_address
from etl.target.columns import TargetColumn, read_target_columns
from etl.target.drivers import Driver, Params, connect_driver, driver_errors
from etl.target.errors import ServerError, classify, describe
from etl.target.outcome import LoadOutcome, LoadWarning, row_of
from etl.target.session import prepare_session

if TYPE_CHECKING:
    import polars as pl

LOST_TRANSACTION: Final = 2006
NO_TABLE: Final = 1146
SYNC_PAIR: Final = ("updated_at", "synced_at")


class BulkConnection:
    """A connection of its own for one thread. `database` None: the business schema of the settings.

    A connection that is lost outside a transaction is made again by the next call. Inside one, every call fails until `begin` or
    `rollback`: a transaction is never continued on another connection. All methods raise ServerError.
    """

    def __init__(self, settings: TargetSettings, database: str | None = None) -> None:
        self.settings = settings
        self.address = read_address(settings)
        self.database = settings.schema_name if database is None else database
        self.is_tidb = False
        self._driver: Driver | None = None
        self._in_transaction = False
        self._transaction_lost = False
        self._reading = False
        self._columns: dict[tuple[str, str], tuple[TargetColumn, ...]] = {}
        self._connect()

    def execute(self, sql: str, params: Params = None) -> int:
        """Run a statement with %s parameters; return the rows it changed."""
        with self._watched() as driver:
            return driver.run(sql, params)[0]

    def query(self, sql: str, params: Params = None) -> list[tuple[Any, ...]]:
        """All rows of a small result, as Python values."""
        with self._watched() as driver:
            return driver.query(sql, params)

    def scalar(self, sql: str, params: Params = None) -> Any:
        """The first value of the first row, None when there is no row."""
        rows = self.query(sql, params)
        return rows[0][0] if rows else None

    def begin(self, statement: str = "START TRANSACTION") -> None:
        """Begin a transaction, on a new connection where the old one is gone."""
        self._transaction_lost = False
        try:
            self.execute(statement)
        except ServerError as error:
            if not error.lost or error.connecting:
                raise
            self.execute(statement)  # it was lost while idle: nothing was under way
        self._in_transaction = True

    def commit(self) -> None:
        """Commit. When the connection is lost here, whether the work is there is unknown: look for its mark before redoing it."""
        self.execute("COMMIT")
        self._in_transaction = False

    def rollback(self) -> None:
        """Undo the transaction; nothing to do where the connection was lost, the server has done it."""
        self._in_transaction, lost = False, self._transaction_lost
        self._transaction_lost = False
        if lost or self._driver is None:
            return
        try:
            self.execute("ROLLBACK")
        except ServerError as error:
            if not error.lost:
                raise

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """A transaction that is committed at the end of the block and rolled back by any exception."""
        self.begin()
        try:
            yield
            self.commit()
        except BaseException:
            self.rollback()
            raise

    def load_rows(self, table: str, columns: Sequence[str], frame: pl.DataFrame, *, schema: str | None = None) -> LoadOutcome:
        """LOAD DATA LOCAL the `columns` of `frame` into `table` of `schema` (the connection's own by default).

        Must run in a transaction, because the server damages what it does not like and goes on: unless the outcome is clean, roll
        back. What it would damage without a word is found first, and then nothing is sent. What is loaded comes from the legacy
        side, so it counts as in step with it: where a table has the pair of columns that change capture lives on (updated_at and
        synced_at), both take the same time. Raises TypeError when a column of the
        frame has not the type of its column in the table (see TargetColumn.polars_type).
        """
        from etl.target.fit import find_silent_damage
        from etl.target.payload import binary_columns, load_statement, payload_in_memory

        if not self._in_transaction:
            raise RuntimeError("load_rows outside a transaction: a damaged row could not be undone")
        if frame.is_empty():
            return LoadOutcome(0, 0, 0)
        chosen = frame.select(columns)
        if unfit := find_silent_damage(chosen, self.columns_of(table, schema)):
            return LoadOutcome(0, chosen.height, len(unfit), unfit)
        with payload_in_memory(chosen) as path, self._watched() as driver:
            stamped = self._stamped(table, columns, schema)
            sql = load_statement(path, self.quoted(table, schema), columns, binary_columns(chosen), stamped)
            rows, warnings = driver.run(sql)
        listed = self._warnings() if warnings else ()
        return LoadOutcome(rows, chosen.height - rows, warnings, listed)

    def read_frame(
        self, sql: str, types: Mapping[str, pl.DataType], params: Params = None, *, batch_rows: int = 50_000
    ) -> Iterator[pl.DataFrame]:
        """Stream the result of `sql` as frames of about `batch_rows` rows; `types` names and types its columns, in order.

        Exact: see etl/target/read.py. FLOAT columns must be selected as CAST(.. AS DOUBLE): servers print six digits of them.
        Nothing else can run on this connection until the last frame is taken; leaving early closes the connection.
        """
        from etl.target.read import SLICE_ROWS, frames_of

        with self._watched() as driver:
            self._reading, complete = True, False
            try:
                yield from frames_of(driver.stream(sql, params, min(SLICE_ROWS, batch_rows)), types, batch_rows)
                complete = True
            finally:
                self._reading = False
                if not complete:
                    self._drop()

    def columns_of(self, table: str, schema: str | None = None) -> tuple[TargetColumn, ...]:
        """The table's columns, asked for once; what a migration changes meanwhile is seen by new connections."""
        owner = schema or self.database
        if (owner, table) not in self._columns:
            found = read_target_columns(self, owner)
            self._columns.update({(owner, name): columns for name, columns in found.items()})
            if table not in found:
                raise describe(NO_TABLE, f"{owner}.{table}", self.address.where)
        return self._columns[owner, table]

    def quoted(self, table: str, schema: str | None = None) -> str:
        """`schema`.`table` for SQL; the connection's own schema by default."""
        owner = schema or self.database
        return f"{backtick(owner)}.{backtick(table)}" if owner else backtick(table)

    def close(self) -> None:
        """Close; an open transaction is undone by the server."""
        driver, self._driver, self._in_transaction = self._driver, None, False
        if driver is not None:
            driver.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @contextmanager
    def _watched(self) -> Iterator[Driver]:
        """The driver, connected; an exception that leaves its state unknown costs the connection."""
        if self._reading:
            raise RuntimeError("a read_frame is under way on this connection")
        if self._transaction_lost:
            raise describe(LOST_TRANSACTION, where=self.address.where)
        driver = self._driver or self._connect()
        try:
            yield driver
        except ServerError as error:
            if error.lost:
                self._drop()
            raise
        except BaseException:
            self._drop()
            raise

    def _connect(self) -> Driver:
        """Connect and set up the session."""
        try:
            self._driver = connect_driver(self.settings, self.address, self.database or None, local_infile=True)
            self.is_tidb = prepare_session(self._driver)
        except driver_errors() as error:
            self._drop()
            raise classify(error, self.address.where, connecting=True) from None
        return self._driver

    def _drop(self) -> None:
        """Give the connection up, and with it the transaction."""
        self._transaction_lost = self._transaction_lost or self._in_transaction
        self.close()

    def _stamped(self, table: str, columns: Sequence[str], schema: str | None) -> tuple[str, ...]:
        """The pair of columns by which a row counts as in step, where the table has both and the caller sets neither."""
        there = {column.name for column in self.columns_of(table, schema)}
        return SYNC_PAIR if there.issuperset(SYNC_PAIR) and not set(SYNC_PAIR) & set(columns) else ()

    def _warnings(self) -> tuple[LoadWarning, ...]:
        """Codes and row numbers of the last statement's warnings."""
        return tuple(LoadWarning(int(code), row_of(str(text))) for _, code, text in self.query("SHOW WARNINGS"))
