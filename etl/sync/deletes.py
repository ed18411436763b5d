"""Rows deleted on the target, deleted on the legacy side too: found by comparing the keys of two times, on TiDB alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

import polars as pl

from etl.errors import RefusedError
from etl.sync.base import forget_bases
from etl.sync.capture.deletes import deleted_keys, still_gone
from etl.sync.capture.rows import microseconds
from etl.sync.dead_letters import write_dead_letters
from etl.sync.model import Counts, DeadLetter
from etl.sync.plan import SyncTable
from etl.sync.reverse.delete import delete_rows
from etl.sync.reverse.model import ReverseContext
from etl.sync.reverse_round import ReverseSync, reverse_context
from etl.sync.state import read_positions, write_position

EPOCH: Final = datetime(1970, 1, 1)
SETTLED: Final = timedelta(seconds=2)
"""How far the later of the two times lies back: a read at a time that has not passed yet is refused."""
EVERY_KEY: Final = "*"


def deletes_name(table: str) -> str:
    """The position of a target table: up to which time its deletes were looked for, in microseconds since 1970 (UTC)."""
    return f"deletes/{table}"


def delete_round(sync: ReverseSync) -> dict[str, Counts]:
    """Look for deletes since the last time, and bring them to the legacy side. Nothing to do on MariaDB, which keeps no old
    versions: there `membershift reconcile rows` finds rows that only the legacy side has.

    Where the deletes of a span cannot be known any more (the sync stood still longer than the target keeps old versions) that is
    kept as a dead letter, and looking goes on from now.
    """
    if not sync.scan.is_tidb:
        return {}
    context, counts = reverse_context(sync), {}
    positions = read_positions(sync.mark, sync.plan.state_schema)
    for table in reversed(sync.scanned):  # rows that refer to others go before these
        now: datetime = sync.mark.scalar("SELECT NOW(6)")
        after = now - SETTLED
        known = positions.get(deletes_name(table.name))
        before = None if known is None else EPOCH + timedelta(microseconds=known.value)
        if before is None:
            note(sync, table, after)
        elif before < after:
            counts[table.name] = look(sync, context, table, before, after)
    return counts


def look(sync: ReverseSync, context: ReverseContext, table: SyncTable, before: datetime, after: datetime) -> Counts:
    """Deletes of one span of one table. The position moves once all of them are through."""
    counts = Counts()
    sent = sorted(sync.sent_keys.pop(table.name, set()))
    try:
        for keys in deleted_keys(sync.sweeper, sync.plan.schema, table, before, after, sent=sent):
            delete_gone(sync, context, table, keys, counts)
    except RefusedError as error:
        letter = DeadLetter("reverse", table.name, EVERY_KEY, "deletes_unknown", f"{error.message} {error.remedy}")
        with sync.mark.transaction():
            write_dead_letters(sync.mark, sync.plan.state_schema, [letter])
        counts.dead += 1
    if counts.held:
        sync.sent_keys[table.name] = set(sent)
    else:
        note(sync, table, after)
    return counts


def delete_gone(sync: ReverseSync, context: ReverseContext, table: SyncTable, keys: pl.Series, counts: Counts) -> set[str]:
    """Delete on the legacy side what is gone on the target. Returns the keys that have to be looked at again, one that has come
    back among them."""
    gone = still_gone(sync.mark, sync.plan.schema, table, keys.to_list())
    result = delete_rows(context, table, gone)
    with sync.mark.transaction():
        forget_bases(sync.mark, sync.plan.state_schema, table.name, result.done)
        write_dead_letters(sync.mark, sync.plan.state_schema, result.dead)
    counts.deleted += len(result.done)
    counts.held += len(result.later)
    counts.dead += len(result.dead)
    return {*result.later, *(set(keys) - set(gone))}


def note(sync: ReverseSync, table: SyncTable, at: datetime) -> None:
    """Deletes up to this time are on the legacy side."""
    with sync.mark.transaction():
        write_position(sync.mark, sync.plan.state_schema, deletes_name(table.name), microseconds(at.replace(tzinfo=UTC)))
