"""A reverse sync as small as it can be: the steps of docs/sync.md, sending into a dictionary, killed at random points."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import polars as pl

from etl.settings import TargetSettings
from etl.sync.capture.deletes import deleted_keys, still_gone
from etl.sync.capture.marks import mark_in_step, marking
from etl.sync.capture.outbox import forget_outbox, outbox_pages
from etl.sync.capture.rows import SYNCED_AT, UPDATED_AT
from etl.sync.capture.scan import scan_dirty
from etl.sync.capture.sweep import sweep_dirty
from etl.sync.capture.tail import SentImages, tail_pass
from etl.sync.capture.watermark import low_watermark
from etl.sync.digest import digest, pack
from etl.sync.model import KEY
from etl.sync.plan import SyncTable
from etl.target.bulk import BulkConnection
from etl.target.connect import connect_bulk
from etl.target.errors import ServerError

ALLOWANCE_US: Final = 1_000_000
TAIL_EVERY_S: Final = 0.5
DELETES_EVERY_S: Final = 2.0


class Killed(Exception):
    """kill -9, at one of the points between two steps."""


@dataclass
class Disk:
    """What outlives a kill: the other side, what is noted of what it got (and when, by the target's clock), the positions."""

    copy: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    base: dict[str, bytes] = field(default_factory=dict)
    sent_at: dict[str, datetime] = field(default_factory=dict)
    watermark_us: int = 0
    deletes_at: datetime | None = None


@dataclass
class Figures:
    """What was seen, over all lives."""

    sent: int = 0
    again: int = 0
    marked: int = 0
    tails: int = 0
    deleted: int = 0
    missed: int = 0
    kills: int = 0
    rounds: int = 0
    lags: list[float] = field(default_factory=list)


@dataclass
class Loop:
    """One life of the process: what it knows beyond the disk is lost with it."""

    settings: TargetSettings
    table: SyncTable
    disk: Disk
    figures: Figures
    chance: random.Random
    deadly: float = 0.0

    def __enter__(self) -> Loop:
        self.reads, self.marks, self.sweeps = (connect_bulk(self.settings) for _ in range(3))
        self.schema, self.memory = self.settings.schema_name, SentImages()
        self.watermark_us = self.tail_us = self.disk.watermark_us
        self.next_tail = self.next_deletes = 0.0
        return self

    def __exit__(self, *_: object) -> None:
        for connection in (self.reads, self.marks, self.sweeps):
            connection.close()

    def point(self) -> None:
        """Perhaps the end."""
        if self.chance.random() < self.deadly:
            raise Killed

    def sweep(self) -> None:
        """At a start: all that is dirty. What is older than the watermark should have been found before."""
        for page in sweep_dirty(self.sweeps, self.schema, self.table, 500):
            times = page.rows[UPDATED_AT].to_physical()
            self.figures.missed += int((times < self.disk.watermark_us).sum())
            self.carry(page.rows)

    def round(self, *, last: bool = False) -> None:
        """One round."""
        watermark, left = low_watermark(self.reads, ALLOWANCE_US), []
        self.point()
        for page in scan_dirty(self.reads, self.schema, self.table, self.watermark_us, 200):
            left += self.carry(page.rows)
        self.outbox()
        self.watermark_us = watermark.advance(self.watermark_us, min(left, default=None))
        if last or time.monotonic() >= self.next_tail:
            self.tail(watermark.advance(self.tail_us))
        if self.reads.is_tidb and (last or time.monotonic() >= self.next_deletes):
            self.deletes()
        self.disk.watermark_us = min(self.watermark_us, self.tail_us)
        self.figures.rounds += 1
        self.point()

    def tail(self, watermark_us: int) -> None:
        """Images of rows that are in step."""
        for page in tail_pass(self.reads, self.schema, self.table, self.tail_us, self.memory, self.bases):
            self.figures.tails += page.rows.height
            self.send(page.rows)
            self.note(page.rows, page.rows[KEY].to_list(), self.now(self.marks))
        self.tail_us = watermark_us
        self.memory.forget(watermark_us)
        self.next_tail = time.monotonic() + TAIL_EVERY_S

    def carry(self, rows: pl.DataFrame) -> list[int]:
        """Send and mark; return the times of those that could not be marked."""
        self.point()
        self.send(self.memory.not_sent(self.table, rows))
        self.point()
        try:
            with marking(self.marks):
                marked = mark_in_step(self.marks, self.schema, self.table, rows)
                now = self.now(self.marks)
                self.point()
        except ServerError as error:
            if error.lost or not error.transient:
                raise
            marked, now = [], self.now(self.marks)
        self.note(rows, rows[KEY].to_list(), now)
        self.figures.marked += len(marked)
        self.point()
        return rows.filter(~pl.col(KEY).is_in(marked))[UPDATED_AT].to_physical().to_list()

    def send(self, rows: pl.DataFrame) -> None:
        """To the other side."""
        now = datetime.now(UTC).replace(tzinfo=None)
        for each in rows.iter_rows(named=True):
            image = tuple(each[name] for name in self.table.kept)
            self.figures.sent += 1
            self.figures.again += self.disk.copy.get(each[KEY]) == image
            if each["kind"] == "plain" and self.disk.copy.get(each[KEY]) != image and each[SYNCED_AT] is not None:
                self.figures.lags.append((now - each[UPDATED_AT]).total_seconds())
            self.disk.copy[each[KEY]] = image
            self.disk.sent_at[each[KEY]] = now
        self.memory.remember(self.table, rows)

    def note(self, rows: pl.DataFrame, keys: list[str], now: datetime) -> None:
        """The base: what the other side has now, for a tail pass after a restart."""
        for each in rows.filter(pl.col(KEY).is_in(keys)).iter_rows(named=True):
            self.disk.base[each[KEY]] = pack(self.table.kept, {name: digest(each[name]) for name in self.table.kept})
            self.disk.sent_at[each[KEY]] = now

    def bases(self, keys: Any) -> dict[str, bytes]:
        """What is noted of keys."""
        return {key: self.disk.base[key] for key in keys if key in self.disk.base}

    def deletes(self) -> None:
        """Keys that went between two times; TiDB."""
        now = self.now(self.reads)
        before = self.disk.deletes_at
        if before is not None:
            sent = [key for key, at in self.disk.sent_at.items() if at >= before]
            for keys in deleted_keys(self.reads, self.schema, self.table, before, now, sent=sent, page_keys=300):
                self.point()
                self.forget(still_gone(self.reads, self.schema, self.table, keys.to_list()))
        self.disk.deletes_at = now
        self.next_deletes = time.monotonic() + DELETES_EVERY_S

    def outbox(self) -> None:
        """Keys that the application noted: MariaDB."""
        if self.reads.is_tidb:
            return
        for batch in outbox_pages(self.reads, self.schema, self.table, "outbox", page_entries=50):
            self.point()
            self.forget(batch.deleted.to_list())
            self.point()
            forget_outbox(self.reads, self.schema, [number for numbers in batch.ids.values() for number in numbers], "outbox")

    def forget(self, keys: list[str]) -> None:
        """Delete on the other side."""
        for key in keys:
            self.figures.deleted += self.disk.copy.pop(key, None) is not None
            self.disk.base.pop(key, None)

    def now(self, connection: BulkConnection) -> datetime:
        """The target's clock."""
        moment: datetime = connection.scalar("SELECT NOW(6)")
        return moment


def live(
    settings: TargetSettings, table: SyncTable, disk: Disk, figures: Figures, chance: random.Random, until: float, deadly: float
) -> None:
    """Lives one after the other, each killed at a random point, until a time (monotonic)."""
    while time.monotonic() < until:
        try:
            with Loop(settings, table, disk, figures, chance, deadly) as loop:
                loop.sweep()
                while time.monotonic() < until:
                    loop.round()
                    time.sleep(0.05)
        except Killed:
            figures.kills += 1


def read_all(connection: BulkConnection, schema: str, table: SyncTable) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """The table as it is."""
    from etl.reconcile.actual import read_actual
    from etl.sync.capture.rows import with_keys

    for frame in read_actual(connection, schema, table.plan, 50_000):
        for each in with_keys(table, frame).iter_rows(named=True):
            yield each[KEY], tuple(each[name] for name in table.kept)
