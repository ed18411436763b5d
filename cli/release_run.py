"""The foreground of membershift release run: a line for everything that happens, and an orderly end."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import FrameType

from cli.output import console, show_note
from etl.progress import Silent
from etl.settings import Settings
from migrations.release.decide import Act
from migrations.release.event_log import EventLog, open_event_log
from migrations.release.model import ReleaseState
from migrations.release.plan import Plan
from migrations.release.who import holder_here
from migrations.release.wiring import RunEnded, RunRequest, run_release
from reports.documents.release_history import event_row
from reports.documents.release_texts import act_text


class Notes(Silent):
    """Progress of which only the notes are worth a line."""

    def note(self, message: str) -> None:
        """See `etl.progress.Progress`."""
        show_note(message)


@dataclass
class Teller:
    """Writes a line for each event of the log, and one when what is waited for changes."""

    log: EventLog
    lang: str
    told: int
    waiting: str = ""

    def seen(self, state: ReleaseState, act: Act) -> None:
        """After every act."""
        for logged in self.log.events(self.told):
            self.told = logged.number
            _, number, at, text = event_row(logged, self.lang)
            show_note(f"{at}  {number:>5}  {text}")
        said = act_text(act, self.lang)
        if act.kind == "wait" and said != self.waiting:
            show_note(f"  {said}")
        self.waiting = said


@dataclass
class Signals:
    """Those that came, and what the first one sets."""

    end: threading.Event = field(default_factory=threading.Event)
    came: list[int] = field(default_factory=list)


def run_in_foreground(settings: Settings, plan: Plan, lang: str, *, changed_plan: bool, quiet: bool) -> RunEnded:
    """Carry the release out, telling what happens. SIGTERM and Ctrl-C end it in order, after the switch under way; a second one
    at once: the next `release run` goes on in either case. Raises what `run_release` raises, KeyboardInterrupt after Ctrl-C."""
    with open_event_log(settings.state_dir) as log, ended_by_signals() as signals:
        teller = Teller(log, lang, log.state.events)
        request = RunRequest(holder_here(), signals.end, changed_plan)
        if not quiet:
            request = replace(request, seen=teller.seen)
        ended = run_release(settings, plan, request, Silent() if quiet else Notes())
    if signal.SIGINT in signals.came and not ended.over:
        raise KeyboardInterrupt
    return ended


@contextmanager
def ended_by_signals() -> Iterator[Signals]:
    """The first signal sets `end`, the second ends the process: the log says where it was."""
    signals = Signals()
    if threading.current_thread() is not threading.main_thread():
        yield signals
        return

    def stop(number: int, frame: FrameType | None) -> None:
        if signals.came:
            console(stderr=True).show_cursor(True)
            os._exit(128 + number)
        signals.came.append(number)
        signals.end.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
