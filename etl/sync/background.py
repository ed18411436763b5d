"""The background check: beside a running sync, a slow thread walks all keys of all tables and compares both sides.

It is the net under what capturing changes cannot see. It takes a share of its time, lets the streams go first, goes on after a
restart where it was, and looks twice at what differs: once the change that may be on its way has arrived.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

import polars as pl

from etl.errors import OpsError
from etl.load.sql import name_list, places, sql
from etl.reconcile.actual import KEYS_PER_QUERY
from etl.reconcile.outcome import Examined, describe_table
from etl.reconcile.plan import PART, SOURCE, encode_keys
from etl.reconcile.rows import Comparison
from etl.reconcile.second_look import look_again
from etl.settings import Settings
from etl.source.connect import Source
from etl.sync.capture.rows import DIRTY
from etl.sync.check_record import PASS, CheckPass, Found, note_pass, pass_of
from etl.sync.check_walk import Leg, Walk, legs_of, open_walk
from etl.sync.plan import SyncPlan, SyncTable
from etl.sync.state import read_positions
from etl.sync.stats import Stats
from etl.sync.throttle import Throttle
from etl.target.bulk import BulkConnection
from etl.target.columns import text_of
from etl.target.connect import connect_bulk

FIRST_S: Final = 30.0
"""Sync comes to rest first."""
LEAST_SETTLE_S: Final = 5.0
MOST_SETTLE_S: Final = 120.0
"""Before the second look: three times as long as the slowest stream is behind, within these."""
MOST_BEHIND_S: Final = 10.0
"""While a stream is further behind, the check rests."""
AGAIN_S: Final = 60.0
"""After a failure."""


@dataclass(frozen=True)
class BackgroundCheck:
    """Of one running sync. `end`: when it is to stop."""

    settings: Settings
    plan: SyncPlan
    source: Source
    throttle: Throttle
    stats: Stats
    end: threading.Event

    def run(self) -> None:
        """Until the end; what goes wrong on the way is told and tried again."""
        self.end.wait(FIRST_S)
        while not self.end.is_set():
            try:
                with connect_bulk(self.settings.target) as target:
                    self.keep_walking(target)
            except OpsError as error:
                self.stats.check_problem = error.message
            self.end.wait(AGAIN_S)

    def ended(self, thread: Future[None]) -> None:
        """The thread is over. What nobody foresaw does not end sync, but is told."""
        error = thread.exception()
        if error is not None:
            self.stats.check_problem = f"an unexpected {type(error).__name__}: the check is off"

    def keep_walking(self, target: BulkConnection) -> None:
        """One pass after another, each at its time."""
        while not self.end.is_set():
            positions = read_positions(target, self.plan.state_schema)
            before = None if PASS not in positions else pass_of(positions[PASS])
            if before is None or before.ended is not None:
                if before is not None and not self.wait_until(before.began + timedelta(hours=self.settings.sync.check_every_h)):
                    return
                before = CheckPass(datetime.now(UTC))
            with open_walk(self.settings, self.plan, self.source, target) as walk:
                self.walk(walk, before)

    def wait_until(self, at: datetime) -> bool:
        """Whether it came before the end."""
        return not self.end.wait(max(0.0, (at - datetime.now(UTC)).total_seconds()))

    def walk(self, walk: Walk, one: CheckPass) -> None:
        """One pass, from where it is."""
        target = walk.now.target
        found = Found(self.settings.state_dir, self.settings.reconcile.max_listed, one.began)
        legs = legs_from(self.plan, one.leg)
        for leg, following in zip(legs, [*legs[1:], None], strict=True):
            chunks = walk.chunks(leg, one.after if leg.name == one.leg else None)
            while self.let_streams_go_first():
                began = time.monotonic()
                chunk = next(chunks, None)
                if chunk is None:
                    break
                differing, explained = self.look_twice(walk, leg, chunk.found, found)
                if self.end.is_set():
                    return  # perhaps without the second look: the pass goes on here
                one = replace(one.add(chunk.rows, differing, explained), leg=leg.name, after=chunk.after)
                note_pass(target, self.plan.state_schema, one)
                self.stats.check, self.stats.check_problem = one, ""
                self.rest(time.monotonic() - began)
            if self.end.is_set():
                return
            if following is not None:  # or a restart would count this leg's differences twice
                one = replace(one, leg=following.name, after=None)
                note_pass(target, self.plan.state_schema, one)
        one = replace(one, leg="", after=None, ended=datetime.now(UTC))
        note_pass(target, self.plan.state_schema, one)
        self.stats.check = one

    def let_streams_go_first(self) -> bool:
        """Rest while they wait, are behind, or are held back. False at the end."""
        while not self.end.is_set():
            views = self.stats.views()
            free = all(not view.waiting and view.lag_s < MOST_BEHIND_S for view in views)
            if free and self.throttle.now().speed == 1.0:
                return True
            self.end.wait(1.0)
        return False

    def rest(self, worked_s: float) -> None:
        """So that the share is kept."""
        self.end.wait(worked_s * (1 / self.settings.sync.check_share - 1))

    def look_twice(self, walk: Walk, leg: Leg, first: Comparison | None, found: Found) -> tuple[int, int]:
        """What differs still once it may have arrived; what of it sync knows of itself. The former is kept."""
        if first is None or not first.findings.count:
            return 0, 0
        behind = max((view.lag_s for view in self.stats.views()), default=0.0)
        if self.end.wait(min(MOST_SETTLE_S, max(LEAST_SETTLE_S, 3 * behind))):
            return 0, 0
        again = look_again(walk.now, replace(first, plan=walk.shaped(leg.table)), find_sources=True)
        known = known_keys(walk, leg.table, again)
        result = describe_table(Examined(without(again, known), pl.DataFrame(schema=again.plan.schema)), found.limit)
        found.add(result.differences)
        return result.differing, again.findings.count - result.differing


def legs_from(plan: SyncPlan, name: str) -> tuple[Leg, ...]:
    """All ways from that one on; from the first where it is not known any more."""
    legs = legs_of(plan)
    names = [leg.name for leg in legs]
    return legs[names.index(name) if name in names else 0 :]


def known_keys(walk: Walk, table: SyncTable, differing: Comparison) -> set[str]:
    """Target keys of rows of which sync itself knows that they differ: they are dirty, or in a dead letter."""
    findings, key = differing.findings, differing.plan.key
    rows = [
        each.frame.select([*key, *(name for name in (PART, SOURCE) if name in each.frame.columns)])
        for each in (findings.changed_expected, findings.missing, findings.extra, findings.duplicated_expected)
        if not each.frame.is_empty()
    ]
    if not rows:
        return set()
    frame = pl.concat(rows, how="diagonal")
    keys = frame.select(key)
    found: set[str] = set()
    for some in keys.unique().iter_slices(KEYS_PER_QUERY):
        statement = sql(
            "SELECT {key} FROM {schema}.{table} WHERE ({key}) IN ({values}) AND {dirty}",
            {"schema": walk.now.schema, "table": table.name},
            key=name_list(key),
            values=", ".join([f"({places(len(key))})"] * some.height),
            dirty=DIRTY,
        )
        values = [value for row in some.iter_rows() for value in row]
        for page in walk.now.target.read_frame(statement, {name: table.plan.schema[name] for name in key}, values):
            found |= set(encode_keys(page))
    letters = open_letters(walk, table)
    for name, source in zip(encode_keys(keys), frame[SOURCE] if SOURCE in frame.columns else [None] * frame.height, strict=True):
        if name in letters or source in letters:
            found.add(name)
    return found


def open_letters(walk: Walk, table: SyncTable) -> set[str]:
    """Keys, of either side, of rows of the table that are in a dead letter."""
    parts = [part.part.name for part in table.plan.parts]
    statement = "SELECT row_key FROM {state}.sync_dead_letter WHERE settled_at IS NULL AND part IN ({parts})"
    rows = walk.now.target.query(sql(statement, {"state": walk.now.state_schema}, parts=places(len(parts))), parts)
    return {text_of(key) for (key,) in rows}


def without(differing: Comparison, keys: set[str]) -> Comparison:
    """A comparison without the rows of these keys. `changed_expected` and `changed_actual` stay in step: both have the key."""
    findings = differing.findings
    kept = {
        name: rows.without(encode_keys(rows.frame.select(differing.plan.key)).is_in(list(keys)))
        for name in ("changed_expected", "changed_actual", "missing", "extra", "duplicated_expected")
        if not (rows := getattr(findings, name)).frame.is_empty()
    }
    return replace(differing, findings=replace(findings, **kept))
