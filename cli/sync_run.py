"""The foreground of membershift sync run: a live screen or plain lines, metrics, and an orderly end."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Final

from cli.output import console, show_note
from cli.sync_screen import CheckView, Look, SyncScreen, plain_line
from etl.local_http import Address
from etl.progress import Silent
from etl.settings import Settings
from etl.sync.counting import Counted, keep_counting
from etl.sync.metrics import render_metrics
from etl.sync.metrics_server import serve_metrics
from etl.sync.run import RunRequest, run_sync
from etl.sync.stats import Stats, StreamView
from reports.text import tr

LINE_S: Final = 10.0
"""How often a line is written where nobody watches."""


@dataclass(frozen=True)
class RunEnded:
    """What a run did until it was asked to end. `terminated`: by the signal that systemd sends."""

    seconds: float
    terminated: bool
    streams: tuple[StreamView, ...]


class Foreground(Silent):
    """What the parts of the foreground share; also the progress of the run, whose notes it keeps."""

    def __init__(self, lang: str) -> None:
        self.lang = lang
        self.stats = Stats()
        self.began = time.monotonic()
        self.last_note = ""
        self.ending = False
        self.terminated = False
        self.metrics_at = ""

    def note(self, message: str) -> None:
        """See `etl.progress.Progress`."""
        self.last_note = message

    def look(self, counted: Counted) -> Look:
        """Everything the screen shows, as it is now."""
        note = tr(self.lang, "Ending: the rounds under way are finished first.") if self.ending else self.last_note
        return Look(
            tuple(self.stats.views()),
            counted.standing,
            time.monotonic() - self.began,
            note,
            self.metrics_at,
            os.getpid(),
            self.stats.throttle,
            self.check(),
        )

    def check(self) -> CheckView | None:
        """The background check, once there is anything to say of it."""
        one, problem = self.stats.check, self.stats.check_problem
        if one is None:
            return CheckView(0, 0, problem) if problem else None
        return CheckView(one.rows, one.differing, problem)


def run_in_foreground(settings: Settings, request: RunRequest, address: Address | None, lang: str, *, quiet: bool) -> RunEnded:
    """Run sync until it ends, showing what it does. SIGTERM ends it in order; so does Ctrl-C, which is raised again afterwards as
    KeyboardInterrupt; a second one ends it at once. Raises what `run_sync` raises."""
    front = Foreground(lang)
    with ExitStack() as stack:
        counted = stack.enter_context(keep_counting(settings))
        if address is not None:

            def page() -> str:
                return render_metrics(front.stats, counted.standing, time.monotonic() - front.began)

            served = stack.enter_context(serve_metrics(address, page))
            front.metrics_at = f"http://{served.host}:{served.port}/metrics"
        on_terminal = sys.stderr.isatty() and not quiet
        stack.enter_context(live_screen(front, counted) if on_terminal else plain_lines(front, counted))
        stack.enter_context(ended_by_signals(front))
        try:
            run_sync(settings, request, front, front.stats)
        except KeyboardInterrupt:
            if not front.terminated:
                raise
    return RunEnded(time.monotonic() - front.began, front.terminated, tuple(front.stats.views()))


@contextmanager
def live_screen(front: Foreground, counted: Counted) -> Iterator[None]:
    """One picture, drawn anew every second; the last one stays."""
    from rich.live import Live

    view = console(stderr=True)
    screen = SyncScreen(lambda: front.look(counted), front.lang)
    with Live(screen, console=view, refresh_per_second=1):
        yield


@contextmanager
def plain_lines(front: Foreground, counted: Counted) -> Iterator[None]:
    """A line every LINE_S seconds on standard error, for the journal; one at the end too."""
    end = threading.Event()

    def write() -> None:
        if front.metrics_at:
            show_note(tr(front.lang, "Metrics: {address}", address=front.metrics_at))
        while not end.wait(LINE_S):
            show_note(plain_line(front.look(counted), front.lang))

    thread = threading.Thread(target=write, name="lines", daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()
        show_note(plain_line(front.look(counted), front.lang))


@contextmanager
def ended_by_signals(front: Foreground) -> Iterator[None]:
    """The first signal ends the run in order, the second at once: every position is on the target, so nothing is lost."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        if front.ending:
            console(stderr=True).show_cursor(True)
            os._exit(128 + number)
        front.ending = True
        front.terminated = number == signal.SIGTERM
        raise KeyboardInterrupt

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
