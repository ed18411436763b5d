"""What forward works with: both sides, the plan, its limits, and who says whether an arrival is a person already known."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import polars as pl

from etl.names import SourceTable
from etl.reconcile.merged import Survive, read_survive
from etl.settings import Settings
from etl.source.connect import Source
from etl.sync.dead_letters import parts_with_letters
from etl.sync.forward.sessions import Sessions
from etl.sync.forward.versions import Head
from etl.sync.plan import SyncPlan
from etl.target.bulk import BulkConnection

Match = Callable[[str, pl.DataFrame], pl.Series]
"""From a system and its newcomers (columns of the member table as the mapping makes them, and `source_id`) to the member that
each is (Int64), NULL for a person nobody knows yet."""

MEMBERS: Final = threading.RLock()
"""Held from the reading of a member's legacy records until the row made of them is committed: records of one member lie in
several databases, whose threads must not overwrite each other's newer reading with an older one."""


def never() -> bool:
    """A round without a throttle goes on to its end."""
    return False


def nobody_known(part: str, newcomers: pl.DataFrame) -> pl.Series:
    """A Match for a target without deduplication: everybody is new."""
    return pl.Series("member_id", [None] * newcomers.height, dtype=pl.Int64)


@dataclass(frozen=True)
class Limits:
    """How much is done at once.

    `page_rows`: rows of one target transaction, `member_rows` where rows are merged with the target's. `fetch_rows`: rows of
    the first read of a table; later ones take as many as `fetch_bytes` hold. `round_rows`: of one table in a round; what is left
    waits for the next round, where it goes on. `clock_allowance`: how
    far apart the clocks of both sides may be. `overlap`: how far back a table is read again that has nothing but a last-changed
    column. `key_interval`: how often deletes are looked for by comparing keys, where nothing else tells them.
    """

    page_rows: int = 2_000
    member_rows: int = 1_000
    fetch_rows: int = 20_000
    fetch_bytes: int = 8 * 2**20
    round_rows: int = 100_000
    clock_allowance: timedelta = timedelta(seconds=2)
    overlap: timedelta = timedelta(minutes=5)
    key_interval: timedelta = timedelta(hours=1)


@dataclass(frozen=True)
class ForwardContext:
    """Of one thread. `target` is its own connection, outside a transaction. `last_changed`: columns that say when a row changed,
    by legacy table, where the mapping does not. `unique_keys`: of each target table, the primary key first. `looked`: when tables
    without anything better, and dead letters, were looked at last (time.monotonic). `put_off`: how often rows had to wait
    (later_changes.py). `left`: tables with more changes than the last round took. `open_letters`: parts that have dead letters.
    `quiet`: the versions of databases that had nothing to do in their last round (quiet.py). `widths`: the most bytes that a
    row of a legacy table took in a full read. `enough`: asked between pages, whether the round shall leave the rest to the next
    one (etl/sync/throttle.py)."""

    settings: Settings
    plan: SyncPlan
    source: Source
    target: BulkConnection
    sessions: Sessions
    survive: Survive
    match: Match = nobody_known
    limits: Limits = Limits()
    last_changed: Mapping[SourceTable, str] = field(default_factory=dict)
    unique_keys: Mapping[str, tuple[tuple[str, ...], ...]] = field(default_factory=dict)
    looked: dict[str, float] = field(default_factory=dict)
    put_off: dict[str, int] = field(default_factory=dict)
    enough: Callable[[], bool] = never
    left: set[SourceTable] = field(default_factory=set)
    open_letters: set[str] = field(default_factory=set)
    quiet: dict[str, Head] = field(default_factory=dict)
    widths: dict[SourceTable, float] = field(default_factory=dict)

    def close(self) -> None:
        """Let go of the sessions with the source."""
        self.sessions.close()


def open_forward(
    settings: Settings,
    plan: SyncPlan,
    source: Source,
    target: BulkConnection,
    *,
    match: Match = nobody_known,
    limits: Limits | None = None,
    last_changed: Mapping[SourceTable, str] | None = None,
    enough: Callable[[], bool] = never,
) -> ForwardContext:
    """A context for one thread; close it. Raises ConfigurationError, TargetError."""
    from etl.load.target_keys import read_unique_keys

    return ForwardContext(
        settings=settings,
        plan=plan,
        source=source,
        target=target,
        sessions=Sessions(source),
        survive=read_survive(settings),
        match=match,
        limits=limits or Limits(clock_allowance=timedelta(seconds=settings.sync.clock_allowance_s)),
        last_changed=last_changed or {},
        unique_keys=read_unique_keys(target, plan.schema),
        enough=enough,
        open_letters=parts_with_letters(target, plan.state_schema, "forward"),
    )
