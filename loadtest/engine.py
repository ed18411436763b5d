"""Several worker processes on one schedule, and what they report, second by second.

Processes are started with `spawn`, so that none inherits a connection or a thread. Once all have connected they count from one
instant, a little ahead.
"""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, Final

import numpy as np

from etl.errors import OpsError, RefusedError
from loadtest.arrivals import Spacing, Stretch, arrivals
from loadtest.samples import SAMPLE, Samples
from loadtest.worker import Arrival, Session, Ticks, Worker

READY_S: Final = 60.0
"""Within this all processes have to have connected."""
REPORT_S: Final = 1.0
LEAD_S: Final = 0.2
READY: Final = "ready"
END: Final = None


@dataclass(frozen=True)
class Load:
    """What is asked of the server. `weights`: share of each operation, by its number; they need not add up to 1. `threads`: of
    each process. `connect` makes the session of a thread from a number that no other thread of the test has; it is sent to other
    processes, and so is a function or an instance of a module."""

    curve: Sequence[Stretch]
    weights: Sequence[float]
    connect: Callable[[int], Session]
    spacing: Spacing = "poisson"
    seed: int = 1
    processes: int = 1
    threads: int = 64


@dataclass(frozen=True)
class Report:
    """What one process says of about a second. `over`: it has nothing more to do. `trouble`: why it ended early, "" where it did
    not."""

    process: int
    samples: Samples
    ticks: Ticks
    over: bool = False
    trouble: str = ""


def share_of(load: Load, process: int) -> Iterator[Arrival]:
    """Every so many-th arrival, with its operation. Operations are drawn for the whole schedule: they are the same however many
    processes there are."""
    total = sum(load.weights)
    edges = np.cumsum([weight / total for weight in load.weights])
    draw, passed = np.random.default_rng((load.seed, 1)), 0
    for times in arrivals(load.curve, load.spacing, load.seed):
        operations = np.searchsorted(edges, draw.random(times.size), side="right").clip(max=len(edges) - 1)
        mine = slice((process - passed) % load.processes, None, load.processes)
        yield from zip(times[mine].tolist(), operations[mine].tolist(), strict=True)
        passed += times.size


def run_process(load: Load, process: int, pipe: Connection[Any, Any]) -> None:
    """Body of a worker process: report once a second until it is over, or until the other end says so. Ctrl-C reaches every
    process of a terminal; it is the other end that ends the test in order."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    numbers = iter(range(process * load.threads, (process + 1) * load.threads))
    worker = Worker(share_of(load, process), lambda: load.connect(next(numbers)), load.threads)
    try:
        worker.connect_all()
        pipe.send(READY)
        began = pipe.recv()
        if began is not END:
            worker.go(began)
            while worker.alive() and not pipe.poll(REPORT_S):
                pipe.send(Report(process, *worker.harvest()))
    except (EOFError, OSError):
        worker.close()  # nobody is there any more to be told
        return
    except BaseException as error:  # noqa: BLE001 - told by the report
        worker.failures.append(error)
    worker.close()
    with suppress(OSError):
        pipe.send(Report(process, *worker.harvest(), over=True, trouble=told(worker.failures)))


def told(failures: Sequence[BaseException]) -> str:
    """Why a process ended early. Errors of ours hold no data; of any other only the kind is said."""
    if not failures:
        return ""
    first = failures[0]
    return first.message if isinstance(first, OpsError) else f"a bug: {type(first).__name__}"


@contextmanager
def running(load: Load) -> Iterator[Iterator[Report]]:
    """The reports of a test as they come, in no order of the processes. At the end of the block what still runs is ended in
    order: transactions under way are waited for. Raises RefusedError where a process could not connect."""
    context = multiprocessing.get_context("spawn")
    bodies: list[SpawnProcess] = []
    pipes: list[Connection[Any, Any]] = []
    try:
        for process in range(load.processes):
            ours, theirs = context.Pipe()
            bodies.append(context.Process(target=run_process, args=(load, process, theirs), daemon=True))
            pipes.append(ours)
            bodies[-1].start()
            theirs.close()
        for pipe in pipes:
            await_ready(pipe)
        began = time.perf_counter() + LEAD_S
        for pipe in pipes:
            pipe.send(began)
        yield reports(pipes)
    finally:
        for pipe in pipes:
            with suppress(OSError):  # it is over
                pipe.send(END)
        for body, pipe in zip(bodies, pipes, strict=True):
            drain(pipe)
            body.join()


def await_ready(pipe: Connection[Any, Any]) -> None:
    """Until a process has connected. Raises RefusedError with its reason."""
    said: object = None
    with suppress(EOFError, OSError):
        said = pipe.recv() if pipe.poll(READY_S) else None
    if said != READY:
        reason = said.trouble if isinstance(said, Report) else "it was not ready in time, or was ended from outside"
        raise RefusedError(f"A process of the load test did not begin: {reason}", "See what it says, then run it again.")


def reports(pipes: Sequence[Connection[Any, Any]]) -> Iterator[Report]:
    """Until every process is over. One that dies without a word is told as such."""
    left: dict[Any, int] = {pipe: number for number, pipe in enumerate(pipes)}
    while left:
        for pipe in wait(list(left)):
            report = heard(pipe, left[pipe])
            yield report
            if report.over:
                del left[pipe]


def heard(pipe: Any, process: int) -> Report:
    """The next report of a process."""
    try:
        report: Report = pipe.recv()
    except (EOFError, OSError):
        return Report(process, np.empty(0, SAMPLE), Ticks(), over=True, trouble="it was ended from outside")
    return report


def drain(pipe: Connection[Any, Any]) -> None:
    """Read what a process says to the last: a full pipe would keep it from ending."""
    with suppress(EOFError, OSError):
        while True:
            pipe.recv()
    pipe.close()
