"""New member ids for systems whose own ids cannot be kept.

Ids depend only on what is staged: all keys of a system without a member, in byte order, take the numbers of one block. The
block is reserved, and noted in load_run, in one transaction before any row is loaded. A run that was killed finds its block
again: the keys that have an id from it, together with those that have none, are the keys that it was reserved for. So going
on gives every key the id it would have got.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from etl.errors import RefusedError
from etl.load.key_index import KeyIndex, KeyIndexBuilder, in_buckets, longest_key, sorted_buckets
from etl.load.runs import RunRecord
from etl.load.sql import sql
from etl.target.bulk import BulkConnection

ALLOCATOR: Final = "member"
FIRST_ID: Final = 2**32
BUCKET_KEYS: Final = 400_000
ReadKeys = Callable[[], Iterable[pl.Series]]
"""Reads all legacy ids of a system (String) once more."""


@dataclass(frozen=True)
class Block:
    """Numbers `first` up to, not including, `first + count`."""

    first: int
    count: int

    def holds(self, ids: pl.Series) -> pl.Series:
        """Which ids come from this block."""
        return ((ids >= self.first) & (ids < self.first + self.count)).fill_null(False)


@dataclass(frozen=True)
class NumberedKeys:
    """Every key that takes an id from a block. `fits`: keys that had one already have the one they would get again."""

    index: KeyIndex
    count: int
    fits: bool


def number_keys(folder: Path, read_keys: ReadKeys, known: KeyIndex, block: Block | None, first: int) -> NumberedKeys:
    """Number, from `first` on, the keys without a member and those whose id comes from `block`, in byte order.

    Memory is bounded: keys are cut into buckets by their order, and each bucket is collected by a pass of its own over the keys.
    """
    count, fits = 0, True
    bounds = sorted_buckets(read_keys(), BUCKET_KEYS)
    with KeyIndexBuilder(folder, longest_key(read_keys())) as builder:
        for low, high in in_buckets(bounds):
            bucket = collect_bucket(read_keys(), low, high)
            ids = known.lookup(bucket)
            wanted = ids.is_null() if block is None else ids.is_null() | block.holds(ids)
            bucket, ids = bucket.filter(wanted), ids.filter(wanted)
            numbers = pl.Series(np.arange(first + count, first + count + len(bucket), dtype=np.int64))
            fits = fits and bool((ids.is_null() | (ids == numbers).fill_null(False)).all())
            builder.add(bucket, numbers)
            count += len(bucket)
        return NumberedKeys(builder.finish(), count, fits)


def collect_bucket(keys: Iterable[pl.Series], low: str | None, high: str | None) -> pl.Series:
    """Distinct keys from `low` up to, not including, `high`, in byte order."""
    found = [pl.Series([], dtype=pl.String)]
    for series in keys:
        inside = series.is_not_null()
        if low is not None:
            inside &= series >= low
        if high is not None:
            inside &= series < high
        found.append(series.filter(inside.fill_null(False)).alias(""))
    return pl.concat(found).unique().sort()


def plan_allocated(
    connection: BulkConnection,
    state_schema: str,
    folder: Path,
    read_keys: ReadKeys,
    known: KeyIndex,
    *,
    system: str,
    noted: Block | None,
    largest_kept: int,
    record: RunRecord | None,
) -> tuple[NumberedKeys, Block]:
    """Ids for all keys of `system` that have none: from the block `noted` by an earlier run when its ids still fit, else from a
    new one.

    `largest_kept` is the largest id that another system keeps. Without `record` (a dry run) nothing is reserved.
    """
    if noted is not None:
        numbered = number_keys(folder, read_keys, known, noted, noted.first)
        if numbered.fits and numbered.count == noted.count:
            return numbered, noted
    first = next_id(connection, state_schema, largest_kept)
    numbered = number_keys(folder, read_keys, known, None, first)
    block = Block(first, numbered.count)
    if record is not None and numbered.count:
        reserve(connection, state_schema, block, system, record)
    return numbered, block


def next_id(connection: BulkConnection, state_schema: str, largest_kept: int) -> int:
    """The first free id: where the allocator stands, else 2**32 or the next power of two above every kept id.

    Raises RefusedError when kept ids have grown into the allocator's range.
    """
    rows = connection.query(
        sql("SELECT next_id FROM {state}.id_allocator WHERE name = %s", {"state": state_schema}), (ALLOCATOR,)
    )
    if not rows:
        return first_id(largest_kept)
    if largest_kept >= range_start(int(rows[0][0])):
        raise RefusedError(
            f"A legacy id to be kept ({largest_kept}) lies in the range that new member ids come from.",
            'Map that system with ids = "allocate", so that its members get new ids.',
        )
    return int(rows[0][0])


def first_id(largest_kept: int) -> int:
    """Where allocated ids begin.

    >>> first_id(250_000) == 2**32, first_id(2**32) == 2**33
    (True, True)
    """
    first = FIRST_ID
    while first <= largest_kept:
        first *= 2
    return first


def range_start(next_free: int) -> int:
    """Where the allocator began, from where it stands.

    >>> range_start(2**32 + 5) == 2**32
    True
    """
    return max(FIRST_ID, 1 << ((next_free - 1).bit_length() - 1))


def reserve(connection: BulkConnection, state_schema: str, block: Block, system: str, record: RunRecord) -> None:
    """Take a block from the allocator and note whose it is, in one transaction."""
    connection.begin()
    standing = connection.query(
        sql("SELECT next_id FROM {state}.id_allocator WHERE name = %s FOR UPDATE", {"state": state_schema}), (ALLOCATOR,)
    )
    if standing and int(standing[0][0]) != block.first:
        connection.rollback()
        raise RefusedError(
            "Something else took member ids while this load planned its own.", "Make sure only one load runs, then run it again."
        )
    connection.execute(
        sql(
            "INSERT INTO {state}.id_allocator (name, next_id) VALUES (%s, %s) ON DUPLICATE KEY UPDATE next_id = VALUES(next_id)",
            {"state": state_schema},
        ),
        (ALLOCATOR, block.first + block.count),
    )
    record.note("blocks", system, [block.first, block.count])
    connection.commit()
