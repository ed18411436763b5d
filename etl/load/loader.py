"""Loads parts one after another through the same connections, and keeps count."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import TypeVar

from etl.load.batch import BatchWriter, Counts, sum_counts
from etl.load.checkpoint import Covered, read_covered
from etl.load.crosswalk import Resolve
from etl.load.members import plan_accepted, plan_members
from etl.load.model import ReasonCount, TableLoad
from etl.load.part import LoadPart
from etl.load.pipeline import Pipeline
from etl.load.prepare import Prepared
from etl.load.rejects import open_keys
from etl.load.runs import RunRecord, begin_run, finish_run
from etl.load.work import Work
from etl.progress import Progress
from etl.target.connect import connect_bulk
from etl.target.retry import with_retries

Result = TypeVar("Result")


class Loader:
    """One run's connections and counts."""

    def __init__(
        self,
        prepared: Prepared,
        writers: Sequence[BatchWriter],
        record: RunRecord,
        keep_alive: Callable[[], None],
        progress: Progress,
    ) -> None:
        self.prepared = prepared
        self.writers = writers
        self.record = record
        self.keep_alive = keep_alive
        self.progress = progress
        self.counts: dict[str, Counts] = {}
        self.seconds: dict[str, float] = {}

    @property
    def run_id(self) -> int:
        """The row of load_run."""
        return self.record.run_id

    def covered(self, part: LoadPart) -> Covered:
        """What of a part is settled by now."""
        prepared = self.prepared
        return self.retried(lambda: read_covered(prepared.connection, prepared.state_schema, part.name))

    def plan_members(self, part: LoadPart) -> None:
        """Settle the ids of the members that a part defines, if it does and any is still to load."""
        if part.system is None or self.prepared.crosswalk.is_planned(part.system.name):
            return
        if sum(rows.size for ranges in self.covered(part).values() for rows in ranges) < part.rows or part.rows == 0:
            plan_members(self.prepared, part, self.record)

    @contextmanager
    def accepted_only(self) -> Iterator[Callable[[LoadPart], None]]:
        """Inside, the function given lets rows of other parts find only those members of a part that the mapping accepts."""
        crosswalk = self.prepared.crosswalk
        plans: dict[str, Resolve] = {}

        def restrict(part: LoadPart) -> None:
            plan = None if part.system is None else crosswalk.planned(part.system.name)
            if part.system is not None and plan is not None:
                plans[part.system.name] = plan
                plan_accepted(self.prepared, part)

        try:
            yield restrict
        finally:
            for system, plan in plans.items():
                crosswalk.plan(system, plan)

    def forget_planned(self, part: LoadPart) -> None:
        """The members of a part are loaded: from now on only those on the target count."""
        if part.system is not None:
            self.prepared.crosswalk.forget(part.system.name)

    def load(self, part: LoadPart, works: Sequence[Work]) -> None:
        """Load rows of a part; returns when all of them are settled."""
        began = time.monotonic()
        rows = sum(work.rows for work in works)
        self.progress.start(part.name, rows)
        if rows:
            self.read_crosswalk(part)
            waiting = self.retried(lambda: open_keys(self.prepared.connection, self.prepared.state_schema, part.name))
            writers = [replace(writer, waiting=waiting) for writer in self.writers]
            counts = Pipeline(part, writers, self.prepared.settings.load.batch_rows, self.progress).run(works, self.keep_alive)
            self.counts[part.name] = sum_counts(self.counts.get(part.name, Counts()), counts)
        self.progress.finish(part.name)
        self.seconds[part.name] = self.seconds.get(part.name, 0.0) + time.monotonic() - began

    def read_crosswalk(self, part: LoadPart) -> None:
        """Have the member ids at hand before several threads ask for them."""
        for system in part.transform.systems:
            self.retried(partial(self.prepared.crosswalk.known, system))
        if part.system is not None:
            self.retried(partial(self.prepared.crosswalk.merged, part.system.name))

    def table_load(self, part: LoadPart) -> TableLoad:
        """What this run did to a part."""
        counts = self.counts.get(part.name, Counts())
        return TableLoad(
            part=part.name,
            target=part.table,
            source=part.source,
            staged=part.rows,
            before=self.prepared.settled(part),
            loaded=counts.loaded,
            unchanged=counts.unchanged,
            rejected=counts.rejected,
            noted=counts.noted,
            merged=counts.merged,
            seconds=self.seconds.get(part.name, 0.0),
            reasons=tuple(ReasonCount(*reason) for reason in counts.reasons),
        )

    def retried(self, action: Callable[[], Result]) -> Result:
        """Read from the target, riding out a restart."""

        def attempt() -> Result:
            with self.prepared.connection.transaction():
                return action()

        return with_retries(attempt, retries=self.prepared.settings.target.retries, progress=self.progress)


@contextmanager
def open_loader(prepared: Prepared, command: str, keep_alive: Callable[[], None], progress: Progress) -> Iterator[Loader]:
    """Connections for [load] connections writers, and a row of load_run that says how it ended."""
    settings = prepared.settings
    details = {"parts": {part.name: part.fingerprint for part in prepared.parts}}
    run_id = begin_run(prepared.connection, prepared.state_schema, command, details)
    record = RunRecord(prepared.connection, prepared.state_schema, run_id, dict(details))
    status = "failed"
    try:
        with ExitStack() as stack:
            writers = []
            for _ in range(settings.load.connections):
                connection = connect_bulk(settings.target)
                stack.callback(connection.close)
                writers.append(
                    BatchWriter(connection, prepared.schema, prepared.state_schema, run_id, settings.target.retries, progress)
                )
            yield Loader(prepared, writers, record, keep_alive, progress)
        status = "done"
    except KeyboardInterrupt:
        status = "stopped"
        raise
    finally:
        finish_run(prepared.connection, prepared.state_schema, run_id, status)
