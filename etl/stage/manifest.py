"""What is staged and what is still to do, in SQLite beside the Parquet files.

A chunk is done only once its file is complete under its final name and on disk; the row that says so is committed after that,
with synchronous=FULL. So whatever kills the process, a chunk is either done with its file or will be taken again as a whole.
The keys between chunks are values of rows: etl/stage/edges.py keeps them.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pyarrow as pa

from etl.errors import ConfigurationError
from etl.names import SourceTable
from etl.personal_files import make_private_folder
from etl.stage.edges import edges_path, forget_edges, read_edges, write_edges
from etl.state_db import write_ahead

MANIFEST_NAME: Final = "manifest.db"
FORMAT: Final = 2
BUSY_S: Final = 30.0
"""How long somebody else may keep the manifest."""
_SCHEMA: Final = """
CREATE TABLE staged_table (
    name TEXT NOT NULL PRIMARY KEY, schema_hash TEXT NOT NULL, arrow_schema BLOB NOT NULL, key_columns TEXT NOT NULL,
    left_out TEXT NOT NULL, chunk_column TEXT, ct_version INTEGER, row_version INTEGER, isolation TEXT NOT NULL,
    expected_rows INTEGER NOT NULL, begun_at TEXT NOT NULL, finished_at TEXT, changed INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE chunk (
    name TEXT NOT NULL REFERENCES staged_table ON DELETE CASCADE, chunk_index INTEGER NOT NULL, cut INTEGER NOT NULL,
    file TEXT NOT NULL, rows INTEGER, bytes INTEGER, sha256 TEXT, finished_at TEXT,
    PRIMARY KEY (name, chunk_index)
) STRICT, WITHOUT ROWID;
"""


@dataclass(frozen=True)
class ChunkRange:
    """A part of a table: keys above `low` up to and including `high`, both T-SQL literals; None is no limit on that side."""

    index: int
    low: str | None
    high: str | None

    @property
    def cut(self) -> bool:
        """Whether it has a limit at all."""
        return (self.low, self.high) != (None, None)


@dataclass(frozen=True)
class ChunkEntry:
    """A chunk in the manifest; rows, bytes and sha256 are None until it is done. `file` is relative to the stage folder."""

    range: ChunkRange
    file: str
    rows: int | None = None
    bytes: int | None = None
    sha256: str | None = None

    @property
    def done(self) -> bool:
        """Whether its file is complete."""
        return self.sha256 is not None


@dataclass(frozen=True)
class TableEntry:
    """A table in the manifest.

    `ct_version` is the Change Tracking version noted before the first row was read (None where tracking is off), `row_version`
    MIN_ACTIVE_ROWVERSION() at that time. `changed` says whether the table was written to while it was read, None when that
    cannot be known or it is not finished. `left_out` pairs a column with the reason why it is not staged.
    """

    name: SourceTable
    schema_hash: str
    schema: pa.Schema
    key: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]
    chunk_column: str | None
    ct_version: int | None
    row_version: int | None
    isolation: str
    expected_rows: int
    begun_at: str
    finished_at: str | None = None
    changed: bool | None = None


class Manifest:
    """The manifest, for the one process that stages (any of its threads) or for readers."""

    def __init__(self, connection: sqlite3.Connection, stage_dir: Path) -> None:
        self._connection = connection
        self._stage_dir = stage_dir
        self._lock = threading.Lock()

    def tables(self) -> list[TableEntry]:
        """All tables begun, by name."""
        rows = self._read("SELECT * FROM staged_table ORDER BY name")
        return [_table_entry(row) for row in rows]

    def table(self, name: SourceTable) -> TableEntry | None:
        """One table, None when it was never begun."""
        rows = self._read("SELECT * FROM staged_table WHERE name = ?", (_key(name),))
        return _table_entry(rows[0]) if rows else None

    def chunks(self, name: SourceTable) -> list[ChunkEntry]:
        """The chunks of a table, in key order."""
        rows = self._read("SELECT * FROM chunk WHERE name = ? ORDER BY chunk_index", (_key(name),))
        limits = read_edges(self._edges(name), len(rows)) if any(row["cut"] for row in rows) else [(None, None)] * len(rows)
        return [_chunk_entry(row, *limit) for row, limit in zip(rows, limits, strict=True)]

    def begin_table(self, entry: TableEntry, ranges: Sequence[ChunkRange]) -> None:
        """Write a table with all its chunks at once: a plan is there whole or not at all. The keys between chunks come first."""
        write_edges(self._edges(entry.name), [(part.low, part.high) for part in ranges])
        row = (
            _key(entry.name),
            entry.schema_hash,
            entry.schema.serialize().to_pybytes(),
            json.dumps(entry.key),
            json.dumps(entry.left_out),
            entry.chunk_column,
            entry.ct_version,
            entry.row_version,
            entry.isolation,
            entry.expected_rows,
            entry.begun_at,
        )
        with self._writing() as connection:
            connection.execute("INSERT INTO staged_table VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL)", row)
            connection.executemany(
                "INSERT INTO chunk VALUES (?, ?, ?, ?, NULL, NULL, NULL, NULL)",
                [(_key(entry.name), part.index, part.cut, chunk_file(entry.name, part.index)) for part in ranges],
            )

    def finish_chunk(self, name: SourceTable, index: int, *, rows: int, size: int, sha256: str) -> None:
        """The chunk's file stands complete at its place."""
        with self._writing() as connection:
            connection.execute(
                "UPDATE chunk SET rows = ?, bytes = ?, sha256 = ?, finished_at = ? WHERE name = ? AND chunk_index = ?",
                (rows, size, sha256, now(), _key(name), index),
            )

    def reopen_chunk(self, name: SourceTable, index: int) -> None:
        """The chunk's file is gone or damaged: take it again."""
        with self._writing() as connection:
            connection.execute(
                "UPDATE chunk SET rows = NULL, bytes = NULL, sha256 = NULL, finished_at = NULL"
                " WHERE name = ? AND chunk_index = ?",
                (_key(name), index),
            )
            connection.execute("UPDATE staged_table SET finished_at = NULL, changed = NULL WHERE name = ?", (_key(name),))

    def finish_table(self, name: SourceTable, *, changed: bool | None) -> None:
        """All chunks of the table are done."""
        with self._writing() as connection:
            connection.execute(
                "UPDATE staged_table SET finished_at = ?, changed = ? WHERE name = ?",
                (now(), None if changed is None else int(changed), _key(name)),
            )

    def forget_table(self, name: SourceTable) -> None:
        """Drop a table and its chunks; its files are the caller's."""
        with self._writing() as connection:
            connection.execute("DELETE FROM staged_table WHERE name = ?", (_key(name),))
        forget_edges(self._edges(name))

    def _edges(self, name: SourceTable) -> Path:
        return edges_path(self._stage_dir, table_folder(name))

    def _read(self, sql: str, params: Sequence[object] = ()) -> list[sqlite3.Row]:
        with self._lock:
            try:
                return self._connection.execute(sql, params).fetchall()
            except sqlite3.DatabaseError as error:
                raise manifest_error(error) from error

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction, durable when it returns."""
        with self._lock:
            try:
                with self._connection:
                    self._connection.execute("BEGIN IMMEDIATE")
                    yield self._connection
            except sqlite3.DatabaseError as error:
                raise manifest_error(error) from error


@contextmanager
def open_manifest(stage_dir: Path, *, read_only: bool = False) -> Iterator[Manifest]:
    """Open the manifest, creating it unless `read_only`.

    Raises ConfigurationError when there is none to read, when it cannot be written, or when a newer version wrote it.
    """
    path = stage_dir / MANIFEST_NAME
    if read_only and not path.exists():
        raise ConfigurationError(f"Nothing is staged in {stage_dir}.", "Run: membershift stage")
    make_private_folder(stage_dir)
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_S)
    except (OSError, sqlite3.OperationalError) as error:
        raise manifest_error(error) from error
    connection.row_factory = sqlite3.Row
    try:
        _set_up(connection, path)
        yield Manifest(connection, stage_dir)
    finally:
        connection.close()


def _set_up(connection: sqlite3.Connection, path: Path) -> None:
    """Durable writes, and the tables. Raises ConfigurationError."""
    try:
        connection.execute("PRAGMA foreign_keys = ON")
        write_ahead(connection, BUSY_S)
        connection.execute("PRAGMA synchronous = FULL")
        _prepare(connection, path)
    except sqlite3.DatabaseError as error:
        raise manifest_error(error) from error


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Create the tables in a new file; refuse a file of another format."""
    found = _format_of(connection)
    if found == 0:
        connection.execute("BEGIN IMMEDIATE")
        if _format_of(connection) == 0:  # nobody else was faster
            for statement in filter(str.strip, _SCHEMA.split(";")):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {FORMAT}")
        connection.execute("COMMIT")
    elif found != FORMAT:
        raise ConfigurationError(
            f"{path} has format {found}; this version writes format {FORMAT}.",
            f"Use the version that staged it, or remove {path.parent} and run: membershift stage",
        )


def _format_of(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def chunk_file(name: SourceTable, index: int) -> str:
    """Path of a chunk, relative to the stage folder. Characters with a meaning to file systems become %XX.

    >>> chunk_file(SourceTable("crm", "dbo", "Sale/Line"), 7)
    'crm.dbo.Sale%2FLine/000007.parquet'
    """
    return f"{table_folder(name)}/{index:06d}.parquet"


def table_folder(name: SourceTable) -> str:
    """Folder of a table's chunks, relative to the stage folder."""
    return ".".join(quote(part, safe=" ") for part in (name.database, name.schema, name.name))


def now() -> str:
    """The time in UTC, as the manifest writes it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def manifest_error(error: Exception) -> ConfigurationError:
    """What a failure of the manifest's file means."""
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
        return ConfigurationError(
            "The disk is full: the stage's manifest could not be written.",
            "Free some space or set [state] dir to a larger disk, then run the same command again; finished chunks are kept.",
        )
    return ConfigurationError(
        f"The stage's manifest cannot be used ({type(error).__name__}: {error}).",
        "Check free space and rights of the state folder ([state] dir), then run the same command again.",
    )


def _key(name: SourceTable) -> str:
    return json.dumps([name.database, name.schema, name.name], ensure_ascii=False)


def _table_entry(row: sqlite3.Row) -> TableEntry:
    values: dict[str, Any] = dict(row)
    return TableEntry(
        name=SourceTable(*json.loads(values["name"])),
        schema_hash=values["schema_hash"],
        schema=pa.ipc.read_schema(pa.py_buffer(values["arrow_schema"])),
        key=tuple(json.loads(values["key_columns"])),
        left_out=tuple((column, reason) for column, reason in json.loads(values["left_out"])),
        chunk_column=values["chunk_column"],
        ct_version=values["ct_version"],
        row_version=values["row_version"],
        isolation=values["isolation"],
        expected_rows=values["expected_rows"],
        begun_at=values["begun_at"],
        finished_at=values["finished_at"],
        changed=None if values["changed"] is None else bool(values["changed"]),
    )


def _chunk_entry(row: sqlite3.Row, low: str | None, high: str | None) -> ChunkEntry:
    return ChunkEntry(
        range=ChunkRange(row["chunk_index"], low, high),
        file=row["file"],
        rows=row["rows"],
        bytes=row["bytes"],
        sha256=row["sha256"],
    )
