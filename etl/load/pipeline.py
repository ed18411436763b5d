"""Loading one part: a reader cuts chunks into batches, several connections transform and write them, and little waits in between.

Transforming is done by the threads that write: while one waits for the target, another computes (polars and the drivers let
go of the interpreter). What is held in memory is one frame in the reader and one batch for each connection and each place in
the queue.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from etl.load.batch import Batch, BatchWriter, Counts, sum_counts
from etl.load.part import LoadPart
from etl.load.ranges import Rows, cut
from etl.load.work import Work
from etl.progress import Progress

TICK_S: Final = 0.5
KEEP_ALIVE_S: Final = 15.0


@dataclass(frozen=True)
class Piece:
    """A batch before it is transformed."""

    chunk_sha: str
    rows: Rows
    frame: pl.DataFrame


class Tally:
    """Sums counts from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.total = Counts()

    def add(self, counts: Counts) -> None:
        """Count one batch."""
        with self._lock:
            self.total = sum_counts(self.total, counts)


class Pipeline:
    """One part's reader and writers. `run` returns when all is settled, or raises the first error of any thread."""

    def __init__(self, part: LoadPart, writers: Sequence[BatchWriter], batch_rows: int, progress: Progress) -> None:
        self.part = part
        self.writers = writers
        self.batch_rows = batch_rows
        self.progress = progress
        self.pieces: queue.Queue[Piece | None] = queue.Queue(maxsize=len(writers))
        self.stop = threading.Event()
        self.failures: list[BaseException] = []
        self.tally = Tally()

    def run(self, works: Sequence[Work], keep_alive: Callable[[], None]) -> Counts:
        """Load `works`. `keep_alive` is called now and then while waiting.

        On KeyboardInterrupt the batches being written are finished, nothing new is begun, and the interrupt goes on.
        """
        threads = [threading.Thread(target=self.guard, args=(self.read, works), name=f"read {self.part.name}")]
        threads += [
            threading.Thread(target=self.guard, args=(self.write, writer), name=f"write {self.part.name}")
            for writer in self.writers
        ]
        for thread in threads:
            thread.start()
        try:
            self.wait_for(threads, keep_alive)
        except BaseException:
            self.stop.set()
            for thread in threads:
                thread.join()
            raise
        if self.failures:
            raise self.failures[0]
        return self.tally.total

    def wait_for(self, threads: Sequence[threading.Thread], keep_alive: Callable[[], None]) -> None:
        """Wait until all threads ended, staying open to interrupts."""
        told = time.monotonic()
        for thread in threads:
            while thread.is_alive():
                thread.join(TICK_S)
                if time.monotonic() - told > KEEP_ALIVE_S:
                    keep_alive()
                    told = time.monotonic()

    def guard(self, action: Callable[..., None], *arguments: object) -> None:
        """Run a thread's work; its failure stops all others."""
        try:
            action(*arguments)
        except BaseException as error:  # noqa: BLE001 - handed over to the thread that waits, which raises it
            self.failures.append(error)
            self.stop.set()

    def read(self, works: Sequence[Work]) -> None:
        """Put batches into the queue, then one None for each writer."""
        for piece in self.cut_pieces(works):
            if not self.put(piece):
                return
        for _ in self.writers:
            self.put(None)

    def cut_pieces(self, works: Sequence[Work]) -> Iterator[Piece]:
        """The wanted rows of all chunks, a batch at a time."""
        for work in works:
            for first, frame in cut(work.chunk.read(self.part.transform.source_columns), work.wanted, self.batch_rows):
                yield Piece(work.chunk.sha256, Rows(first, first + frame.height), frame)

    def put(self, piece: Piece | None) -> bool:
        """Wait for a place in the queue; False when all is to stop."""
        while not self.stop.is_set():
            try:
                self.pieces.put(piece, timeout=TICK_S)
            except queue.Full:
                continue
            return True
        return False

    def write(self, writer: BatchWriter) -> None:
        """Transform and commit batches until there are none."""
        while not self.stop.is_set():
            try:
                piece = self.pieces.get(timeout=TICK_S)
            except queue.Empty:
                continue
            if piece is None:
                return
            self.tally.add(writer.write(transformed(self.part, piece)))
            self.progress.advance(self.part.name, piece.rows.size)


def transformed(part: LoadPart, piece: Piece) -> Batch:
    """A batch ready to write."""
    outcome = part.transform.apply(piece.frame)
    keys = part.transform.source_keys(piece.frame)
    if outcome.kept is not None:
        keys = keys.filter(outcome.kept)
    return Batch(part, piece.chunk_sha, piece.rows, outcome, keys)
