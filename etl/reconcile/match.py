"""Find the rows in which two streams of typed rows differ, whatever the order of either, in bounded memory.

Neither server's order of keys is trusted: SQL Server's collations, its order of GUIDs and TiDB's utf8mb4_bin all differ. Rows
wait in memory until their equal comes on the other side, and both leave. Where the two orders agree, as they do for integers,
only a batch or two waits; where they do not, what waits beyond a limit goes to disk, apart by a hash of its key, and is
settled partition by partition at the end. So order decides how much is written, never what is found.

Rows are equal when every column has the same typed value: nothing is joined into one text, trimmed, rounded or hashed into a
checksum.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from etl.reconcile.spill import Side, Spill

MEMORY_BYTES: Final = 48 * 2**20
"""How much may wait in memory, both sides together."""


@dataclass(frozen=True)
class Unmatched:
    """Rows without an equal on the other side, of one part of the keys: every row of a key that is here at all is here,
    except those that had an equal. Columns as they came in."""

    expected: pl.DataFrame
    actual: pl.DataFrame


class Matcher:
    """Takes batches of both sides in any order; `equal` counts the pairs that left.

    `key` and `compared` are columns that both sides have, with the same types. Each side may carry further columns.
    """

    def __init__(self, key: Sequence[str], compared: Sequence[str], spill: Spill, memory_bytes: int = MEMORY_BYTES) -> None:
        self.key = list(key)
        self.compared = list(compared)
        self.spill = spill
        self.memory_bytes = memory_bytes
        self.waiting: dict[Side, pl.DataFrame | None] = {"expected": None, "actual": None}
        self.seen: dict[Side, int] = {"expected": 0, "actual": 0}
        self.equal = 0

    def add(self, side: Side, batch: pl.DataFrame) -> None:
        """Take a batch of one side and let go of what now has its equal."""
        self.seen[side] += batch.height
        before = self.waiting[side]
        self.waiting[side] = batch if before is None or before.is_empty() else pl.concat([before, batch], how="vertical")
        expected, actual = self.waiting["expected"], self.waiting["actual"]
        if expected is None or actual is None:
            self.spill_beyond_limit()
            return
        left = without_equals(expected, actual, self.key, self.compared)
        self.equal += left.dropped
        self.waiting = {"expected": left.expected, "actual": left.actual}
        self.spill_beyond_limit()

    def waiting_rows(self, side: Side) -> int:
        """How many rows of a side wait in memory."""
        rows = self.waiting[side]
        return 0 if rows is None else rows.height

    def spill_beyond_limit(self) -> None:
        """Put everything that waits on disk once it takes more than the limit."""
        size = sum(rows.estimated_size() for rows in self.waiting.values() if rows is not None)
        if size > self.memory_bytes:
            self.spill_all()

    def spill_all(self) -> None:
        """Put everything that waits on disk."""
        for side, rows in self.waiting.items():
            if rows is not None:
                self.spill.write(side, rows)
                self.waiting[side] = rows.clear()

    def finish(self) -> Iterator[Unmatched]:
        """What is left when both streams have ended, one partition at a time."""
        if not any(self.seen.values()):
            return
        if self.spill.used:
            self.spill_all()
            for partition in range(self.spill.partitions):
                yield self.settle(self.spill.read("expected", partition), self.spill.read("actual", partition))
        else:
            yield self.settle(self.waiting["expected"], self.waiting["actual"])

    def settle(self, expected: pl.DataFrame | None, actual: pl.DataFrame | None) -> Unmatched:
        """The last meeting of rows that have waited. A side without a row has the other's columns."""
        nothing = pl.DataFrame()
        left = expected if expected is not None else nothing if actual is None else actual.clear()
        right = actual if actual is not None else left.clear()
        rest = without_equals(left, right, self.key, self.compared, in_step=False)
        self.equal += rest.dropped
        return Unmatched(rest.expected, rest.actual)


@dataclass(frozen=True)
class WithoutEquals:
    """Both sides without the pairs that are equal; `dropped` counts the pairs."""

    expected: pl.DataFrame
    actual: pl.DataFrame
    dropped: int


def without_equals(
    expected: pl.DataFrame, actual: pl.DataFrame, key: Sequence[str], compared: Sequence[str], *, in_step: bool = True
) -> WithoutEquals:
    """Take away, from both sides, rows that are equal in key and compared columns. Equal rows leave in pairs: of three on one
    side and two on the other, one stays. `in_step` allows the short cut for keys that agree place by place; it may leave
    equals of a key that occurs twice.
    """
    dropped = 0
    while not expected.is_empty() and not actual.is_empty():
        pairs = equal_pairs(expected, actual, key, compared, in_step)
        chosen = pairs.unique("e", keep="first", maintain_order=True).unique("a", keep="first", maintain_order=True)
        dropped += chosen.height
        expected, actual = without_rows(expected, chosen["e"]), without_rows(actual, chosen["a"])
        if chosen.height == pairs.height:  # every row had one equal: no key occurs twice
            break
    return WithoutEquals(expected, actual, dropped)


def equal_pairs(
    expected: pl.DataFrame, actual: pl.DataFrame, key: Sequence[str], compared: Sequence[str], in_step: bool
) -> pl.DataFrame:
    """Row numbers (`e`, `a`) of pairs with one key and equal compared columns. NULL equals NULL, NaN equals NaN, and nothing
    else is forgiven."""
    common = min(expected.height, actual.height)
    if in_step and keys_agree(expected, actual, key, common):
        rows = pl.int_range(common, dtype=pl.UInt32, eager=True)
        pairs = pl.DataFrame({"e": rows, "a": rows})
        mask = columns_equal(expected.head(common), actual.head(common), compared)
    else:
        left, right = (side.select(key).with_row_index(name) for side, name in ((expected, "e"), (actual, "a")))
        pairs = left.join(right, on=list(key), how="inner").select("e", "a")
        left, right = (side.select(*key, *compared) for side in (expected, actual))
        mask = columns_equal(left[pairs["e"]], right[pairs["a"]], compared)
    return pairs if mask is None else pairs.filter(mask)


def keys_agree(expected: pl.DataFrame, actual: pl.DataFrame, key: Sequence[str], height: int) -> bool:
    """Whether the first `height` keys are the same, place by place: then no join is needed."""
    return all((expected[name].head(height) == actual[name].head(height)).all(ignore_nulls=False) is True for name in key)


def columns_equal(left: pl.DataFrame, right: pl.DataFrame, compared: Sequence[str]) -> pl.Series | None:
    """For each place whether all compared columns are equal; None when there is nothing to compare."""
    mask: pl.Series | None = None
    for name in compared:
        equal = left[name].eq_missing(right[name])
        mask = equal if mask is None else mask & equal
    return mask


def without_rows(rows: pl.DataFrame, numbers: pl.Series) -> pl.DataFrame:
    """Rows except those with these numbers."""
    if numbers.len() in (0, rows.height):
        return rows.clear() if numbers.len() else rows
    keep = pl.repeat(True, rows.height, eager=True).scatter(numbers, False)
    return rows.filter(keep)
