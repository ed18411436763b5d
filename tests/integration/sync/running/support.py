"""What tests of a running sync do to both sides, and how they wait for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pymssql

from etl.progress import Silent
from etl.settings import Settings
from etl.sync.control import is_lock_free
from etl.sync.run import RunRequest, run_sync
from etl.sync.state import STATE, write_control
from etl.sync.stats import Stats
from etl.target.bulk import BulkConnection
from fixtures.legacy_server.launcher import LegacyServer

READER = "reader"
PATIENCE_S = 20.0


@dataclass
class Shop:
    """`target` is an application's connection."""

    settings: Settings
    server: LegacyServer
    target: BulkConnection
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def with_sync(self, **changes: Any) -> Settings:
        """The settings with other ones of sync."""
        return self.settings.model_copy(update={"sync": self.settings.sync.model_copy(update=changes)})

    def legacy(self, database: str, *statements: str) -> list[tuple[Any, ...]]:
        """Run T-SQL; the rows of the last statement."""
        with pymssql.connect(
            server=self.server.host,
            port=str(self.server.port),
            user="sa",
            password=self.server.password,
            database=database,
            autocommit=True,
        ) as connection:
            cursor = connection.cursor()
            found: list[tuple[Any, ...]] = []
            for statement in statements:
                cursor.execute(statement)
                found = [tuple(row) for row in cursor.fetchall()] if cursor.description else []
            return found

    def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows of the target."""
        return self.target.query(statement, values or None)

    def rename_on_legacy(self, member: int) -> str:
        """Change a member on the legacy side; the new name."""
        name = f"N{next(self.numbers)}"
        self.legacy("crm", f"UPDATE dbo.Member SET Name = '{name}', UpdatedAt = GETDATE() WHERE MemberId = {member}")
        return name

    def name_of(self, member: int) -> str:
        """A member's name on the target."""
        return str(self.rows("SELECT name FROM member WHERE member_id = %s", member)[0][0])

    def a_member(self) -> int:
        """Some member of crm."""
        return int(self.legacy("crm", "SELECT MIN(MemberId) FROM dbo.Member")[0][0])

    @contextmanager
    def running(self, settings: Settings | None = None) -> Iterator[Stats]:
        """A sync in a thread of its own, ended in order."""
        used, stats = settings or self.settings, Stats()
        state = used.target.state_schema
        write_control(self.target, state, STATE, "running", "test")
        with ThreadPoolExecutor(1) as pool:
            run = pool.submit(run_sync, used, RunRequest(), Silent(), stats)
            try:
                until(lambda: run.done() or any(view.rounds or view.waiting for view in stats.views()))
                yield stats
            finally:
                write_control(self.target, state, STATE, "stopped", "test")
                run.result(timeout=60)
                write_control(self.target, state, STATE, "running", "test")
        until(lambda: is_lock_free(self.target, state))


def until(done: Callable[[], bool], patience_s: float = PATIENCE_S, look_s: float = 0.05) -> None:
    """Wait for something. Fails when it does not come."""
    end = time.monotonic() + patience_s
    while not done():
        assert time.monotonic() < end, "it did not come in time"
        time.sleep(look_s)
