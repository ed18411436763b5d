"""A real write and a real read on the side that is to take a store's writes, right after it was opened.

A row of our own is committed and read back over another connection; then a row of the store is locked and written in each of
its business tables, and undone. That finds what a ping does not: a server that only reads, a lost right, a lock that somebody
holds.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Final

from etl.errors import TargetError
from etl.load.sql import sql
from etl.names import backtick, bracket
from etl.progress import Progress
from etl.reconcile.by_key import key_literal
from etl.reconcile.plan import PartPlan
from etl.settings import Settings
from etl.source.connect import Source, open_source
from etl.sync.capture.sweep import STORE
from etl.sync.compare_stores import legacy_store
from etl.sync.plan import plan_sync
from etl.sync.state import write_control
from etl.target.bulk import BulkConnection
from etl.target.columns import text_of
from etl.target.connect import connect_bulk

PROBE: Final = "release probe"
"""Row of sync_control that a probe writes."""
LOCK_WAIT_S: Final = 2
STORES: Final = "store"
"""The list of stores itself: its rows are not a store's own."""


def probe_target(settings: Settings, stores: Sequence[str], progress: Progress) -> Mapping[str, Any]:
    """Write and read on TiDB for these stores. Returns the tables in which a row of theirs was written, and undone.

    Raises TargetError where any of it fails, SourceError and ConfigurationError where the mapping cannot be read.
    """
    token, state = secrets.token_hex(8), settings.target.state_schema
    with open_source(settings.source, progress) as source, connect_bulk(settings.target) as target:
        plan = plan_sync(settings, source, target)
        write_control(target, state, PROBE, token, "release")
        with connect_bulk(settings.target) as another:
            found = another.scalar(sql("SELECT value FROM {state}.sync_control WHERE name = %s", {"state": state}), (PROBE,))
        if text_of(found) != token:
            raise TargetError("What was written to the target was not read back.", "Look at its replication and its clock.")
        target.execute(f"SET SESSION innodb_lock_wait_timeout = {LOCK_WAIT_S}")
        tables = tuple(table.name for table in plan.tables if STORE in table.plan.schema and table.name != STORES)
        written = [table for table in tables if touch_target(target, plan.schema, table, stores)]
    return {"side": "tidb", "tables": tables, "written": tuple(written)}


def touch_target(target: BulkConnection, schema: str, table: str, stores: Sequence[str]) -> bool:
    """Write a row of these stores and undo it; False where they have none yet."""
    marks = ", ".join(["%s"] * len(stores))
    target.execute("BEGIN")
    try:
        statement = sql(
            "UPDATE {schema}.{table} SET updated_at = NOW(6) WHERE {store} IN ({marks}) LIMIT 1",
            {"schema": schema, "table": table},
            store=backtick(STORE),
            marks=marks,
        )
        return bool(target.execute(statement, tuple(stores)))
    finally:
        target.execute("ROLLBACK")


def probe_source(settings: Settings, stores: Sequence[str], progress: Progress) -> Mapping[str, Any]:
    """The same on SQL Server: a row of each legacy table that says whose it is, written as it is and undone.

    Raises SourceError, ConfigurationError.
    """
    with open_source(settings.source, progress) as source, connect_bulk(settings.target) as target:
        plan = plan_sync(settings, source, target)
        parts = {part.part.source: part for table in plan.tables if table.name != STORES for part in table.plan.parts}
        written = [name for name, part in parts.items() if legacy_store(part) and touch_legacy(source, part, stores)]
    return {"side": "legacy", "written": tuple(str(name) for name in written)}


def touch_legacy(source: Source, part: PartPlan, stores: Sequence[str]) -> bool:
    """Write a row of these stores as it is and undo it; False where they have none yet."""
    name, column = part.part.source, part.table.by_name[legacy_store(part) or ""]
    codes = ", ".join(key_literal(column, store) for store in stores)
    keys = ", ".join(bracket(one) for one in part.table.key)
    held = f"WITH (UPDLOCK, ROWLOCK) WHERE {bracket(column.name)} IN ({codes})"
    some = " ".join((f"SELECT TOP (1) {keys} FROM", name.quoted, held))
    with source.plain_session() as session:
        session.use(name.database)
        session.execute(f"SET XACT_ABORT ON; SET LOCK_TIMEOUT {LOCK_WAIT_S * 1000}; BEGIN TRAN")
        found = session.query(some)
        if found:
            same = zip(part.table.key, found[0], strict=True)
            row = " AND ".join(f"{bracket(one)} = {key_literal(part.table.by_name[one], value)}" for one, value in same)
            kept = bracket(column.name)
            session.execute(" ".join(("UPDATE", name.quoted, f"SET {kept} = {kept} WHERE {row}")))
        session.execute("IF @@TRANCOUNT > 0 ROLLBACK TRAN; SET XACT_ABORT OFF; SET LOCK_TIMEOUT -1")
    return bool(found)
