"""The desk of a controller: takes alerts at once, and has them sent by a thread of its own."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from etl.errors import OpsError
from migrations.release.alerts.book import raise_alerts, resolve_alert
from migrations.release.alerts.model import Alert
from migrations.release.alerts.outbox import Pumped, Send, pump
from migrations.release.alerts.send import send
from migrations.release.alerts.settings import AlertSettings, Level

LOOK_S: Final = 1.0
LONGEST_TITLE: Final = 80
MOST_KEPT: Final = 10_000
"""Alerts kept in memory while state.db cannot be written."""


class Desk:
    """Raising an alert never fails and never waits for a receiver: what carries stores back must not stop because a chat is away.

    `about` stands before keys and titles: which release. Where state.db cannot be written, alerts wait in memory until it can.
    `trouble`: why the thread could not do its work at its last look, "" when it could.
    """

    def __init__(
        self, state_dir: Path, settings: AlertSettings, deliver: Send = send, look_s: float = LOOK_S, about: str = ""
    ) -> None:
        self.state_dir, self.settings, self.deliver, self.look_s = state_dir, settings, deliver, look_s
        self.about = f"{about}: " if about else ""
        self.trouble = ""
        self.last = Pumped()
        self._unwritten: deque[Alert | str] = deque(maxlen=MOST_KEPT)
        self._lock = threading.Lock()
        self._wanted = threading.Event()
        self._ended = threading.Event()

    def raise_alert(self, *alerts: Alert) -> None:
        """Write them down, and have them sent."""
        self._write(alerts)
        self._wanted.set()

    def tell(self, level: Level, key: str, happened: str, done: str, todo: str) -> None:
        """An alert as the controller gives it; its title is what happened, in short."""
        title = happened if len(happened) <= LONGEST_TITLE else f"{happened[: LONGEST_TITLE - 3]}..."
        self.raise_alert(Alert(f"{self.about}{key}", level, f"{self.about}{title}", happened, done, todo))

    def resolve(self, key: str) -> None:
        """The cause named `key` is gone."""
        self._write((f"{self.about}{key}",))
        self._wanted.set()

    def _write(self, entries: Sequence[Alert | str]) -> None:
        """In the order in which they came: what could not be written before goes first."""
        with self._lock:
            waiting = [*self._unwritten, *entries]
            self._unwritten.clear()
            while waiting:
                try:
                    self._write_first(waiting)
                except OpsError as error:
                    self.trouble = error.message
                    self._unwritten.extend(waiting)
                    return

    def _write_first(self, waiting: list[Alert | str]) -> None:
        """The first entry, with all alerts that follow it, and take them off the list."""
        first = waiting[0]
        if isinstance(first, str):
            resolve_alert(self.state_dir, self.settings, first)
            del waiting[0]
            return
        alerts: list[Alert] = []
        for entry in waiting:
            if isinstance(entry, str):
                break
            alerts.append(entry)
        raise_alerts(self.state_dir, self.settings, alerts)
        del waiting[: len(alerts)]

    def run(self) -> None:
        """Until `end`: look, send, rest."""
        while not self._ended.is_set():
            self.look()
            self._wanted.wait(self.look_s)
            self._wanted.clear()

    def look(self) -> None:
        """One look at the outbox; whatever goes wrong is kept in `trouble`."""
        try:
            if self._unwritten:
                self._write(())
            self.last = pump(self.state_dir, self.settings, deliver=self.deliver)
            self.trouble = ""
        except OpsError as error:
            self.trouble = error.message

    def end(self) -> None:
        """Stop after the look under way; what is unsent is sent by the next desk."""
        self._ended.set()
        self._wanted.set()


@contextmanager
def open_desk(
    state_dir: Path, settings: AlertSettings, deliver: Send = send, look_s: float = LOOK_S, about: str = ""
) -> Iterator[Desk]:
    """A desk whose thread runs meanwhile. It is not waited for longer than one message takes."""
    desk = Desk(state_dir, settings, deliver, look_s, about)
    thread = threading.Thread(target=desk.run, name="alerts", daemon=True)
    thread.start()
    try:
        yield desk
    finally:
        desk.end()
        thread.join(settings.timeout_s + look_s)
