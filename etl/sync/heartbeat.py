"""The sign of life that a running sync leaves on the target every other second, for `sync status` from anywhere, and how it
ended.

sync_control holds short values, so a longer text goes into as many rows as it needs, in one transaction.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from etl.load.sql import sql
from etl.sync.stats import StreamView
from etl.target.bulk import BulkConnection
from etl.target.columns import text_of

HEARTBEAT: Final = "heartbeat"
"""First row in sync_control; the next are heartbeat/1, heartbeat/2 and so on."""

HEARTBEAT_S: Final = 2.0
OLD_S: Final = 10.0
"""A process that gave no sign of life for this long is not running, or cannot reach the target."""

PIECE: Final = 400
LONGEST_REASON: Final = 160
IN_ORDER: Final = "in order"
"""`ended` of a process that was asked to end, and did."""


@dataclass(frozen=True)
class StreamStatus:
    """A stream as the running process last told it: behind by `lag_s` seconds, rows a second, what it waits for ("" nothing)."""

    name: str
    lag_s: float
    rate: float
    waiting: str


@dataclass(frozen=True)
class Heartbeat:
    """The last sign of life. `age_s`: seconds since then by the target's clock, `up_s`: how long the process ran by then.
    `ended`: "" while it runs, IN_ORDER, or what ended it. `throttle`: what holds it back, "" nothing."""

    pid: int
    host: str
    up_s: float
    age_s: float
    streams: tuple[StreamStatus, ...] = ()
    ended: str = ""
    throttle: str = ""

    @property
    def alive(self) -> bool:
        """Whether the process is at work, as far as can be told."""
        return not self.ended and self.age_s < OLD_S


def heartbeat_text(views: Sequence[StreamView], pid: int, host: str, up_s: float, *, throttle: str = "", ended: str = "") -> str:
    """What is written down, in ASCII."""
    streams = [
        {"name": view.name, "lag": round(view.lag_s, 1), "rate": round(view.rate, 1), "waiting": view.waiting[:LONGEST_REASON]}
        for view in views
    ]
    told = {"pid": pid, "host": host[:40], "up": round(up_s), "streams": streams}
    told |= {"throttle": throttle[:LONGEST_REASON]} if throttle else {}
    told |= {"ended": ended[:LONGEST_REASON]} if ended else {}
    return json.dumps(told)


def parse_heartbeat(value: str, age_s: float) -> Heartbeat:
    """The reverse.

    >>> parse_heartbeat(heartbeat_text([], 7, "a", 3.2, ended="in order"), 1.5)
    Heartbeat(pid=7, host='a', up_s=3.0, age_s=1.5, streams=(), ended='in order', throttle='')
    """
    told = json.loads(value)
    ended = str(told.get("ended", ""))
    since = 0.0 if ended else age_s
    streams = tuple(
        StreamStatus(str(one["name"]), float(one["lag"]) + since, float(one["rate"]), str(one["waiting"]))
        for one in told["streams"]
    )
    return Heartbeat(int(told["pid"]), str(told["host"]), float(told["up"]), age_s, streams, ended, str(told.get("throttle", "")))


def write_heartbeat(connection: BulkConnection, state_schema: str, text: str) -> None:
    """Note it in place of the last one. Raises ServerError."""
    pieces = [text[at : at + PIECE] for at in range(0, len(text), PIECE)]
    names = [piece_name(number) for number in range(len(pieces))]
    write = (
        "INSERT INTO {state}.sync_control (name, value, at, by_whom) VALUES {rows} "
        "ON DUPLICATE KEY UPDATE value = VALUES(value), at = VALUES(at), by_whom = VALUES(by_whom)"
    )
    rows = ", ".join(["(%s, %s, UTC_TIMESTAMP(6), 'sync run')"] * len(pieces))
    forget = "DELETE FROM {state}.sync_control WHERE name LIKE %s AND name NOT IN ({kept})"
    with connection.transaction():
        connection.execute(
            sql(write, {"state": state_schema}, rows=rows), [value for pair in zip(names, pieces, strict=True) for value in pair]
        )
        connection.execute(sql(forget, {"state": state_schema}, kept=", ".join(["%s"] * len(names))), (f"{HEARTBEAT}/%", *names))


def read_heartbeat(connection: BulkConnection, state_schema: str) -> Heartbeat | None:
    """The last sign of life of a sync; its age by the clock of the server that wrote it down. Raises ServerError."""
    statement = (
        "SELECT name, value, TIMESTAMPDIFF(MICROSECOND, at, UTC_TIMESTAMP(6)) FROM {state}.sync_control "
        "WHERE name = %s OR name LIKE %s"
    )
    found = connection.query(sql(statement, {"state": state_schema}), (HEARTBEAT, f"{HEARTBEAT}/%"))
    pieces = {text_of(name): (text_of(value), int(age)) for name, value, age in found}
    if HEARTBEAT not in pieces:
        return None
    text = "".join(pieces[name][0] for name in sorted(pieces, key=lambda name: (len(name), name)))
    return parse_heartbeat(text, max(0.0, pieces[HEARTBEAT][1] / 1e6))


def piece_name(number: int) -> str:
    """The row of a piece.

    >>> piece_name(0), piece_name(2)
    ('heartbeat', 'heartbeat/2')
    """
    return HEARTBEAT if number == 0 else f"{HEARTBEAT}/{number}"
