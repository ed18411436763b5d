"""Being gentle: reading pauses while the source is busier than it was said to be allowed to be.

Busy is the greater of the CPU share in the server's own record (one value a minute) and the share of its processors taken by
other people's running requests (now). Both need the right VIEW SERVER STATE.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree

from etl.progress import Progress
from etl.source.connect import Source
from etl.source.errors import ServerError

RECHECK_S: Final = 5.0
NO_RIGHT: Final = frozenset({297, 300, 371, 229})

_CPU: Final = (
    "SELECT TOP (1) CONVERT(nvarchar(max), record) FROM sys.dm_os_ring_buffers"
    " WHERE ring_buffer_type = N'RING_BUFFER_SCHEDULER_MONITOR' ORDER BY [timestamp] DESC"
)
_PROCESSORS: Final = "SELECT cpu_count FROM sys.dm_os_sys_info"
_RUNNING: Final = (
    "SELECT COUNT(*) FROM sys.dm_exec_requests AS r JOIN sys.dm_exec_sessions AS s ON s.session_id = r.session_id"
    " WHERE s.is_user_process = 1 AND r.status IN (N'running', N'runnable') AND r.session_id <> @@SPID"
    " AND (s.host_process_id IS NULL OR s.host_process_id <> %d)"
)


@dataclass(frozen=True)
class Load:
    """How busy the server is: `cpu` percent of all its processors (None when not recorded), others' requests running now."""

    cpu: int | None
    running: int
    processors: int

    @property
    def percent(self) -> int:
        """The greater of both measures, in percent, 100 at most.

        >>> Load(cpu=40, running=3, processors=4).percent, Load(cpu=None, running=0, processors=8).percent
        (75, 0)
        """
        return min(100, max(self.cpu or 0, round(100 * self.running / max(1, self.processors))))


def read_load(source: Source) -> Load:
    """Ask the server how busy it is. Raises ServerError with number 300 (or 297, 371) where VIEW SERVER STATE is missing."""
    record = source.scalar(_CPU)
    return Load(
        cpu=None if record is None else cpu_of(str(record)),
        running=int(source.scalar(_RUNNING, (os.getpid(),)) or 0),
        processors=int(source.scalar(_PROCESSORS) or 1),
    )


def cpu_of(record: str) -> int | None:
    """CPU in percent, everything on the machine together, from a record of the scheduler monitor.

    >>> cpu_of("<Record><A><SystemHealth><SystemIdle>80</SystemIdle></SystemHealth></A></Record>")
    20
    """
    try:
        idle = ElementTree.fromstring(record).findtext(".//SystemHealth/SystemIdle")
    except ElementTree.ParseError:
        return None
    return None if idle is None else 100 - int(idle)


class Gentle:
    """Asked before every piece of work; any thread may ask. Without `max_load` (percent) it never waits."""

    def __init__(self, source: Source, max_load: int | None, progress: Progress, *, recheck_s: float = RECHECK_S) -> None:
        self._source = source
        self._max_load = max_load
        self._progress = progress
        self._recheck_s = recheck_s
        self._lock = threading.Lock()
        self._asked_at = float("-inf")
        self.paused_s = 0.0
        self.blind = False

    def wait(self, stop: Callable[[], bool] = lambda: False) -> None:
        """Return once the server is not too busy, or `stop()` is true. Asks the server every few seconds at most."""
        if self._max_load is None:
            return
        with self._lock:  # the other threads wait behind the one that asks
            if self.blind or time.monotonic() - self._asked_at < self._recheck_s:
                return
            started = time.monotonic()
            busy = self._too_busy()
            if busy is not None:
                self._progress.note(f"The source is {busy} % busy (limit {self._max_load} %): reading pauses.")
            while busy is not None and not stop():
                time.sleep(self._recheck_s)
                busy = self._too_busy()
            self._asked_at = time.monotonic()
            if self._asked_at - started > self._recheck_s / 2:
                self.paused_s += self._asked_at - started

    def _too_busy(self) -> int | None:
        """The load in percent when it is above the limit. Where it may not be seen, that is said once and never asked again."""
        try:
            percent = read_load(self._source).percent
        except ServerError as error:
            if error.number not in NO_RIGHT:
                raise
            self.blind = True
            self._progress.note("The login lacks VIEW SERVER STATE, so --max-load cannot work: reading without pauses.")
            return None
        return percent if self._max_load is not None and percent > self._max_load else None
