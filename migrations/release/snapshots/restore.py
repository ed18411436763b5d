"""membershift snapshot restore: bring the rows of one store back as a snapshot has them, and touch nobody else's.

By difference, by key, in small transactions: the store's own rows only. A member's profile, points and tier belong to all stores
and stay; FLASHBACK CLUSTER, which would rewind everybody, is never used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from etl.errors import RefusedError, UsageError
from etl.progress import Progress
from etl.settings import Settings
from etl.target.bulk import BulkConnection
from etl.target.connect import connect_bulk
from migrations.release.model import writes_to
from migrations.release.snapshots.files import keys_of, read_rows
from migrations.release.snapshots.model import Manifest, folder_of, read_manifest
from migrations.release.snapshots.own_tables import OwnTable
from migrations.release.snapshots.prune import known_routes
from migrations.release.snapshots.restore_rows import Difference, Restored, RowRestorer, difference, read_now
from migrations.release.snapshots.verify import tables_as_then

NOT_RESTORED: Final = ("member", "member_source", "tier_history", "store")
"""Shared by all stores, or master data. Balances follow from the ledger: `reconcile invariants` says when they do not."""

MOST_KEYS: Final = 10


@dataclass(frozen=True)
class RestoreRequest:
    """`delete_extra`: also delete the store's rows that came after the snapshot: its newer sales among them. `to_both`: although
    the store's writes go to SQL Server, where sync carries the restored rows over newer ones."""

    store: str
    snapshot: str
    delete_extra: bool = False
    to_both: bool = False
    execute: bool = False


@dataclass(frozen=True)
class TableRestore:
    """What separates a table from the snapshot: rows `missing`, `changed`, and `extra` ones that came after. What became of it:
    `inserted`, `updated`, `deleted`; `changed_since` and `blocked` rows were left alone; `left` still differ. `keys`: some of
    the rows."""

    table: str
    missing: int
    changed: int
    extra: int
    keys: tuple[str, ...] = ()
    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    changed_since: int = 0
    blocked: int = 0
    left: int = 0


@dataclass(frozen=True)
class RestoreResult:
    """`left`: rows that still differ, without extra ones that nobody asked to delete. `untouched`: tables that are not the
    store's own."""

    executed: bool
    store: str
    snapshot: str
    taken_at: str
    delete_extra: bool
    tables: tuple[TableRestore, ...]
    untouched: tuple[str, ...] = NOT_RESTORED

    @property
    def left(self) -> int:
        """Rows that still differ."""
        return sum(table.left for table in self.tables)

    @property
    def differing(self) -> int:
        """Rows that would be written, or were."""
        return sum(table.missing + table.changed + (table.extra if self.delete_extra else 0) for table in self.tables)


def restore_store(settings: Settings, request: RestoreRequest, progress: Progress) -> RestoreResult:
    """Compare the store's rows with the snapshot and, with `execute`, bring them back. Rows that change meanwhile are left alone.

    Raises UsageError when the snapshot has no such store, ConfigurationError when its files are not as they were written,
    RefusedError when the tables changed since or the store writes to SQL Server, TargetError.
    """
    manifest, folder = read_manifest(settings.state_dir, request.snapshot), folder_of(settings.state_dir, request.snapshot)
    refuse_other_store(manifest, request.store)
    if request.execute and not request.to_both:
        refuse_follower(settings.state_dir, request.store)
    with connect_bulk(settings.target) as target:
        tables = tables_as_then(target, manifest)
        then = rows_then(settings, manifest, folder, request.store)
        found = {name: compare(target, manifest, tables[name], request.store, rows) for name, rows in then.items()}
        planned = {name: planned_table(tables[name], one) for name, one in found.items()}
        if request.execute:
            planned = carry_out(target, manifest, tables, then, found, planned, request, progress)
    return RestoreResult(
        request.execute,
        request.store,
        manifest.id,
        manifest.taken_at.isoformat(timespec="milliseconds"),
        request.delete_extra,
        tuple(planned.values()),
    )


def refuse_other_store(manifest: Manifest, store: str) -> None:
    """Raises UsageError."""
    if store not in manifest.stores:
        raise UsageError(
            f"Snapshot {manifest.id} has no store {store}: it has {', '.join(manifest.stores)}.",
            f"See `membershift snapshot list --store {store}`.",
        )


def refuse_follower(state_dir: Path, store: str) -> None:
    """Where the release has the store write to SQL Server, TiDB only follows: what is restored there goes back over rows that are
    newer. Raises RefusedError."""
    where = known_routes(state_dir).get(store)
    if where is not None and writes_to(where) == "legacy":
        raise RefusedError(
            f"Store {store} writes to SQL Server: sync would carry restored rows there, over newer ones.",
            "Bring TiDB in line with SQL Server: membershift reconcile repair; or, if both shall go back, add --to-both.",
        )


def rows_then(settings: Settings, manifest: Manifest, folder: Path, store: str) -> dict[str, pl.DataFrame]:
    """The store's rows as they were, by table; every file is checked before any is used."""
    keys = keys_of(settings.snapshots)
    return {stored.table: read_rows(folder, stored, keys) for stored in manifest.of_store(store)}


def compare(target: BulkConnection, manifest: Manifest, table: OwnTable, store: str, then: pl.DataFrame) -> Difference:
    """What separates the table from the snapshot now."""
    return difference(table, then, read_now(target, manifest.schema_name, table, store, then))


def planned_table(table: OwnTable, found: Difference) -> TableRestore:
    """The difference in numbers."""
    some = pl.concat(frame.select(table.key) for frame in (found.missing, found.wanted, found.extra)).head(MOST_KEYS)
    keys = tuple(" / ".join(str(value) for value in row) for row in some.iter_rows())
    return TableRestore(table.name, found.missing.height, found.wanted.height, found.extra.height, keys)


def carry_out(
    target: BulkConnection,
    manifest: Manifest,
    tables: Mapping[str, OwnTable],
    then: Mapping[str, pl.DataFrame],
    found: Mapping[str, Difference],
    planned: Mapping[str, TableRestore],
    request: RestoreRequest,
    progress: Progress,
) -> dict[str, TableRestore]:
    """Delete what belongs to sales before sales; bring sales back before what belongs to them; then compare again."""
    writers = {name: RowRestorer(target, manifest.schema_name, tables[name], progress) for name in found}
    for name, one in found.items():
        progress.start(name, one.rows, "rows")
    removed = {name: Restored() for name in found}
    if request.delete_extra:
        removed = {name: writers[name].remove(found[name]) for name in reversed(list(found))}
    done = {}
    for name, one in found.items():
        updated = writers[name].in_chunks(one.wanted, one.seen)
        inserted = writers[name].in_chunks(one.missing, None)
        progress.finish(name)
        done[name] = outcome(planned[name], removed[name], updated, inserted)
    after = {name: compare(target, manifest, tables[name], request.store, rows) for name, rows in then.items()}
    return {name: with_left(done[name], after[name], delete_extra=request.delete_extra) for name in done}


def outcome(planned: TableRestore, removed: Restored, updated: Restored, inserted: Restored) -> TableRestore:
    """What became of a table."""
    every = removed + updated + inserted
    return TableRestore(
        planned.table,
        planned.missing,
        planned.changed,
        planned.extra,
        planned.keys,
        inserted.written,
        updated.written,
        removed.written,
        every.changed_since,
        every.blocked,
    )


def with_left(table: TableRestore, after: Difference, *, delete_extra: bool) -> TableRestore:
    """How many rows differ now."""
    left = after.missing.height + after.wanted.height + (after.extra.height if delete_extra else 0)
    values = {name: getattr(table, name) for name in TableRestore.__dataclass_fields__}
    return TableRestore(**(values | {"left": left}))
