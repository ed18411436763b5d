"""Applications of many kinds that write to one table at once, each as badly as applications do."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import pymysql

from fixtures.target import TargetServer

ROWS: Final = 400
TILLS: Final = ("A", "S|1", "店1")
ZONES: Final = ("+00:00", "+08:00", "-05:00", "SYSTEM")
RETRYABLE: Final = frozenset({1062, 1205, 1213, 8002, 8022, 8028, 9007})


@dataclass
class Writers:
    """Threads that write until they are stopped. `changes`: rows changed, by kind; `seconds`: of each plain update."""

    server: TargetServer
    schema: str
    hold_s: float
    has_outbox: bool
    stop: threading.Event = field(default_factory=threading.Event)
    changes: dict[str, int] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def kinds(self) -> dict[str, Callable[[Any, random.Random], int]]:
        """What each thread does again and again; returns the rows it changed."""
        return {
            "plain": self.plain,
            "plain2": self.plain,
            "held": self.held,
            "held2": self.held,
            "bulk": self.bulk,
            "bulk2": self.bulk,
            "upsert": self.upsert,
            "twice": self.twice,
            "delete": self.delete,
            "short": self.short_lived,
            "rolled_back": self.rolled_back,
            "late": self.late,
        }

    @contextlib.contextmanager
    def running(self, seed: int) -> Iterator[None]:
        """Start all; stop all at the end."""
        threads = [
            threading.Thread(target=self.work, args=(name, act, random.Random(f"{seed}{name}")), daemon=True)
            for name, act in self.kinds().items()
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.stop.set()
            for thread in threads:
                thread.join(60)

    def work(self, name: str, act: Callable[[Any, random.Random], int], chance: random.Random) -> None:
        """One thread, on a connection in a zone of its own."""
        connection = self.connect(chance.choice(ZONES))
        while not self.stop.is_set():
            try:
                self.changes[name] = self.changes.get(name, 0) + act(connection.cursor(), chance)
            except pymysql.MySQLError as error:
                connection.rollback()
                connection.autocommit(True)
                if error.args[0] not in RETRYABLE:
                    self.errors.append(f"{name}: {error}")
                    return
            time.sleep(chance.uniform(0, 0.02))
        connection.close()

    def connect(self, zone: str) -> Any:
        """A session like an application's."""
        server = self.server
        connection = pymysql.connect(
            host=server.host, port=server.port, user=server.user, password=server.password, database=self.schema, autocommit=True
        )
        connection.cursor().execute(f"SET time_zone = '{zone}'")
        return connection

    def plain(self, cursor: Any, chance: random.Random) -> int:
        """One row, at once."""
        begun = time.monotonic()
        changed: int = cursor.execute("UPDATE w SET v = v + 1, kind = 'plain' WHERE till = %s AND id = %s", key(chance))
        self.seconds.append(time.monotonic() - begun)
        return changed

    def held(self, cursor: Any, chance: random.Random) -> int:
        """Some rows, shown only when their time is long past."""
        cursor.execute("BEGIN")
        changed = 0
        for _ in range(chance.randint(1, 4)):
            changed += cursor.execute("UPDATE w SET v = v + 1, kind = 'held' WHERE till = %s AND id = %s", key(chance))
            self.stop.wait(chance.uniform(0, self.hold_s / 4))
        cursor.execute("COMMIT")
        return changed

    def late(self, cursor: Any, chance: random.Random) -> int:
        """Without BEGIN, and commits after everything else went on."""
        cursor.execute("SET autocommit = 0")
        changed: int = cursor.execute(
            "INSERT INTO w (till, id, v, kind) VALUES (%s, %s, 1, 'late') ON DUPLICATE KEY UPDATE v = v + 1",
            (TILLS[0], 5_000 + chance.randrange(50)),
        )
        self.stop.wait(self.hold_s)
        cursor.execute("COMMIT")
        cursor.execute("SET autocommit = 1")
        return changed

    def rolled_back(self, cursor: Any, chance: random.Random) -> int:
        """Locks rows, and changes its mind."""
        cursor.execute("BEGIN")
        cursor.execute("UPDATE w SET v = v + 1000 WHERE till = %s AND id = %s", key(chance))
        self.stop.wait(chance.uniform(0, self.hold_s / 2))
        cursor.execute("ROLLBACK")
        return 0

    def bulk(self, cursor: Any, chance: random.Random) -> int:
        """Many rows in one autocommit statement, which meets another such and is tried again with its old time."""
        self.stop.wait(0.3)
        first = chance.randrange(ROWS // 2)
        return int(cursor.execute("UPDATE w SET v = v + 1, kind = 'bulk' WHERE id BETWEEN %s AND %s", (first, first + ROWS // 2)))

    def upsert(self, cursor: Any, chance: random.Random) -> int:
        """ON DUPLICATE KEY UPDATE of several rows."""
        rows = [value for _ in range(5) for value in key(chance, ROWS * 2)]
        values = ", ".join(["(%s, %s, 1, 'upsert')"] * 5)
        return int(cursor.execute(f"INSERT INTO w (till, id, v, kind) VALUES {values} ON DUPLICATE KEY UPDATE v = v + 7", rows))

    def twice(self, cursor: Any, chance: random.Random) -> int:
        """Two writes within one microsecond, the second seen a moment later."""
        till, number = key(chance)
        cursor.execute("SELECT NOW(6)")
        (at,) = cursor.fetchone()
        change = "UPDATE w SET v = v + 1, kind = 'twice', updated_at = %s WHERE till = %s AND id = %s"
        changed = int(cursor.execute(change, (at, till, number)))
        self.stop.wait(chance.uniform(0, 0.4))
        # Only where nobody else has written it meanwhile: setting a later time back is what no capture can see.
        return changed + int(cursor.execute(change + " AND updated_at = %s", (at, till, number, at)))

    def delete(self, cursor: Any, chance: random.Random) -> int:
        """A row goes; half of the time it comes back."""
        till, number = key(chance)
        cursor.execute("BEGIN")
        changed = int(cursor.execute("DELETE FROM w WHERE till = %s AND id = %s", (till, number)))
        self.note(cursor, till, number)
        cursor.execute("COMMIT")
        self.stop.wait(chance.uniform(0, 0.2))
        if chance.random() < 0.5:
            return changed
        return changed + int(cursor.execute("INSERT INTO w (till, id, v, kind) VALUES (%s, %s, -1, 'back')", (till, number)))

    def short_lived(self, cursor: Any, chance: random.Random) -> int:
        """A row that lives for half a second: long enough to be sent."""
        number = 10_000 + chance.randrange(1_000_000)
        cursor.execute("INSERT INTO w (till, id, v, kind) VALUES ('A', %s, 1, 'short')", (number,))
        self.stop.wait(chance.uniform(0, 0.6))
        cursor.execute("BEGIN")
        cursor.execute("DELETE FROM w WHERE till = 'A' AND id = %s", (number,))
        self.note(cursor, "A", number)
        cursor.execute("COMMIT")
        return 2

    def note(self, cursor: Any, till: str, number: int) -> None:
        """A delete is noted where the target itself cannot tell it."""
        if self.has_outbox:
            values = f'["{till}", {number}]'
            cursor.execute("INSERT INTO outbox (table_name, row_key, op) VALUES ('w', %s, 'D')", (values,))


def key(chance: random.Random, rows: int = ROWS) -> tuple[str, int]:
    """Some row; a few are hot."""
    number = chance.randrange(10) if chance.random() < 0.2 else chance.randrange(rows)
    return chance.choice(TILLS), number
