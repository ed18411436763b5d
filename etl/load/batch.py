"""One batch, one transaction: its checkpoint, good rows, crosswalk entries of its members, and rejects; all of it or nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Final

import polars as pl

from etl.load.checkpoint import Checkpoint, correct_checkpoint, write_checkpoint
from etl.load.isolate import load_exactly
from etl.load.links import load_links
from etl.load.part import LoadPart
from etl.load.ranges import Rows
from etl.load.rejects import settle, write_rejects
from etl.load.sorted_rows import Sorted
from etl.mapping.outcome import TransformOutcome
from etl.progress import Progress
from etl.target.bulk import BulkConnection
from etl.target.errors import ServerError, describe
from etl.target.retry import with_retries

DUPLICATE_KEY: Final = 1062
WRITE_CONFLICT: Final = 9007


@dataclass(frozen=True)
class Batch:
    """Rows `rows` of a chunk, transformed. `keys` are the source keys of `outcome.rows`, `all_keys` (in a retry) of every row."""

    part: LoadPart
    chunk_sha: str
    rows: Rows
    outcome: TransformOutcome
    keys: pl.Series
    all_keys: pl.Series | None = None


@dataclass(frozen=True)
class Counts:
    """What became of rows. `merged`: their member is one with others, whose golden record is there. `reasons` counts findings by
    (column, reason)."""

    loaded: int = 0
    unchanged: int = 0
    rejected: int = 0
    noted: int = 0
    reasons: tuple[tuple[str, str, int], ...] = ()
    merged: int = 0


@dataclass(frozen=True)
class BatchWriter:
    """Writes batches through one connection. `waiting` are source keys of the part that were in quarantine when it began: rows of
    these are settled."""

    connection: BulkConnection
    schema: str
    state_schema: str
    run_id: int
    retries: int
    progress: Progress
    waiting: frozenset[str] = frozenset()

    def write(self, batch: Batch, *, checkpointed: bool = True) -> Counts:
        """Commit one batch exactly once, riding out conflicts and lost connections. Raises ServerError.

        A batch that another copy has committed counts as nothing done. Without a checkpoint a batch may be written again: rows
        that are there already are then unchanged.
        """
        reached_commit: list[Counts] = []

        def attempt() -> Counts:
            begin(self.connection)
            try:
                counts = self.fill_transaction(batch, checkpointed=checkpointed)
                if counts is not None:
                    reached_commit.append(counts)
                commit(self.connection)
            except BaseException as error:
                if not (isinstance(error, ServerError) and error.lost):
                    reached_commit.clear()  # it is certain that nothing was committed
                self.connection.rollback()
                raise
            return reached_commit[-1] if reached_commit else Counts()

        return with_retries(attempt, retries=self.retries, progress=self.progress)

    def fill_transaction(self, batch: Batch, *, checkpointed: bool) -> Counts | None:
        """Everything a batch writes, between BEGIN and COMMIT; None when it is there already: the answer to our COMMIT was lost,
        or another copy was faster."""
        settled = batch.outcome.rows.height + batch.outcome.merged
        checkpoint = Checkpoint(batch.part.name, batch.chunk_sha, batch.rows, batch.rows.size - settled)
        if checkpointed and not self.claim(checkpoint):
            return None
        result = load_exactly(self.connection, batch.part, batch.outcome.rows, batch.keys)
        refused = result.findings_frame()
        if result.refused:
            checkpoint = replace(checkpoint, rejected=checkpoint.rejected + len(result.refused))
            if checkpointed:
                correct_checkpoint(self.connection, self.state_schema, checkpoint)
        self.settle_loaded(batch, result)
        self.write_findings(batch, refused)
        if batch.outcome.links is not None and batch.part.system is not None:
            links = without_rows(batch.outcome.links, result.refused)
            load_links(self.connection, self.schema, batch.part.system.name, links)
        findings = pl.concat([batch.outcome.rejects, refused])
        return Counts(
            loaded=checkpoint.loaded - len(result.unchanged) - batch.outcome.merged,
            unchanged=len(result.unchanged),
            rejected=checkpoint.rejected,
            noted=batch.outcome.notes.height,
            merged=batch.outcome.merged,
            reasons=count_reasons(findings),
        )

    def claim(self, checkpoint: Checkpoint) -> bool:
        """Write the checkpoint; False when it is there already."""
        try:
            write_checkpoint(self.connection, self.state_schema, checkpoint, self.run_id)
        except ServerError as error:
            if error.number != DUPLICATE_KEY:
                raise
            return False
        return True

    def write_findings(self, batch: Batch, refused: pl.DataFrame) -> None:
        """Rejects of the transform and of the target, and notes, which are settled from the start: their rows are loaded."""
        part = batch.part
        for findings, settled in ((batch.outcome.notes, True), (batch.outcome.rejects, False), (refused, False)):
            if not findings.is_empty():
                write_rejects(
                    self.connection, self.state_schema, findings,
                    part=part.name, source=part.source, target=part.table, run_id=self.run_id, settled=settled,
                )  # fmt: skip

    def settle_loaded(self, batch: Batch, result: Sorted) -> None:
        """Rows that waited in quarantine and are loaded now. In a retry all lines are: those that hold are written anew."""
        if batch.all_keys is not None:
            settle(self.connection, self.state_schema, batch.part.name, batch.all_keys.to_list())
            return
        if not self.waiting or batch.keys.is_empty():
            return
        refused = set(result.refused)
        loaded = [str(key) for row, key in enumerate(batch.keys) if row not in refused and str(key) in self.waiting]
        settle(self.connection, self.state_schema, batch.part.name, loaded)


def begin(connection: BulkConnection) -> None:
    """Begin a transaction. On TiDB an optimistic one: nobody else writes these rows, and a lock for each costs a fifth of the
    server's work. Keys are still checked by each statement, not only by COMMIT, so that it is known which row is a duplicate."""
    if connection.is_tidb:
        connection.begin("BEGIN OPTIMISTIC")
        connection.execute("SET @@SESSION.tidb_constraint_check_in_place = 1")
    else:
        connection.begin()


def commit(connection: BulkConnection) -> None:
    """Commit. A key that somebody else took meanwhile is a conflict like others: done again, the transaction sees it."""
    try:
        connection.commit()
    except ServerError as error:
        if error.number == DUPLICATE_KEY:
            raise describe(WRITE_CONFLICT) from error
        raise


def without_rows(frame: pl.DataFrame, numbers: list[int]) -> pl.DataFrame:
    """`frame` without the rows of these numbers."""
    if not numbers:
        return frame
    return frame.with_row_index("__row").filter(~pl.col("__row").is_in(numbers)).drop("__row")


def count_reasons(findings: pl.DataFrame) -> tuple[tuple[str, str, int], ...]:
    """(column, reason, how many), most first."""
    counted = (
        findings.group_by("column_name", "reason").len().sort("len", "column_name", "reason", descending=[True, False, False])
    )
    return tuple((column or "", reason, int(count)) for column, reason, count in counted.iter_rows())


def sum_counts(left: Counts, right: Counts) -> Counts:
    """Both together."""
    reasons = Counter({(column, reason): rows for column, reason, rows in left.reasons})
    for column, reason, rows in right.reasons:
        reasons[column, reason] += rows
    return Counts(
        left.loaded + right.loaded,
        left.unchanged + right.unchanged,
        left.rejected + right.rejected,
        left.noted + right.noted,
        tuple((column, reason, rows) for (column, reason), rows in reasons.most_common()),
        left.merged + right.merged,
    )
