"""One process of a load test: threads that each begin one transaction after another, each when it is due.

A thread takes the next arrival, sleeps until it is due, and runs it. While the server stands still, arrivals that come due wait
for a thread; their latency counts from when they were due all the same. Nothing is skipped, nobody waits for another's answer.
"""

from __future__ import annotations

import gc
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

import numpy as np

from loadtest.samples import SAMPLE, Outcome, Samples

LONGEST_NAP_S: Final = 0.2
"""A thread that sleeps looks so often whether the test was ended."""
BEAT_S: Final = 0.01
"""How often a process looks how much later than asked it is woken."""

Arrival = tuple[float, int]
"""Seconds from the start at which it is due, and the number of its operation."""


class Ran(NamedTuple):
    """How a transaction ended, how often it was done again, the number of what it wrote (0: nothing that is looked for), and that
    of the server's error."""

    outcome: Outcome
    retries: int = 0
    written: int = 0
    error: int = 0


class Session(Protocol):
    """What a thread has to the server: one connection, made again by itself."""

    def run(self, operation: int) -> Ran:
        """One transaction, retried as an application would. Raises nothing that the server could cause."""

    def close(self) -> None:
        """Let go of the connection."""


@dataclass
class Ticks:
    """What a process knows of itself in a second. `cpu_s`: processor time since it began; `woken_late_s`: the most that a nap
    was too long; `paused_s`: spent in collecting garbage."""

    cpu_s: float = 0.0
    woken_late_s: float = 0.0
    paused_s: float = 0.0


@dataclass
class Worker:
    """`arrivals`: this process' share, ascending. `connect`: makes the session of a thread. `began`: time.perf_counter() of the
    start of the test, set by `go`: the same clock in every process of a machine."""

    arrivals: Iterator[Arrival]
    connect: Callable[[], Session]
    threads: int
    began: float = 0.0
    end: threading.Event = field(default_factory=threading.Event)
    failures: list[BaseException] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.taking = threading.Lock()
        self.connected = threading.Barrier(self.threads + 1)
        self.gone = threading.Event()
        self.rows: deque[tuple[Any, ...]] = deque()
        self.ticks = Ticks()
        self.collecting: float | None = None
        self.running: list[threading.Thread] = []

    def connect_all(self) -> None:
        """Connect every thread. Raises what connecting raised."""
        gc.callbacks.append(self.collected)
        self.running = [threading.Thread(target=body, daemon=True) for body in (self.beat, *[self.work] * self.threads)]
        for thread in self.running:
            thread.start()
        self.connected.wait()
        if self.failures:
            raise self.failures[0]

    def go(self, began: float) -> None:
        """Begin; `began` is a little ahead."""
        self.began = began
        self.gone.set()

    def work(self) -> None:
        """One thread, until there is nothing more to begin."""
        try:
            session = self.connect()
        except BaseException as error:  # noqa: BLE001 - raised again by connect_all
            self.failures.append(error)
            self.connected.wait()
            return
        self.connected.wait()
        self.gone.wait()
        clock, began = time.perf_counter, self.began
        try:
            while (arrival := self.take()) is not None:
                due, operation = arrival
                free = due - (clock() - began)
                if free > 0 and not self.sleep_until(due):
                    return
                begun = clock() - began
                ran = session.run(operation)
                ended = clock() - began
                self.rows.append(
                    (operation, ran.outcome, min(ran.retries, 255), due, begun, ended, free > 0, ran.error, ran.written)
                )
        except BaseException as error:  # noqa: BLE001 - as above: a bug of a scenario must not look like a server that is slow
            self.failures.append(error)
        finally:
            session.close()

    def take(self) -> Arrival | None:
        """The next arrival, of whichever thread is free; None at the end."""
        with self.taking:
            return None if self.end.is_set() or self.failures else next(self.arrivals, None)

    def sleep_until(self, due: float) -> bool:
        """Whether the time came, or the end did first."""
        while (left := due - (time.perf_counter() - self.began)) > 0:
            if self.end.is_set():
                return False
            time.sleep(min(left, LONGEST_NAP_S))
        return True

    def beat(self) -> None:
        """How late this process is woken when it asks to be: threads that send are woken as late."""
        while not self.end.is_set():
            asked = time.perf_counter()
            time.sleep(BEAT_S)
            self.ticks.woken_late_s = max(self.ticks.woken_late_s, time.perf_counter() - asked - BEAT_S)

    def collected(self, phase: str, _: object) -> None:
        """The interpreter collects garbage: nothing else runs in this process meanwhile."""
        if phase == "start":
            self.collecting = time.perf_counter()
        elif self.collecting is not None:
            self.ticks.paused_s += time.perf_counter() - self.collecting

    def harvest(self) -> tuple[Samples, Ticks]:
        """What ended since the last time, and what the process knows of itself."""
        found = [self.rows.popleft() for _ in range(len(self.rows))]
        ticks, self.ticks = self.ticks, Ticks()
        ticks.cpu_s = time.process_time()
        return np.array(found, SAMPLE), ticks

    def alive(self) -> bool:
        """Whether any thread has something to do."""
        return any(thread.is_alive() for thread in self.running[1:])

    def close(self) -> None:
        """No more arrivals are begun; those under way are waited for."""
        self.end.set()
        self.gone.set()
        for thread in self.running:
            thread.join()
        gc.callbacks.remove(self.collected)
