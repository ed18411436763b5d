"""membershift snapshot create: what some stores hold at one instant, in files, and readable on TiDB as it was."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import polars as pl
import pyarrow as pa

from etl.errors import UsageError
from etl.load.sql import places, sql
from etl.personal_files import make_private_folder
from etl.progress import Progress
from etl.settings import Settings
from etl.target.bulk import BulkConnection
from etl.target.capabilities import read_capabilities
from etl.target.columns import text_of
from etl.target.connect import connect_bulk, open_target
from etl.target.errors import ServerError
from etl.target.snapshot import EPOCH, consistent_snapshot
from migrations.release.snapshots.encrypt import Key
from migrations.release.snapshots.files import key_of, write_rows
from migrations.release.snapshots.gc_hold import hold_gc, settle_gc
from migrations.release.snapshots.legacy import export_legacy
from migrations.release.snapshots.model import (
    MANIFEST,
    Manifest,
    StoredFile,
    folder_of,
    new_id,
    snapshot_ids,
    snapshots_dir,
    write_manifest,
)
from migrations.release.snapshots.own_tables import OwnTable, read_own_tables
from migrations.schema.names import schema_names
from migrations.schema.revisions import current_revision

LOCK: Final = "lock"
LONGEST_NOTE: Final = 200


@dataclass(frozen=True)
class SnapshotRequest:
    """`stores` to take, `reason` and `by` for those who come after. `legacy`: also their rows on the legacy side; None: as the
    configuration says."""

    stores: tuple[str, ...]
    reason: str = ""
    by: str = ""
    legacy: bool | None = None


def create_snapshot(settings: Settings, request: SnapshotRequest, progress: Progress) -> Manifest:
    """Take it; everything that was committed on the target before this call is in it. Nothing of the target changes but how long
    it keeps old versions (TiDB), which is put back when no snapshot needs it any more.

    A failed one leaves nothing. Raises UsageError for a store that is not there, RefusedError, TargetError, SourceError,
    ConfigurationError (disk full, no key).
    """
    stores, key = asked_stores(request), key_of(settings.snapshots)
    with connect_bulk(settings.target) as target, new_folder(settings, target) as folder:
        tables = read_own_tables(target, settings.target.schema_name)
        refuse_unknown_stores(target, stores)
        held = hold_gc(settings.state_dir, target, folder.name, timedelta(hours=settings.snapshots.as_of_h))
        manifest = Manifest(
            id=folder.name,
            taken_at=datetime.now(UTC),
            tso=None,
            readable_until=held.until,
            server=read_capabilities(target).name,
            schema_name=settings.target.schema_name,
            revision=revision_of(settings),
            stores=stores,
            reason=request.reason[:LONGEST_NOTE],
            by=request.by,
            columns={table.name: table.shape for table in tables},
            keys={table.name: table.key for table in tables},
            files=(),
            key_id="" if key is None else key.id,
            note=held.note,
        )
        manifest = export_target(settings, manifest, tables, folder, key, progress)
        if settings.snapshots.legacy if request.legacy is None else request.legacy:
            legacy = export_legacy(settings, target, stores, folder, key, progress)
            manifest = replace(manifest, files=(*manifest.files, *legacy))
        return write_manifest(settings.state_dir, manifest)


def asked_stores(request: SnapshotRequest) -> tuple[str, ...]:
    """Each once. Raises UsageError when none is named."""
    stores = tuple(dict.fromkeys(store for store in request.stores if store))
    if not stores:
        raise UsageError("A snapshot of which stores?", "Name them: membershift snapshot create --store S001")
    return stores


def refuse_unknown_stores(target: BulkConnection, stores: tuple[str, ...]) -> None:
    """A snapshot of a mistyped store would be empty, and found so when it is needed. Raises UsageError."""
    schema = target.settings.schema_name
    statement = sql(
        "SELECT store_code FROM {schema}.store WHERE store_code IN ({places})", {"schema": schema}, places=places(len(stores))
    )
    known = {text_of(row[0]) for row in target.query(statement, stores)}
    unknown = [store for store in stores if store not in known]
    if unknown:
        raise UsageError(f"No such store on the target: {', '.join(unknown)}.", f"Stores are in {schema}.store.")


@contextmanager
def new_folder(settings: Settings, target: BulkConnection) -> Iterator[Path]:
    """A folder that others see is being written to; gone again, with what was held for it, when the block fails.

    What killed processes left is cleared first.
    """
    clear_abandoned(settings.state_dir, target)
    with alone(settings.state_dir):
        folder = make_private_folder(folder_of(settings.state_dir, new_id(datetime.now(UTC))))
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield folder
        (folder / LOCK).unlink(missing_ok=True)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        give_up_hold(settings.state_dir, target, folder.name)
        raise
    finally:
        os.close(lock)


@contextmanager
def alone(state_dir: Path) -> Iterator[None]:
    """For a moment nobody else begins a snapshot or clears away: a folder is never seen without the lock of whoever writes it."""
    lock = os.open(make_private_folder(snapshots_dir(state_dir)) / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def give_up_hold(state_dir: Path, target: BulkConnection, snapshot: str) -> None:
    """Nothing needs to be kept for it. When the target is away, whoever comes next does this."""
    try:
        settle_gc(state_dir, target, frozenset({snapshot}))
    except ServerError:
        return


def clear_abandoned(state_dir: Path, target: BulkConnection | None) -> tuple[str, ...]:
    """Remove folders that killed processes left half-written, and put back what was raised for them. Their names."""
    with alone(state_dir):
        gone = tuple(name for name in snapshot_ids(state_dir) if is_abandoned(folder_of(state_dir, name)))
        for name in gone:
            shutil.rmtree(folder_of(state_dir, name), ignore_errors=True)
    if target is not None:
        settle_gc(state_dir, target, frozenset(gone))
    return gone


def is_abandoned(folder: Path) -> bool:
    """Whether it has no manifest, and nobody who writes one."""
    if (folder / MANIFEST).exists():
        return False
    try:
        lock = os.open(folder / LOCK, os.O_RDWR)
    except OSError:
        return True
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return not (folder / MANIFEST).exists()


def revision_of(settings: Settings) -> str | None:
    """The revision of the target's tables."""
    with open_target(settings.target) as engine:
        return current_revision(engine, schema_names(settings.target))


def export_target(
    settings: Settings, manifest: Manifest, tables: tuple[OwnTable, ...], folder: Path, key: Key | None, progress: Progress
) -> Manifest:
    """The rows of each store and table, all as they are at one instant."""
    task, files = "snapshot", list[StoredFile]()
    with consistent_snapshot(settings.target, 1) as instant:
        reader = instant.connections[0]
        progress.start(task, None, "rows")
        for store in manifest.stores:
            for table in tables:
                frames = rows_of_store(reader, settings.target.schema_name, table, store, settings.load.batch_rows)
                batches = (frame.to_arrow() for frame in frames)
                stored = write_rows(folder, "target", store, table.name, arrow_schema(table), batches, key)
                progress.advance(task, stored.rows)
                files.append(stored)
        progress.finish(task)
    taken, tso = instant.taken_at, None
    if reader.is_tidb:
        tso = round((taken - EPOCH) / timedelta(milliseconds=1)) << 18
    return replace(manifest, taken_at=taken, tso=tso, files=tuple(files))


def rows_of_store(reader: BulkConnection, schema: str, table: OwnTable, store: str, batch_rows: int) -> Iterator[pl.DataFrame]:
    """A store's rows of a table, as the connection sees them, in the order of their key."""
    return reader.read_frame(table.select(schema), polars_schema(table), (store,), batch_rows=batch_rows)


def polars_schema(table: OwnTable) -> pl.Schema:
    """The types that hold every value exactly; FLOAT is read as DOUBLE."""
    return pl.Schema(
        {column.name: pl.Float64() if column.type_name.startswith("float") else column.polars_type() for column in table.columns}
    )


def arrow_schema(table: OwnTable) -> pa.Schema:
    """The same for the file."""
    return pl.DataFrame(schema=polars_schema(table)).to_arrow().schema
