"""membershift sync start: what must be noted before the first change flows, so that there is neither a gap nor a double.

Forward begins at the version that `stage` noted before it read the first row. What both sides have in common now is noted row by
row, and with it what the legacy side has contributed to each counter: from here on each side may be written to.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from etl.errors import RefusedError
from etl.load.lock import hold_load_lock
from etl.load.sql import sql
from etl.names import SourceTable
from etl.progress import Progress
from etl.reconcile.actual import read_actual
from etl.reconcile.plan import PartPlan, encode_keys
from etl.settings import Settings
from etl.source.connect import open_source
from etl.stage.read import StagedTable, open_stage
from etl.sync.base import counters_text
from etl.sync.capture.outbox import require_outbox
from etl.sync.capture.requirements import require_capturable, require_clock, require_process
from etl.sync.capture.rows import DIRTY
from etl.sync.digest import pack_rows
from etl.sync.forward.positions import Reached, shape_of
from etl.sync.forward.restored import note_forks, read_forks
from etl.sync.forward.versions import way_of
from etl.sync.merge import number
from etl.sync.plan import SyncPlan, SyncTable, plan_sync
from etl.sync.reverse.legacy_tables import ensure_legacy_tables, missing_rights
from etl.sync.state import STATE, read_positions, reverse_name, write_control, write_position
from etl.target.bulk import BulkConnection
from etl.target.columns import read_target_columns, text_of
from etl.target.connect import connect_bulk

ROWS_A_BATCH: Final = 10_000
MARKS_A_BATCH: Final = 5_000
SYNC_TABLES: Final = frozenset({"sync_position", "sync_control", "sync_base", "sync_conflict", "sync_dead_letter"})


@dataclass(frozen=True)
class StartResult:
    """What was prepared, or would be. `legacy_tables`: T-SQL of our tables that the legacy databases lack. `positions`: where
    forward begins, by legacy table; those of `known` were there already. `ways`: how changes of each legacy table are told.
    `grants`: rights that the source's login lacks to write back. `blind`: legacy databases that do not tell when they are
    restored. `in_step`: rows of each target table that had to be noted as in step. `bases`: rows of each whose common values were
    noted."""

    executed: bool
    legacy_tables: tuple[str, ...]
    positions: Mapping[str, int]
    known: tuple[str, ...]
    ways: Mapping[str, str]
    grants: tuple[str, ...] = ()
    blind: tuple[str, ...] = ()
    in_step: Mapping[str, int] = field(default_factory=dict)
    bases: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def nothing(self) -> bool:
        """Whether everything had been prepared before."""
        return not self.legacy_tables and not self.grants and len(self.known) == len(self.positions)


def start_sync(settings: Settings, *, execute: bool, by_whom: str, progress: Progress) -> StartResult:
    """Prepare both sides; with `execute` also let sync run. May be run again: what is done stays.

    Raises RefusedError where something must be done before (stage, load, schema, rights), ConfigurationError, SourceError,
    TargetError.
    """
    began = time.monotonic()
    with open_source(settings.source, progress) as source, connect_bulk(settings.target) as target:
        require_sync_tables(target, settings.target.state_schema)
        require_process(target)
        plan = plan_sync(settings, source, target)
        require_clock(target)
        for table in both_ways(plan):
            require_capturable(target, plan.schema, table)
        if any(table.rules.capture == "outbox" for table in both_ways(plan)):
            require_outbox(target, plan.schema, settings.sync.outbox)
        ways = {str(part.part.source): way_of(plan.legacy(part), part, {}) for _, part in all_parts(plan)}
        staged = staged_tables(settings)
        positions = read_positions(target, plan.state_schema)
        begins = first_positions(plan, staged)
        known = tuple(reached.name for reached in begins if reached.name in positions)
        missing = ensure_legacy_tables(source, written_databases(plan), execute=False)
        told = {str(reached.table): reached.position for reached in begins}
        grants = missing_rights(source, plan)
        forks = read_forks(source, plan.databases)
        blind = tuple(database for database, fork in forks.items() if fork is None)
        if not execute:
            return StartResult(False, missing, told, known, ways, grants, blind, seconds=time.monotonic() - began)
        require_rights(grants)
        with hold_load_lock(settings):
            ensure_legacy_tables(source, written_databases(plan), execute=True)
            require_rights(missing_rights(source, plan))  # on our own two tables, which may not have been there before
            in_step = {table.name: note_in_step(target, plan, table, progress) for table in both_ways(plan)}
            bases = {
                table.name: note_bases(settings, target, plan, table, progress)
                for table in plan.tables
                if table.rules.mode == "both"
            }
            with target.transaction():
                for reached in begins:
                    if reached.name not in positions:
                        write_position(target, plan.state_schema, reached.name, reached.position, reached.detail)
                note_forks(target, plan, forks)
            write_control(target, plan.state_schema, STATE, "running", by_whom)
        return StartResult(True, missing, told, known, ways, (), blind, in_step, bases, time.monotonic() - began)


def require_sync_tables(target: BulkConnection, state_schema: str) -> None:
    """Raises RefusedError on a target that is older than sync."""
    missing = SYNC_TABLES - set(read_target_columns(target, state_schema))
    if missing:
        raise RefusedError(
            f"{state_schema} has no table {', '.join(sorted(missing))}.",
            "Run `membershift schema up --execute`: it adds what is missing.",
        )


def require_rights(grants: Sequence[str]) -> None:
    """Raises RefusedError when the login lacks rights to write back, with the statements that give them: without, every row that
    changes on the target would become a dead letter."""
    if grants:
        raise RefusedError(
            "The login of the source may not write back everything that changes on the target.",
            "Have a DBA run:\n" + "\n".join(f"{grant};" for grant in grants),
        )


def staged_tables(settings: Settings) -> dict[SourceTable, StagedTable]:
    """What is staged, by legacy table."""
    with open_stage(settings) as stage:
        return {table.name: table for table in stage.tables()}


def all_parts(plan: SyncPlan) -> Iterator[tuple[SyncTable, PartPlan]]:
    """Every part of every table."""
    return ((table, part) for table in plan.tables for part in table.plan.parts)


def both_ways(plan: SyncPlan) -> tuple[SyncTable, ...]:
    """Tables that applications on the target write to."""
    return tuple(table for table in plan.tables if table.rules.mode != "source")


def written_databases(plan: SyncPlan) -> tuple[str, ...]:
    """Legacy databases that reverse writes to."""
    found = (part.part.source.database for table in both_ways(plan) for part in table.plan.parts)
    return tuple(dict.fromkeys(found))


def first_positions(plan: SyncPlan, staged: Mapping[SourceTable, StagedTable]) -> list[Reached]:
    """Where forward begins in each legacy table: at what `stage` noted before it read the first row.

    Raises RefusedError for a table that is not staged whole, or was staged without anything noted.
    """
    parts: dict[SourceTable, list[PartPlan]] = {}
    for _, part in all_parts(plan):
        parts.setdefault(part.part.source, []).append(part)
    begins = []
    for name, several in parts.items():
        table = staged.get(name)
        if table is None or not table.complete:
            raise RefusedError(
                f"{name} is not staged whole: nobody knows from where its changes are to be followed.",
                f"Run: membershift stage --table {name}, then load it.",
            )
        legacy = plan.legacy(several[0])
        version = table.ct_version if legacy.change_tracking else table.row_version
        if version is None:
            raise RefusedError(
                f"No version was noted when {name} was staged, so its changes since then cannot be followed.",
                f"Switch Change Tracking on, then: membershift stage --restart {name}, and load it.",
            )
        begins.append(Reached(name, version, shape_of(several, legacy)))
    return begins


def note_in_step(target: BulkConnection, plan: SyncPlan, table: SyncTable, progress: Progress) -> int:
    """Rows that nobody noted as in step when they were loaded: dirty ones of a time before anybody but us wrote here.

    Once the table has a reverse position this is over: a dirty row is then what an application wrote.
    """
    name = reverse_name(table.name)
    if name in read_positions(target, plan.state_schema):
        return 0
    task, done = f"{table.name} in step", 0
    statement = sql(
        "UPDATE {schema}.{table} SET synced_at = updated_at, updated_at = updated_at WHERE {dirty} LIMIT {limit}",
        {"schema": plan.schema, "table": table.name},
        dirty=DIRTY,
        limit=str(MARKS_A_BATCH),
    )
    progress.start(task, None)
    while marked := target.execute(statement):
        done += marked
        progress.advance(task, marked)
    progress.finish(task)
    at = int(target.scalar("SELECT CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS SIGNED)"))
    with target.transaction():
        write_position(target, plan.state_schema, name, at)
    return done


def note_bases(settings: Settings, target: BulkConnection, plan: SyncPlan, table: SyncTable, progress: Progress) -> int:
    """What both sides have in common now: each row as it is. Rows that have a base already keep it, so that this may go on where
    it was cut short. Nothing to do once all columns were noted before."""
    name, columns = f"base/{table.name}", ",".join(table.kept)
    before = read_positions(target, plan.state_schema).get(name)
    if before is not None and before.detail == columns[:400]:
        return 0
    task, done = f"{table.name} base", 0
    progress.start(task, None)
    with connect_bulk(settings.target) as reader:
        for frame in read_actual(reader, plan.schema, table.plan, ROWS_A_BATCH):
            with target.transaction():
                done += write_new_bases(target, plan.state_schema, table, frame)
            progress.advance(task, frame.height)
    progress.finish(task)
    with target.transaction():
        write_position(target, plan.state_schema, name, done, columns[:400])
    return done


def write_new_bases(target: BulkConnection, state_schema: str, table: SyncTable, frame: pl.DataFrame) -> int:
    """Bases of these rows, where there are none."""
    keys = encode_keys(frame.select(table.plan.key))
    there = {
        text_of(key)
        for (key,) in target.query(
            sql(
                "SELECT row_key FROM {state}.sync_base WHERE table_name = %s AND row_key IN ({keys})",
                {"state": state_schema},
                keys=", ".join(["%s"] * len(keys)),
            ),
            (table.name, *keys),
        )
    }
    rows = frame.with_columns(keys.alias("row_key")).filter(~pl.col("row_key").is_in(list(there)))
    if rows.is_empty():
        return 0
    counters = [column for column in table.rules.counters if column in rows.columns]
    totals = (
        [
            counters_text({name: number(value) for name, value in zip(counters, values, strict=True)})
            for values in rows.select(counters).iter_rows()
        ]
        if counters
        else [None] * rows.height
    )
    bases = pl.DataFrame(
        {
            "table_name": [table.name] * rows.height,
            "row_key": rows["row_key"],
            "hashes": pl.Series(pack_rows(rows, table.kept), dtype=pl.Binary),
            "counters": pl.Series(totals, dtype=pl.String),
        }
    )
    outcome = target.load_rows("sync_base", bases.columns, bases, schema=state_schema)
    if not outcome.clean:
        raise RefusedError(f"{state_schema}.sync_base did not take every row of {table.name}.", "Look at the target's log.")
    return rows.height
