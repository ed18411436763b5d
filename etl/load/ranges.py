"""Which rows of a staged chunk are settled and which are still to load, as ranges of row numbers.

A checkpoint says where in its chunk a batch began and how many rows it settled, so the size of batches may change between
runs: what is still to do is what no checkpoint covers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import polars as pl


class Rows(NamedTuple):
    """Rows `first` up to, not including, `end` of a chunk."""

    first: int
    end: int

    @property
    def size(self) -> int:
        """How many rows."""
        return self.end - self.first


def uncovered(total: int, covered: Iterable[Rows]) -> tuple[Rows, ...]:
    """What of 0..total no range of `covered` holds. They may come in any order.

    >>> uncovered(10, [Rows(4, 6), Rows(0, 2)])
    (Rows(first=2, end=4), Rows(first=6, end=10))
    """
    left: list[Rows] = []
    at = 0
    for rows in sorted(covered):
        if min(rows.first, total) > at:
            left.append(Rows(at, min(rows.first, total)))
        at = max(at, rows.end)
    if at < total:
        left.append(Rows(at, total))
    return tuple(left)


def first_share(total: int, share: float, block_rows: int) -> tuple[Rows, ...]:
    """The first `share` of each block of `block_rows` rows: a canary spread over the whole chunk, at least one row of each block.

    >>> first_share(250, 0.1, 100)
    (Rows(first=0, end=10), Rows(first=100, end=110), Rows(first=200, end=205))
    """
    chosen = []
    for first in range(0, total, block_rows):
        size = min(block_rows, total - first)
        chosen.append(Rows(first, first + max(1, round(size * share))))
    return tuple(chosen)


def intersect(left: Sequence[Rows], right: Sequence[Rows]) -> tuple[Rows, ...]:
    """What lies in both; each given in order, without overlaps.

    >>> intersect([Rows(0, 5), Rows(8, 12)], [Rows(3, 9)])
    (Rows(first=3, end=5), Rows(first=8, end=9))
    """
    found: list[Rows] = []
    i = j = 0
    while i < len(left) and j < len(right):
        first, end = max(left[i].first, right[j].first), min(left[i].end, right[j].end)
        if first < end:
            found.append(Rows(first, end))
        if left[i].end < right[j].end:
            i += 1
        else:
            j += 1
    return tuple(found)


def cut(frames: Iterable[pl.DataFrame], wanted: Sequence[Rows], batch_rows: int) -> Iterator[tuple[int, pl.DataFrame]]:
    """Cut a chunk, read as consecutive frames, into batches of at most `batch_rows` wanted rows: (first row, rows).

    Stops reading once nothing more is wanted.
    """
    at = 0
    last = wanted[-1].end if wanted else 0
    for frame in frames:
        here = intersect([Rows(at, at + frame.height)], wanted) if frame.height else ()
        for rows in here:
            for first in range(rows.first, rows.end, batch_rows):
                taken = min(batch_rows, rows.end - first)
                yield first, frame.slice(first - at, taken)
        at += frame.height
        if at >= last:
            return
