"""Compare the rows of stores while they still sell, so that little is left to compare once they are closed.

What agreed then and did not change since agrees still. Rows that change all the time are on their way at any moment: they are
looked at again and again, and a table that never comes to rest is compared as a whole behind the fence.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import polars as pl

from etl.errors import TargetError
from etl.progress import Progress
from etl.reconcile.registry import anything_merged
from etl.reconcile.run import as_now, now_of
from etl.settings import Settings
from etl.source.connect import Source, open_source
from etl.source.versions import read_versions
from etl.sync.capture.rows import EPOCH
from etl.sync.capture.watermark import low_watermark
from etl.sync.compare_some import told
from etl.sync.compare_stores import Moment, Whole, compare_whole, tells_stores
from etl.sync.plan import SyncPlan, plan_sync
from etl.target.bulk import BulkConnection
from etl.target.connect import connect_bulk

LOOKS: Final = 4
"""At rows that differ. A row that is written every ten seconds and is half a second on its way differs at one look in twenty."""

ASK_AGAIN_S: Final = 0.2
WATERMARK_TRIES: Final = 25


@dataclass(frozen=True)
class Baseline:
    """`known`: by target table that came to agree, the keys of the stores' rows; None where it was not compared, since time was
    up. A table that is not named differed. `differing`: rows that still did at the last look. `rows`: of the target, compared."""

    stores: tuple[str, ...]
    since: Moment
    known: Mapping[str, pl.DataFrame | None]
    differing: Mapping[str, int]
    rows: Mapping[str, int]
    seconds: float

    @property
    def unfinished(self) -> tuple[str, ...]:
        """Tables that were not compared."""
        return tuple(name for name, keys in self.known.items() if keys is None)


class OutOfTime(Exception):
    """The comparison was given so long and no longer."""


def compare_beforehand(
    settings: Settings, stores: tuple[str, ...], within_s: float, settle_s: float, progress: Progress
) -> Baseline:
    """Compare all rows of the stores for at most `within_s`; those that differ again after `settle_s`, several times.

    Raises SourceError, TargetError, ConfigurationError.
    """
    began = time.monotonic()

    def check() -> None:
        if time.monotonic() - began >= within_s:
            raise OutOfTime

    with open_source(settings.source, progress) as source, connect_bulk(settings.target) as target:
        plan = plan_sync(settings, source, target)
        now = now_of(settings, source, target)
        since = read_moment(source, target, plan)
        whole: list[Whole] = []
        known: dict[str, pl.DataFrame | None] = {}
        merged = anything_merged(target, plan.state_schema)
        for table in as_now(source, merged, (one.plan for one in plan.tables)):
            if not tells_stores(table):
                continue
            progress.start(table.target, None)
            try:
                check()
                whole.append(compare_whole(now, table, stores, check))
            except OutOfTime:
                known[table.target] = None
            progress.finish(table.target)
        result = told(settings, now, [one.comparison for one in whole], "", settle_s, LOOKS)
    differing = {table.table: table.differing for table in result.tables if table.differing}
    known |= {one.comparison.plan.target: one.keys for one in whole if one.comparison.plan.target not in differing}
    rows = {table.table: table.target_rows for table in result.tables}
    return Baseline(stores, since, known, differing, rows, time.monotonic() - began)


def read_moment(source: Source, target: BulkConnection, plan: SyncPlan) -> Moment:
    """Now, on both sides. Raises TargetError where the target does not tell what is under way."""
    for _ in range(WATERMARK_TRIES):
        low = low_watermark(target).value_us
        if low is not None:
            versions = {name: read_versions(source, name).change_tracking for name in plan.databases}
            return Moment(EPOCH + timedelta(microseconds=low), versions)
        time.sleep(ASK_AGAIN_S)
    raise TargetError(
        "The target does not tell which transactions are under way: one of its nodes does not answer.",
        "See that every node is up: SELECT * FROM information_schema.cluster_info. Then run the same command again.",
    )
