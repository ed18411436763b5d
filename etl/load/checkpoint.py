"""What is settled, as rows of membershift.load_checkpoint, committed with the rows they speak of.

A checkpoint's `batch_no` is the number of its first row in the staged chunk; it covers `rows_loaded + rows_rejected` rows
from there. A chunk is known by the hash of its content, so the same rows staged again are settled already, and changed ones
are not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from etl.load.ranges import Rows
from etl.load.sql import sql
from etl.target.bulk import BulkConnection

Covered = dict[str, tuple[Rows, ...]]


@dataclass(frozen=True)
class Checkpoint:
    """One batch: rows `rows` of chunk `chunk_sha`, of which `rejected` went into quarantine."""

    part: str
    chunk_sha: str
    rows: Rows
    rejected: int

    @property
    def loaded(self) -> int:
        """Rows that are on the target, by themselves or in a golden record."""
        return self.rows.size - self.rejected


def read_covered(connection: BulkConnection, state_schema: str, part: str) -> Covered:
    """Settled ranges of each chunk of a part, by the chunk's hash."""
    covered: dict[str, list[Rows]] = defaultdict(list)
    statement = sql(
        "SELECT chunk_sha, batch_no, rows_loaded + rows_rejected "
        "FROM {state}.load_checkpoint WHERE mapping_part = %s ORDER BY chunk_sha, batch_no",
        {"state": state_schema},
    )
    for sha, first, count in connection.query(statement, (part,)):
        covered[str(sha)].append(Rows(int(first), int(first) + int(count)))
    return {sha: tuple(rows) for sha, rows in covered.items()}


def write_checkpoint(connection: BulkConnection, state_schema: str, checkpoint: Checkpoint, run_id: int) -> None:
    """Claim a batch, first thing in its transaction. A duplicate key error means that the batch is settled already: a COMMIT
    whose answer was lost did happen, or another copy was faster."""
    connection.execute(
        sql(
            "INSERT INTO {state}.load_checkpoint "
            "(mapping_part, chunk_sha, batch_no, rows_loaded, rows_rejected, run_id, committed_at) "
            "VALUES (%s, %s, %s, %s, %s, %s, UTC_TIMESTAMP(6))",
            {"state": state_schema},
        ),
        (checkpoint.part, checkpoint.chunk_sha, checkpoint.rows.first, checkpoint.loaded, checkpoint.rejected, run_id),
    )


def correct_checkpoint(connection: BulkConnection, state_schema: str, checkpoint: Checkpoint) -> None:
    """Write the true counts, when the target refused rows that the transform let through. In the same transaction."""
    connection.execute(
        sql(
            "UPDATE {state}.load_checkpoint SET rows_loaded = %s, rows_rejected = %s "
            "WHERE mapping_part = %s AND chunk_sha = %s AND batch_no = %s",
            {"state": state_schema},
        ),
        (checkpoint.loaded, checkpoint.rejected, checkpoint.part, checkpoint.chunk_sha, checkpoint.rows.first),
    )


def settled_rows(covered: Covered, chunks: Sequence[tuple[str, int]]) -> int:
    """How many rows of these chunks (hash, rows) are settled."""
    return sum(min(total, sum(rows.size for rows in covered.get(sha, ()))) for sha, total in chunks)
