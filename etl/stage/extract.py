"""Reading chunks in parallel: each worker has a connection of its own, in a snapshot of its own for each table."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final

import pyarrow as pa

from etl.names import SourceTable
from etl.progress import Progress
from etl.source.catalog import Catalog, Table
from etl.source.connect import Snapshot, Source
from etl.source.errors import ServerError
from etl.source.extract import select_statement
from etl.source.gentle import Gentle
from etl.source.ranges import range_condition
from etl.source.versions import Versions, was_changed
from etl.stage.manifest import Manifest, TableEntry
from etl.stage.plan import ChunkTask
from etl.stage.write import WrittenChunk, write_chunk

_WAKE_S: Final = 0.2


class Stopped(Exception):
    """Another worker failed, or the user interrupted: leave the chunk unfinished."""


class Extraction:
    """One run of `extract_chunks`: what its workers share."""

    def __init__(
        self, source: Source, manifest: Manifest, stage_dir: Path, gentle: Gentle, progress: Progress, tasks: Sequence[ChunkTask]
    ) -> None:
        self.source = source
        self.manifest = manifest
        self.stage_dir = stage_dir
        self.gentle = gentle
        self.progress = progress
        self.tasks: queue.SimpleQueue[ChunkTask] = queue.SimpleQueue()
        self.open_chunks: dict[SourceTable, int] = {}
        self.moved: set[SourceTable] = set()
        self.rows = 0
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        for task in tasks:
            self.tasks.put(task)
            self.open_chunks[task.table.name] = self.open_chunks.get(task.table.name, 0) + 1

    def run(self, workers: int) -> None:
        """Work until every task is done; raise the first failure after all workers have stopped."""
        with ThreadPoolExecutor(workers, thread_name_prefix="stage") as pool:
            working = {pool.submit(self._work) for _ in range(workers)}
            try:
                while working:
                    # Woken now and then: polars handles signals so that a plain wait does not notice Ctrl-C.
                    ended, working = wait(working, timeout=_WAKE_S, return_when=FIRST_COMPLETED)
                    for one in ended:
                        one.result()
            finally:  # failed or interrupted: the other workers stop at their next batch
                self.stopping.set()

    def _work(self) -> None:
        """Take tasks until none is left or somebody failed."""
        worker = Worker(self)
        try:
            while not self.stopping.is_set():
                task = self.tasks.get_nowait()
                self.gentle.wait(self.stopping.is_set)
                self._finish(task, self.source.retrying(partial(worker.take, task)))
        except (queue.Empty, Stopped):
            return
        finally:
            worker.close()

    def _finish(self, task: ChunkTask, written: WrittenChunk) -> None:
        """Commit the chunk; after a table's last one, ask whether the table was written to meanwhile."""
        name = task.table.name
        self.manifest.finish_chunk(name, task.chunk.range.index, rows=written.rows, size=written.bytes, sha256=written.sha256)
        with self._lock:
            self.rows += written.rows
            self.open_chunks[name] -= 1
            last = self.open_chunks[name] == 0
        if last:
            finish_table(self.source, self.manifest, task.table, task.entry, moved=name in self.moved)
            self.progress.finish(str(name))


class Worker:
    """One connection. It reads each table in a snapshot of its own, and is replaced after any failure."""

    def __init__(self, extraction: Extraction) -> None:
        self._run = extraction
        self._open = ExitStack()
        self._snapshot: Snapshot | None = None
        self._reading: SourceTable | None = None

    def take(self, task: ChunkTask) -> WrittenChunk:
        """Read one chunk into its file. A failure leaves no file, and a fresh connection for the next attempt."""
        try:
            return self._take(task, self._snapshot_for(task.table.name))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Leave the snapshot."""
        self._snapshot = None
        self._reading = None
        self._open.close()

    def _snapshot_for(self, name: SourceTable) -> Snapshot:
        """The snapshot of this table: a long one would make the server keep old row versions for hours."""
        if self._snapshot is None or self._reading is None or self._reading.database != name.database:
            self.close()
            self._snapshot = self._open.enter_context(self._run.source.snapshot(name.database))
        elif self._reading != name:
            self._snapshot.renew()
        self._reading = name
        return self._snapshot

    def _take(self, task: ChunkTask, snapshot: Snapshot) -> WrittenChunk:
        table, part = task.table, task.chunk.range
        condition = range_condition(task.entry.chunk_column, part.low, part.high)
        batches = snapshot.session.arrow_batches(select_statement(table, condition), task.entry.schema)
        shown = 0

        def counted() -> Iterator[pa.RecordBatch]:
            nonlocal shown
            for batch in batches:
                if self._run.stopping.is_set():
                    raise Stopped
                shown += batch.num_rows
                self._run.progress.advance(str(table.name), batch.num_rows)
                yield batch

        def check_rows(rows: int) -> None:
            self._compare_count(task, snapshot, condition, rows)

        try:
            return write_chunk(self._run.stage_dir / task.chunk.file, task.entry.schema, counted(), check_rows)
        except BaseException:
            self._run.progress.advance(str(table.name), -shown)
            raise

    def _compare_count(self, task: ChunkTask, snapshot: Snapshot, condition: str, rows: int) -> None:
        """Compare with what the server counts: a check that does not depend on how a driver tells the end of its rows.

        Within a snapshot both must agree; without one the difference may be somebody's write, which is then reported.
        """
        sql = " ".join(["SELECT COUNT_BIG(*) FROM", task.table.name.quoted, f"WHERE {condition}" if condition else ""])
        there = int(snapshot.session.query(sql)[0][0])
        if there == rows:
            return
        if snapshot.consistent:
            raise ServerError(
                f"{task.table.name}: the driver gave {rows} rows where the server counts {there}.",
                'Run the same command again; if it stays, use [source] driver = "plain".',
                transient=True,
            )
        self._run.moved.add(task.table.name)


def extract_chunks(
    source: Source,
    manifest: Manifest,
    stage_dir: Path,
    tasks: Sequence[ChunkTask],
    *,
    parallel: int,
    gentle: Gentle,
    progress: Progress,
) -> int:
    """Read `tasks` with `parallel` connections; return the rows read. What is done when it fails stays done."""
    extraction = Extraction(source, manifest, stage_dir, gentle, progress, tasks)
    extraction.run(min(parallel, max(1, len(tasks))))
    return extraction.rows


def finish_table(source: Source, manifest: Manifest, table: Table, entry: TableEntry, *, moved: bool) -> None:
    """Note that a table is whole, and whether it was written to since its versions were noted."""
    versions = Versions(entry.ct_version, entry.row_version)
    manifest.finish_table(table.name, changed=True if moved else was_changed(source, table, versions))


def finish_whole_tables(source: Source, catalog: Catalog, manifest: Manifest) -> None:
    """Finish tables whose last chunk was committed by a run that was killed before it could say so: they have no task left."""
    for entry in manifest.tables():
        table = catalog.tables.get(entry.name)
        if table is not None and entry.finished_at is None and all(chunk.done for chunk in manifest.chunks(entry.name)):
            finish_table(source, manifest, table, entry, moved=False)
