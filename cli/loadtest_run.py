"""A load test in the foreground: a line every few seconds, and an end in order."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from cli.output import show_note
from etl.settings import Settings
from loadtest.run import LoadResult, RunRequest, run_load
from loadtest.timeline import Second, Tally, together
from loadtest.worker import Ticks

EVERY: Final = 5
"""Seconds of the test in a line."""
STEPS: Final = {
    "fill": "Inserting the members of the test.",
    "run": "Begun. Ctrl-C ends it: what was seen by then is told, and the rows are taken away.",
    "check": "Over. Looking for every acknowledged write.",
    "clean": "Taking the rows of the test away.",
}


@dataclass
class Lines:
    """Tells every few seconds of the test what they were like."""

    request: RunRequest

    def __post_init__(self) -> None:
        self.few: list[Tally] = []

    def told(self, step: str) -> None:
        """What is done now."""
        show_note(STEPS[step])

    def second(self, second: int, tallies: Second, ticks: Sequence[Ticks]) -> None:
        """A second that is over; those that are told are some time past."""
        self.few += tallies.values()
        if (second + 1) % EVERY == 0:
            show_note(line_of(second + 1 - EVERY, second + 1, together(self.few), self.request.plan.seconds))
            self.few = []


def line_of(begin: int, end: int, tally: Tally, seconds: float) -> str:
    """One line.

    >>> line_of(5, 10, Tally(), 60)
    's 5 to 10 of 60: 0/s, nothing was asked'
    """
    head = f"s {begin} to {end} of {seconds:.0f}: {tally.asked / (end - begin):,.0f}/s"
    if tally.success is None:
        return f"{head}, nothing was asked"
    at = tally.response.at
    return f"{head}, {tally.success:.2%} served, p50 {at(50) / 1000:.1f} ms, p99 {at(99) / 1000:.1f} ms"


def run_in_foreground(settings: Settings, request: RunRequest) -> LoadResult:
    """Run it, telling what happens. Ctrl-C and SIGTERM end it in order; a second one at once. Raises what `run_load` raises."""
    with ending(request.end):
        return run_load(settings, request, Lines(request))


@contextmanager
def ending(end: threading.Event) -> Iterator[None]:
    """Signals set `end` once; then they are what they were before."""

    def stop(number: int, frame: object) -> None:
        end.set()
        for one, handler in before.items():
            signal.signal(one, handler)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
