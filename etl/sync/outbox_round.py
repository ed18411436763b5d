"""Reverse for tables whose application keeps an outbox: what its entries name is sent, then they are forgotten.

An entry is no image: the row is read as it is now, and merged as one that was found by its times. So an entry may be read twice,
and several entries of a row are one; what makes it exact is that an entry stays until what it is about is on the other side or
kept.
"""

from __future__ import annotations

from typing import Final

from etl.sync.capture.outbox import OutboxBatch, forget_outbox, outbox_pages
from etl.sync.dead_letters import write_dead_letters
from etl.sync.deletes import delete_gone
from etl.sync.model import KEY, Counts, DeadLetter
from etl.sync.plan import SyncTable
from etl.sync.reverse.model import ReverseContext
from etl.sync.reverse_round import ReverseSync, reverse_context, send_page

NO_KEY: Final = "no_key"


def outbox_round(sync: ReverseSync) -> dict[str, Counts]:
    """Everything that the outbox names now, parents first. Raises SourceError, TargetError."""
    tables = [table for table in sync.tables if table.rules.capture == "outbox"]
    context = reverse_context(sync) if tables else None
    counts: dict[str, Counts] = {}
    for table in tables:
        assert context is not None, "made where there are tables"
        counts[table.name] = Counts()
        for batch in outbox_pages(sync.scan, sync.plan.schema, table, sync.settings.sync.outbox):
            if sync.enough():
                return counts
            bring(sync, context, table, batch, counts[table.name])
    return counts


def bring(sync: ReverseSync, context: ReverseContext, table: SyncTable, batch: OutboxBatch, counts: Counts) -> None:
    """One page of entries. An entry whose row has to be looked at again (a lock, a change that forward has still to bring)
    stays."""
    left: set[str] = set()
    if not batch.rows.rows.is_empty():
        left |= set(send_page(sync, context, table, batch.rows, counts)[KEY])
    if len(batch.deleted):
        left |= delete_gone(sync, context, table, batch.deleted, counts)
    if batch.unreadable:
        keep_unreadable(sync, table, batch.unreadable, counts)
    done = [number for key, numbers in batch.ids.items() if key not in left for number in numbers]
    forget_outbox(sync.mark, sync.plan.schema, [*done, *batch.unreadable], sync.settings.sync.outbox)


def keep_unreadable(sync: ReverseSync, table: SyncTable, numbers: tuple[int, ...], counts: Counts) -> None:
    """A dead letter for each entry whose key is none of the table's."""
    detail = f"row_key is no key of {table.name}: {', '.join(table.plan.key)} as a JSON list, or the value itself"
    letters = [DeadLetter("reverse", table.name, f"{sync.settings.sync.outbox}/{number}", NO_KEY, detail) for number in numbers]
    with sync.mark.transaction():
        write_dead_letters(sync.mark, sync.plan.state_schema, letters)
    counts.dead += len(letters)
