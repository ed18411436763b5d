"""Connections to the legacy databases that are kept between rounds: a round is short, connecting is not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from etl.errors import SourceError
from etl.source.connect import Snapshot, Source
from etl.source.session import Session


class Sessions:
    """One snapshot connection for each legacy database, of one thread."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.made: dict[str, int] = {}  # how many snapshot connections, by database: a restore lets none live
        self._open: dict[str, tuple[ExitStack, Snapshot]] = {}
        self._busy: set[str] = set()
        self._live: dict[str, Session] = {}

    @contextmanager
    def at_now(self, database: str) -> Iterator[Snapshot]:
        """A connection whose instant is that of the next read, or of the caller's caller who uses it already.

        The instant is let go of afterwards, so that the server keeps no old rows for an idle reader. After any failure the
        connection is made anew. Raises ServerError.
        """
        if database in self._busy:
            yield self._open[database][1]
            return
        snapshot = self._take(database)
        self._busy.add(database)
        try:
            snapshot.renew()
            yield snapshot
            snapshot.renew()
        except BaseException:
            self._drop(database)
            raise
        finally:
            self._busy.discard(database)

    def live(self, database: str, *, sure: bool = True) -> Session:
        """A connection that sees what is committed at each read, whatever the snapshots see; `sure`: one that answers, so that it
        may be lost no earlier than just now. Raises ServerError."""
        if sure and database in self._live:
            try:
                self._live[database].query("SELECT 1")
            except SourceError:
                self.forget_live(database)
        if database not in self._live:
            self._live[database] = self.source.retrying(lambda: self.source.open_bulk(database))
        return self._live[database]

    def forget_live(self, database: str) -> None:
        """Close the connection that `live` gave, which is broken."""
        if database in self._live:
            self._live.pop(database).close()

    def close(self) -> None:
        """Close all of them."""
        for database in list(self._open):
            self._drop(database)
        for session in self._live.values():
            session.close()
        self._live.clear()

    def _take(self, database: str) -> Snapshot:
        """The connection that is kept; one that broke while idle is replaced."""
        if database in self._open:
            snapshot = self._open[database][1]
            try:
                snapshot.session.query("SELECT 1")
            except SourceError:
                self._drop(database)
            else:
                return snapshot
        stack = ExitStack()
        snapshot = stack.enter_context(self.source.snapshot(database))
        self._open[database] = (stack, snapshot)
        self.made[database] = self.made.get(database, 0) + 1
        return snapshot

    def _drop(self, database: str) -> None:
        stack, _ = self._open.pop(database)
        stack.close()
