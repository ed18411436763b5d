"""Two writes to one row within one microsecond: the mark of the first passes for the second, so images are compared.

A row that is in step and whose image is not the one that was sent has been written again under the same time. That can happen
only as long as a statement of that time is under way: down to the watermark, which is how far back images are remembered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from etl.sync.capture.rows import DIRTY, MOMENT, UPDATED_AT, moment, read_pages, select_rows
from etl.sync.digest import digest, unpack
from etl.sync.model import KEY, DirtyRows
from etl.sync.plan import SyncTable
from etl.target.bulk import BulkConnection

REMEMBERED_ROWS: Final = 500_000
"""At about 50 bytes a row; the newest are kept."""

SETTLE_ROWS: Final = 50_000
IMAGE: Final = "__image"
REMEMBERED: Final = {KEY: pl.String(), UPDATED_AT: MOMENT, IMAGE: pl.UInt64()}
SEED: Final = 20
Bases = Callable[[Sequence[str]], Mapping[str, bytes]]
"""Digests of the columns outside the key by key, packed (etl/sync/digest.py): what both sides last had in common."""


@dataclass
class SentImages:
    """What was sent of one table, by key: 64 bits of each image, for as long as it can still be overwritten unseen."""

    limit: int = REMEMBERED_ROWS
    _settled: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=REMEMBERED))
    _newer: list[pl.DataFrame] = field(default_factory=list)
    _waiting: int = 0

    def remember(self, table: SyncTable, rows: pl.DataFrame) -> None:
        """Rows that were sent, as they were read."""
        if rows.is_empty():
            return
        self._newer.append(images(table, rows))
        self._waiting += rows.height
        if self._waiting > SETTLE_ROWS:  # page by page it would take the square of a backlog's time
            self.settle()

    def not_sent(self, table: SyncTable, rows: pl.DataFrame) -> pl.DataFrame:
        """Those of `rows` that were not sent as they are. The others could not be marked, because somebody holds a lock on them:
        they need a mark, and not to be sent at every round until the lock is gone."""
        known = self.settle().with_columns(pl.lit(True).alias("__known"))
        held = images(table, rows).join(known, on=list(REMEMBERED), how="left", maintain_order="left")
        return rows.filter(held["__known"].is_null())

    @property
    def is_empty(self) -> bool:
        """Whether nothing is remembered."""
        return not self._newer and self._settled.is_empty()

    def settle(self) -> pl.DataFrame:
        """KEY, updated_at and image of what is remembered: the last of each key."""
        if self._newer:
            joined = pl.concat([self._settled, *self._newer]).unique(KEY, keep="last", maintain_order=True)
            self._settled, self._newer, self._waiting = joined.tail(self.limit), [], 0
        return self._settled

    def times(self) -> tuple[int, int]:
        """The first and the last time of what is remembered, in microseconds since 1970 (UTC)."""
        at = self.settle()[UPDATED_AT].to_physical()
        return int(at.min()), int(at.max())  # type: ignore[arg-type]  # integers have integers as ends

    def forget(self, before_us: int) -> None:
        """Rows whose time no statement under way has any more."""
        self._settled = self.settle().filter(pl.col(UPDATED_AT).to_physical() >= before_us)


def images(table: SyncTable, rows: pl.DataFrame) -> pl.DataFrame:
    """KEY, updated_at and a hash of what is mapped. It lives as long as the process: polars may change it between versions."""
    return rows.select(KEY, UPDATED_AT, rows.select(table.kept).hash_rows(SEED).alias(IMAGE))


def tail_pass(
    connection: BulkConnection,
    schema: str,
    table: SyncTable,
    since_us: int,
    sent: SentImages,
    bases: Bases | None = None,
    page_rows: int = 20_000,
    found_equal: SentImages | None = None,
) -> Iterator[DirtyRows]:
    """Rows with updated_at >= `since_us` that are in step and whose image is not what was sent: to be sent again as they are.

    `since_us` is the watermark that held before the last pass began; take the new one before this pass, and `sent.forget` it
    after. Rows that are not remembered (sent before a restart, or written by forward) are held against `bases` where the caller
    gives it, else passed over, and not even read. `found_equal` remembers those that were found equal, so that the passes after
    this one need no base of them; `forget` there too. Raises ServerError.
    """
    condition, times = f"{UPDATED_AT} >= %s AND NOT {DIRTY}", [moment(since_us)]
    if bases is None:
        if sent.is_empty:
            return
        first, last = sent.times()
        condition, times = f"{condition} AND {UPDATED_AT} <= %s", [moment(max(since_us, first)), moment(last)]
    for page in read_pages(connection, select_rows(schema, table, condition), table, times, page_rows):
        again = differing(table, page.rows, sent, bases, found_equal)
        if not again.is_empty():
            yield DirtyRows(table, again, page.captured_at)


def differing(
    table: SyncTable, rows: pl.DataFrame, sent: SentImages, bases: Bases | None, found_equal: SentImages | None
) -> pl.DataFrame:
    """Those of `rows` that are not as they were sent."""
    known = sent.settle().rename({IMAGE: "__sent", UPDATED_AT: "__sent_at"})
    held = images(table, rows).join(known, on=KEY, how="left", maintain_order="left")
    same_time = held["__sent_at"] == held[UPDATED_AT]
    other = (same_time & (held[IMAGE] != held["__sent"])).fill_null(False)
    if bases is not None:
        unknown = ~same_time.fill_null(False)
        if found_equal is not None:
            unknown = unknown & rows[KEY].is_in(found_equal.not_sent(table, rows.filter(unknown))[KEY].implode())
        other = other | unlike_bases(table, rows, unknown, bases)
        if found_equal is not None:
            found_equal.remember(table, rows.filter(unknown & ~other))
    return rows.filter(other)


def unlike_bases(table: SyncTable, rows: pl.DataFrame, wanted: pl.Series, bases: Bases) -> pl.Series:
    """Which of the `wanted` rows differ from what both sides last had in common; a row without it does not."""
    some = rows.filter(wanted)
    known = bases(some[KEY].to_list()) if not some.is_empty() else {}
    compared = [name for name in table.kept if name not in table.rules.counters]
    unlike = []
    for key, *values in some.filter(pl.col(KEY).is_in(list(known))).select(KEY, *compared).iter_rows():
        base = unpack(table.kept, known[key])
        if any(name in base and base[name] != digest(value) for name, value in zip(compared, values, strict=True)):
            unlike.append(key)
    return wanted & rows[KEY].is_in(unlike)
