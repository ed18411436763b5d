"""Both sides as invariants ask them: several statements at once, over few connections, and values in place of {names}."""

from __future__ import annotations

import queue
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from etl.names import backtick
from etl.reconcile.invariant_model import Values, add, number, text
from etl.reconcile.quarantined_keys import QuarantinedKeys
from etl.source.connect import Source
from etl.target.bulk import BulkConnection

ALWAYS = "1 = 1"

Grouped = dict[tuple[str, ...], Values]
"""Values by group or key."""


class TargetPool:
    """Connections to the target at one instant, each lent to one statement at a time."""

    def __init__(self, connections: Sequence[BulkConnection]) -> None:
        self._free: queue.SimpleQueue[BulkConnection] = queue.SimpleQueue()
        for connection in connections:
            self._free.put(connection)

    @contextmanager
    def lend(self) -> Iterator[BulkConnection]:
        """A connection nobody else uses meanwhile; waits for one."""
        connection = self._free.get()
        try:
            yield connection
        finally:
            self._free.put(connection)

    def query(self, sql: str, params: Sequence[object] | None = None) -> list[tuple[Any, ...]]:
        """All rows of a small result. May be called by any thread."""
        with self.lend() as connection:
            return connection.query(sql, params)


@dataclass(frozen=True)
class Look:
    """Both sides, and what stands for the placeholders in the rules' SQL. May be used by several threads: `source` and
    `target` lend their connections, `soon` runs what is asked of the target while the caller asks the source. `merged`:
    deduplication joined members of the target."""

    source: Source
    target: TargetPool
    soon: Executor
    schema: str
    quarantine: QuarantinedKeys
    zone: str
    minutes: int
    as_of: datetime | None
    merged: bool = False

    def ask_source(self, sql: str, groups: int, *, only: str = ALWAYS, **excepts: str) -> Grouped:
        """Rows of the source: `groups` columns name them, the others are values."""
        as_of = f"CONVERT(datetime2(0), '{self.as_of:%Y-%m-%dT%H:%M:%S}', 126)" if self.as_of else "NULL"
        filled = fill(sql, only=only, zone=self.zone, minutes=str(self.minutes), as_of=as_of)
        for name, condition in excepts.items():
            filled = filled.replace(f"{{except {name}}}", condition)
        return grouped(self.source.query(filled), groups)

    def ask_target(self, sql: str, groups: int) -> Grouped:
        """The same for the target, at its snapshot."""
        moment = self.as_of - timedelta(minutes=self.minutes) if self.as_of else None
        as_of = f"CAST('{moment:%Y-%m-%d %H:%M:%S}' AS DATETIME(6))" if moment else "NULL"
        filled = fill(sql, zone=self.zone, minutes=str(self.minutes), as_of=as_of, **self.schemas)
        return grouped(self.target.query(filled.replace("%", "%%") if "%" in filled else filled, ()), groups)

    @property
    def schemas(self) -> dict[str, str]:
        """Quoted names of both schemas of the target."""
        return {"schema": backtick(self.schema), "state": backtick(self.quarantine.state_schema)}

    def ask_target_soon(self, sql: str, groups: int) -> Future[Grouped]:
        """The same, while the caller goes on."""
        return self.soon.submit(partial(self.ask_target, sql, groups))


def grouped(rows: Sequence[Sequence[object]], groups: int) -> Grouped:
    """Rows by their group; groups that differ only in trailing spaces are one."""
    return add([{tuple(text(value) for value in row[:groups]): tuple(number(value) for value in row[groups:])} for row in rows])


def fill(sql: str, **values: str) -> str:
    """Put values in place of {names}. Braces of anything else stay."""
    for name, value in values.items():
        sql = sql.replace(f"{{{name}}}", value)
    return sql.strip()
