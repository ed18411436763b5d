"""Which rows of which chunks to load now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from etl.load.checkpoint import Covered
from etl.load.part import Chunk, LoadPart
from etl.load.ranges import Rows, first_share, intersect, uncovered


@dataclass(frozen=True)
class Work:
    """Rows of one chunk."""

    chunk: Chunk
    wanted: tuple[Rows, ...]

    @property
    def rows(self) -> int:
        """How many rows are wanted."""
        return sum(rows.size for rows in self.wanted)


def pending_work(part: LoadPart, covered: Covered) -> tuple[Work, ...]:
    """All rows of a part that are not settled."""
    return only_pending([Work(chunk, (Rows(0, chunk.rows),)) for chunk in part.chunks if chunk.rows], covered)


def canary_work(part: LoadPart, share: float, batch_rows: int) -> tuple[Work, ...]:
    """A share of a part, settled or not: the first rows of each block, in blocks whose canary is one batch."""
    block_rows = max(1, round(batch_rows / share))
    return tuple(Work(chunk, first_share(chunk.rows, share, block_rows)) for chunk in part.chunks if chunk.rows)


def only_pending(works: Sequence[Work], covered: Covered) -> tuple[Work, ...]:
    """What of `works` is not settled."""
    left = (
        Work(work.chunk, intersect(work.wanted, uncovered(work.chunk.rows, covered.get(work.chunk.sha256, ())))) for work in works
    )
    return tuple(work for work in left if work.wanted)
