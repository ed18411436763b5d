"""Dead letters of forward, tried again: their legacy rows are read anew and applied as if they had just changed.

What made the target refuse a row may have gone by itself: the row that held its unique value gave it up, a column was widened.
The first try comes after five seconds, each further one after twice as long, up to five minutes.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import polars as pl

from etl.load.sql import places, sql
from etl.reconcile.expected import read_lookups
from etl.source.session import Session
from etl.sync.dead_letters import parts_with_letters, settle_dead_letters
from etl.sync.forward.apply import add, apply_changes
from etl.sync.forward.context import ForwardContext
from etl.sync.forward.read_rows import as_changes
from etl.sync.forward.records import read_rows_by_key
from etl.sync.forward.versions import Head
from etl.sync.forward.work import Work
from etl.sync.model import KEY, Counts
from etl.target.columns import text_of

LOOK_EVERY_S: Final = 5.0
LONGEST_WAIT_S: Final = 300
MOST_AT_ONCE: Final = 500
LONGEST_KEY: Final = 200
"""Keys that are cut off do not name a row."""
LOOKUP_ROWS: Final = 50_000

DUE: Final = (
    "SELECT row_key FROM {state}.sync_dead_letter WHERE direction = 'forward' AND part = %s AND settled_at IS NULL "
    "AND CHAR_LENGTH(row_key) < %s{due} ORDER BY last_at LIMIT %s"
)
WAITED: Final = " AND last_at <= UTC_TIMESTAMP(6) - INTERVAL LEAST({longest}, {first} * POW(2, LEAST(attempts, 20) - 1)) SECOND"


def try_letters_again(
    context: ForwardContext, session: Session, head: Head, database: str, done: dict[str, Counts], *, all_now: bool = False
) -> None:
    """Try the letters of a legacy database's parts that have waited long enough, or `all_now`; what comes of it goes into `done`.
    Looks for them every five seconds at most. Raises SourceError, TargetError, RefusedError."""
    name, now = f"letters/{database}", time.monotonic()
    if not all_now and now - context.looked.get(name, -LOOK_EVERY_S) < LOOK_EVERY_S:
        return
    context.looked[name] = now
    waiting = parts_with_letters(context.target, context.plan.state_schema, "forward")
    context.open_letters.clear()
    context.open_letters.update(waiting)
    for table, part in context.plan.parts_of(database):
        if part.part.name not in waiting:
            continue
        keys = due_letters(context, part.part.name, all_now=all_now)
        if keys:
            work = Work(context, session, head, table, part, read_lookups(session, part, LOOKUP_ROWS), again=True)
            done[table.name] = add(done.get(table.name, Counts()), try_rows(work, keys))


def due_letters(context: ForwardContext, part: str, *, all_now: bool) -> list[str]:
    """Keys of a part's letters, those tried longest ago first."""
    due = "" if all_now else WAITED.format(longest=LONGEST_WAIT_S, first=int(LOOK_EVERY_S))
    statement = sql(DUE, {"state": context.plan.state_schema}, due=due)
    found = context.target.query(statement, (part, LONGEST_KEY, MOST_AT_ONCE))
    return [text_of(key) for (key,) in found]


def try_rows(work: Work, keys: Sequence[str]) -> Counts:
    """Apply rows of these keys; letters whose legacy row is gone are settled, since deletes travel by themselves."""
    target, state, part = work.context.target, work.context.plan.state_schema, work.part.part.name
    began: datetime = target.scalar("SELECT UTC_TIMESTAMP(6)")
    changes = as_changes(work.part, read_rows_by_key(work, pl.Series(KEY, keys)))
    counts = Counts()
    for page in changes.iter_slices(work.page_rows):
        counts = add(counts, apply_changes(work, page, None, None))
    gone = set(keys) - set(changes[KEY])
    with target.transaction():
        settle_dead_letters(target, state, "forward", part, gone)
        note_try(work, keys, began)
    return counts


def note_try(work: Work, keys: Sequence[str], began: datetime) -> None:
    """Letters that are open still and were not written anew, since their rows had to wait: they have been tried as well."""
    statement = sql(
        "UPDATE {state}.sync_dead_letter SET attempts = attempts + 1, last_at = UTC_TIMESTAMP(6) WHERE direction = 'forward' "
        "AND part = %s AND settled_at IS NULL AND last_at < %s AND row_key IN ({keys})",
        {"state": work.context.plan.state_schema},
        keys=places(len(keys)),
    )
    work.context.target.execute(statement, (work.part.part.name, began, *keys))
