"""membershift snapshot verify: prove that a snapshot can be restored, by restoring it into a schema of its own.

What the target gives back from there has to equal the files; where TiDB can still read what its tables held then, that has to
equal them too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import polars as pl

from etl.errors import ConfigurationError, RefusedError
from etl.names import backtick
from etl.progress import Progress
from etl.settings import Settings
from etl.target.bulk import BulkConnection
from etl.target.connect import connect_bulk
from etl.target.errors import ServerError
from migrations.release.snapshots.create import polars_schema
from migrations.release.snapshots.encrypt import Key
from migrations.release.snapshots.files import keys_of, read_rows
from migrations.release.snapshots.model import Manifest, StoredFile, folder_of, read_manifest
from migrations.release.snapshots.own_tables import OwnTable, read_own_tables

COLLECTED: Final = frozenset({9006, 8055})
"""TiDB: what is asked for has been collected, or lies before it can be read."""


@dataclass(frozen=True)
class VerifiedFile:
    """`sound`: the file is as it was written. `restored`: what the target gave back equals it; `as_was`: so does what the target
    held then, None where it cannot be read any more. `fault`: what is wrong, "" when nothing is."""

    store: str
    table: str
    side: str
    rows: int
    sound: bool = False
    restored: bool | None = None
    as_was: bool | None = None
    fault: str = ""


@dataclass(frozen=True)
class VerifiedSnapshot:
    """`id` was checked file by file."""

    id: str
    files: tuple[VerifiedFile, ...]
    compared_as_of: bool

    @property
    def sound(self) -> bool:
        """Whether all of it can be restored."""
        return not any(file.fault for file in self.files)


def verify_snapshot(settings: Settings, snapshot: str, progress: Progress) -> VerifiedSnapshot:
    """Check every file, restore the target's into a scratch schema, compare, drop it. The business tables are only read.

    Raises UsageError, ConfigurationError for a manifest that cannot be believed, RefusedError when the tables have changed since
    or another verify runs, TargetError.
    """
    manifest, folder = read_manifest(settings.state_dir, snapshot), folder_of(settings.state_dir, snapshot)
    keys = keys_of(settings.snapshots)
    with connect_bulk(settings.target) as target:
        tables = tables_as_then(target, manifest)
        with scratch_schema(settings, target) as scratch, as_it_was(settings, manifest) as past:
            checks = Checks(target, past, manifest, tables, folder, keys, scratch, settings.load.batch_rows)
            progress.start("verify", manifest.rows, "rows")
            found = []
            for stored in manifest.files:
                found.append(checks.check(stored))
                progress.advance("verify", stored.rows)
            progress.finish("verify")
    return VerifiedSnapshot(snapshot, tuple(found), past is not None)


def tables_as_then(target: BulkConnection, manifest: Manifest) -> Mapping[str, OwnTable]:
    """The tables of the snapshot. Raises RefusedError when one is not what it was: its rows would not fit."""
    now = {table.name: table for table in read_own_tables(target, manifest.schema_name)}
    for name, columns in manifest.columns.items():
        if name not in now or now[name].shape != columns or now[name].key != manifest.keys[name]:
            raise RefusedError(
                f"{manifest.schema_name}.{name} is not as it was when the snapshot was taken (revision {manifest.revision}).",
                f"Bring the tables to that revision (`membershift schema down {manifest.revision}`), or restore by hand.",
            )
    return {name: now[name] for name in manifest.columns}


@contextmanager
def scratch_schema(settings: Settings, target: BulkConnection) -> Iterator[str]:
    """An empty schema for one verify at a time; what a killed one left is dropped first. Raises RefusedError."""
    name = settings.target.verify_schema
    taken = target.scalar("SELECT GET_LOCK(%s, 2)", (f"membershift.{name}"[:64],))
    if taken is None or int(taken) != 1:
        raise RefusedError("Another `snapshot verify` is running on this target.", "Wait for it to end.")
    target.execute(f"DROP DATABASE IF EXISTS {backtick(name)}")
    target.execute(f"CREATE DATABASE {backtick(name)} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
    try:
        yield name
    finally:
        target.execute(f"DROP DATABASE IF EXISTS {backtick(name)}")
        target.scalar("SELECT RELEASE_LOCK(%s)", (f"membershift.{name}"[:64],))


@contextmanager
def as_it_was(settings: Settings, manifest: Manifest) -> Iterator[BulkConnection | None]:
    """A connection that reads what the target held then; None where it cannot."""
    if manifest.tso is None or manifest.readable_until is None or manifest.readable_until <= datetime.now(UTC):
        yield None
        return
    with connect_bulk(settings.target) as reader:
        try:
            reader.begin(f"START TRANSACTION READ ONLY AS OF TIMESTAMP '{manifest.as_of}'")
        except ServerError as error:
            if error.number not in COLLECTED:
                raise
            yield None
            return
        yield reader


@dataclass(frozen=True)
class Checks:
    """What checking a file needs. `past` reads what the target held then, where it can."""

    target: BulkConnection
    past: BulkConnection | None
    manifest: Manifest
    tables: Mapping[str, OwnTable]
    folder: Path
    keys: tuple[Key, ...]
    scratch: str
    batch_rows: int

    def check(self, stored: StoredFile) -> VerifiedFile:
        """One file. What is wrong with it is said, not raised: the others are looked at too."""
        found = VerifiedFile(stored.store, stored.table, stored.side, stored.rows)
        try:
            rows = read_rows(self.folder, stored, self.keys)
            found = replace(found, sound=True)
            if stored.side == "legacy":
                return found
            found = replace(found, restored=self.comes_back(stored, rows), as_was=self.equals_then(stored, rows))
        except (ConfigurationError, ServerError) as error:
            return replace(found, fault=error.message)
        return replace(found, fault=fault_of(found))

    def comes_back(self, stored: StoredFile, rows: pl.DataFrame) -> bool:
        """Load it into the scratch schema, and read it from there."""
        table = self.tables[stored.table]
        place = f"{backtick(self.scratch)}.{backtick(table.name)}"
        self.target.execute(f"DROP TABLE IF EXISTS {place}")
        self.target.execute(f"CREATE TABLE {place} LIKE {backtick(self.manifest.schema_name)}.{backtick(table.name)}")
        for batch in rows.iter_slices(self.batch_rows):
            with self.target.transaction():
                outcome = self.target.load_rows(table.name, table.names, as_loaded(table, batch), schema=self.scratch)
                if not outcome.clean:
                    raise ConfigurationError(
                        f"{outcome.warnings} values of {stored.path} do not fit the table any more.",
                        "The table was changed since; bring it to the revision of the snapshot.",
                    )
        return same_rows(table, rows, self.read(self.target, table.select_from(self.scratch), table))

    def equals_then(self, stored: StoredFile, rows: pl.DataFrame) -> bool | None:
        """Compare with what the target held then."""
        if self.past is None:
            return None
        table = self.tables[stored.table]
        try:
            then = self.read(self.past, table.select(self.manifest.schema_name), table, (stored.store,))
        except ServerError as error:
            if error.number in COLLECTED:  # between the beginning of this verify and now
                return None
            raise
        return same_rows(table, rows, then)

    def read(self, reader: BulkConnection, select: str, table: OwnTable, values: tuple[str, ...] = ()) -> pl.DataFrame:
        """All rows of a SELECT."""
        schema = polars_schema(table)
        frames: list[pl.DataFrame] = [pl.DataFrame(schema=schema)]
        return pl.concat([*frames, *reader.read_frame(select, schema, values or None, batch_rows=self.batch_rows)])


def as_loaded(table: OwnTable, rows: pl.DataFrame) -> pl.DataFrame:
    """With the types that loading wants."""
    return rows.with_columns(pl.col(column.name).cast(column.polars_type()) for column in table.columns)


def same_rows(table: OwnTable, left: pl.DataFrame, right: pl.DataFrame) -> bool:
    """Whether both hold the very same rows, in whatever order."""
    return left.sort(table.key).equals(right.sort(table.key), null_equal=True)


def fault_of(found: VerifiedFile) -> str:
    """What is wrong, in words."""
    if found.restored is False:
        return "What the target gave back is not what the file holds."
    return "What the target held then is not what the file holds." if found.as_was is False else ""
