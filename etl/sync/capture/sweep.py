"""Every dirty row there is, whatever its time: at the start, at intervals, and before a fence ends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from etl.load.sql import sql
from etl.sync.capture.rows import DIRTY, SYNC_INDEX, read_pages, select_rows
from etl.sync.model import DirtyRows
from etl.sync.plan import SyncTable
from etl.target.bulk import BulkConnection

STORE: Final = "store_code"


def sweep_dirty(connection: BulkConnection, schema: str, table: SyncTable, page_rows: int = 5_000) -> Iterator[DirtyRows]:
    """All dirty rows in no order, in ONE statement over the whole index (paging it with LIMIT reads it again for each page).

    The connection is busy until the last page is taken: it must not be the one that marks; leaving early closes it. Rows are as
    they were when the sweep began: marks compare, so that what changed meanwhile stays dirty. Raises ServerError.
    """
    statement = select_rows(schema, table, DIRTY)
    yield from read_pages(connection, statement, table, None, page_rows)


def count_dirty_rows(connection: BulkConnection, schema: str, table: str, store_code: str | None = None) -> int:
    """How many rows are dirty; with `store_code` those of that store. Takes no plan, so that it can be told while the source is
    away. Raises ServerError."""
    statement = sql(
        "SELECT COUNT(*) FROM {schema}.{table} FORCE INDEX ({index}) WHERE {dirty}{store}",
        {"schema": schema, "table": table, "index": SYNC_INDEX},
        dirty=DIRTY,
        store="" if store_code is None else " AND store_code = %s",
    )
    return int(connection.scalar(statement, None if store_code is None else (store_code,)))
