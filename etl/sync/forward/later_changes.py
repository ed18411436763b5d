"""Rows whose legacy row has changed since it was read: what was read of them may be older than what both sides have in common.

Reverse writes a legacy row first and notes what both have in common then. Between the two instants at which forward reads the
legacy row and locks the target's, it may have done both: the old image would look like a change, and undo what reverse brought.
So once the target's rows are locked, those that changed on the legacy side after the snapshot are left for the next round, which
is told of them anyway. A row that changes all the time is put off a few times only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import polars as pl
import pyarrow as pa

from etl.names import bracket
from etl.reconcile.plan import PartPlan, encode_keys
from etl.source.extract import canonical_schema
from etl.sync.forward.context import ForwardContext
from etl.sync.forward.read_changes import key_items, key_name, key_table, read_all, written
from etl.sync.forward.transform import LEGACY
from etl.sync.forward.work import Work
from etl.sync.model import KEY

MOST_TIMES: Final = 3
MOST_KEYS: Final = 10_000


@dataclass(frozen=True)
class ReadFrom:
    """Where rows were read: the part, the version of its database then, and which target row (KEY) each legacy row (LEGACY) is
    of."""

    part: PartPlan
    version: int | None
    rows: pl.DataFrame


def read_from(work: Work, rows: pl.DataFrame) -> ReadFrom | None:
    """Of rows (KEY, LEGACY) read in a session; None where nothing tells what changed since."""
    if not work.context.plan.legacy(work.part).change_tracking or work.head.tracking is None:
        return None
    return ReadFrom(work.part, work.head.tracking, rows.select(KEY, LEGACY))


def put_off(context: ForwardContext, sources: Iterable[ReadFrom], keys: set[str]) -> set[str]:
    """Those of these target rows that are to wait for the next round. Call it with the rows locked."""
    waiting: set[str] = set()
    for one in sources:
        mine = one.rows.filter(pl.col(KEY).is_in(list(keys)))
        if not mine.is_empty():
            changed = changed_since(context, one)
            waiting |= set(mine.filter(pl.col(LEGACY).is_in(changed.implode()))[KEY].to_list())
    times = context.put_off
    if len(times) > MOST_KEYS:
        times.clear()
    for key in keys - waiting:
        times.pop(key, None)
    for key in waiting:
        times[key] = times.get(key, 0) + 1
    return {key for key in waiting if times[key] <= MOST_TIMES}


def changed_since(context: ForwardContext, one: ReadFrom) -> pl.Series:
    """Legacy keys that changed after the version, as of now and not of the snapshot."""
    items = key_items(one.part)
    keys = canonical_schema(key_table(one.part))
    schema = pa.schema([keys.field(item.name) for item in items])
    session = context.sessions.live(one.part.part.source.database)
    read = read_all(session, later_statement(one.part, one.version or 0), schema)
    named = read.select(pl.col(key_name(place)).alias(key) for place, key in enumerate(one.part.part.key))
    return encode_keys(named)


def later_statement(part: PartPlan, version: int) -> str:
    """T-SQL for the keys of all changes after a version."""
    table = f"{bracket(part.table.name.schema)}.{bracket(part.table.name.name)}"
    changes = ", ".join(f"c.{bracket(key)} AS {bracket(key_name(place))}" for place, key in enumerate(part.part.key))
    items = ", ".join(written(item) for item in key_items(part))
    return " ".join(
        ("SELECT", items, "FROM", f"(SELECT {changes}", "FROM", f"CHANGETABLE(CHANGES {table}, {int(version)}) AS c) AS ct")
    )
