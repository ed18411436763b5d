"""Writing a chunk, the lock, and planning: what a kill, a full disk or a second copy must not be able to spoil."""

from __future__ import annotations

import errno
import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from etl.errors import ConfigurationError, RefusedError
from etl.names import SourceTable
from etl.progress import Silent
from etl.source.catalog import Catalog, Column, Table
from etl.source.extract import canonical_schema
from etl.stage.lock import is_running, only_one
from etl.stage.manifest import Manifest, TableEntry, now, open_manifest
from etl.stage.plan import (
    open_tasks,
    refuse_changed_schema,
    refuse_small_disk,
    refuse_unreadable,
    remove_orphans,
    reopen_lost_files,
    to_ranges,
)
from etl.stage.write import ROW_GROUP_ROWS, HashingFile, write_chunk

SCHEMA = pa.schema([("Id", pa.int64()), ("Name", pa.large_string())])
NAME = SourceTable("crm", "dbo", "T")
TABLE = Table(NAME, (Column("Id", "bigint", 8, 19, 0, nullable=False),), ("Id",), rows=4, bytes=8192)


def batches(count: int, rows: int) -> Iterator[pa.RecordBatch]:
    for number in range(count):
        ids = range(number * rows, (number + 1) * rows)
        yield pa.RecordBatch.from_pydict({"Id": list(ids), "Name": [f"n{id}" for id in ids]}, schema=SCHEMA)


def accept(rows: int) -> None:
    """Any number of rows will do."""


def test_file_holds_the_rows_and_the_hash_is_of_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "t" / "0.parquet"
    written = write_chunk(path, SCHEMA, batches(9, ROW_GROUP_ROWS // 4), accept)
    assert written.rows == pq.read_metadata(path).num_rows == 9 * (ROW_GROUP_ROWS // 4)
    assert pq.read_metadata(path).num_row_groups == 3
    assert pq.read_table(path)["Id"].to_pylist() == list(range(written.rows))
    assert (written.bytes, written.sha256) == (path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())


def test_an_empty_chunk_is_a_file_too(tmp_path: Path) -> None:
    assert write_chunk(tmp_path / "0.parquet", SCHEMA, iter(()), accept).rows == 0
    assert pq.read_schema(tmp_path / "0.parquet") == SCHEMA


def test_nothing_stands_at_the_place_of_a_chunk_that_failed(tmp_path: Path) -> None:
    def cut() -> Iterator[pa.RecordBatch]:
        yield from batches(3, ROW_GROUP_ROWS)
        raise ConnectionResetError

    def refuse(rows: int) -> None:
        raise RefusedError(f"{rows} rows", "none")

    with pytest.raises(ConnectionResetError):
        write_chunk(tmp_path / "0.parquet", SCHEMA, cut(), accept)
    with pytest.raises(RefusedError, match="10 rows"):
        write_chunk(tmp_path / "0.parquet", SCHEMA, batches(2, 5), refuse)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: HashingFile, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(HashingFile, "write", full)
    with pytest.raises(ConfigurationError, match="disk is full"):
        write_chunk(tmp_path / "0.parquet", SCHEMA, batches(50, ROW_GROUP_ROWS), accept)
    assert list(tmp_path.iterdir()) == []


def test_a_second_copy_is_refused_and_a_killed_one_leaves_no_lock(tmp_path: Path) -> None:
    code = f"""
import sys, time; from pathlib import Path; from etl.stage.lock import only_one
with only_one(Path({str(tmp_path)!r})):
    print("held", flush=True); time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert is_running(tmp_path)
        with pytest.raises(RefusedError, match="Another stage"), only_one(tmp_path):
            pass
        holder.kill()
    assert not is_running(tmp_path)
    with only_one(tmp_path):
        assert is_running(tmp_path)


def begin(manifest: Manifest, table: Table = TABLE) -> None:
    entry = TableEntry(
        name=table.name,
        schema_hash=table.schema_hash,
        schema=canonical_schema(table),
        key=table.key,
        left_out=(),
        chunk_column="Id",
        ct_version=None,
        row_version=None,
        isolation="snapshot",
        expected_rows=4,
        begun_at=now(),
    )
    manifest.begin_table(entry, to_ranges(["1", "2"]))


def test_only_chunks_that_are_not_done_are_taken_again(tmp_path: Path) -> None:
    with open_manifest(tmp_path) as manifest:
        begin(manifest)
        tasks = open_tasks(Catalog({NAME: TABLE}), manifest)
        assert [task.chunk.range.index for task in tasks] == [0, 1, 2]
        path = tmp_path / tasks[1].chunk.file
        written = write_chunk(path, SCHEMA, batches(1, 3), accept)
        manifest.finish_chunk(NAME, 1, rows=3, size=written.bytes, sha256=written.sha256)
        assert [task.chunk.range.index for task in open_tasks(Catalog({NAME: TABLE}), manifest)] == [0, 2]
        path.write_bytes(b"cut")
        reopen_lost_files(manifest, tmp_path, Silent())
        assert [task.chunk.range.index for task in open_tasks(Catalog({NAME: TABLE}), manifest)] == [0, 1, 2]


def test_orphans_go_and_finished_files_stay(tmp_path: Path) -> None:
    with open_manifest(tmp_path) as manifest:
        begin(manifest)
        folder = tmp_path / "crm.dbo.T"
        done = write_chunk(folder / "000000.parquet", SCHEMA, batches(1, 1), accept)
        manifest.finish_chunk(NAME, 0, rows=1, size=done.bytes, sha256=done.sha256)
        (folder / "000001.parquet").write_bytes(b"complete, but killed before the manifest said so")
        (folder / ".000002.parquet.4711.partial").write_bytes(b"half")
        other = tmp_path / "crm.dbo.Forgotten"
        other.mkdir()
        (other / "000000.parquet").write_bytes(b"of a table that is staged anew")
        (folder / "notes.txt").write_text("somebody's own")
        remove_orphans(manifest, tmp_path)
        assert sorted(path.name for path in folder.iterdir()) == ["000000.parquet", "notes.txt"]
        assert not other.exists()


def test_a_changed_table_is_refused_with_what_changed(tmp_path: Path) -> None:
    grown = Table(NAME, (*TABLE.columns, Column("New", "int", 4, 10, 0, nullable=True)), ("Id",))
    retyped = Table(NAME, (Column("Id", "int", 4, 10, 0, nullable=False),), ("Id",))
    with open_manifest(tmp_path) as manifest:
        begin(manifest)
        refuse_changed_schema(Catalog({NAME: TABLE}), manifest)
        with pytest.raises(RefusedError, match="new: New") as caught:
            refuse_changed_schema(Catalog({NAME: grown}), manifest)
        assert "membershift stage --restart crm.dbo.T" in caught.value.remedy
        with pytest.raises(RefusedError, match="type, collation or key"):
            refuse_changed_schema(Catalog({NAME: retyped}), manifest)


def test_a_table_with_a_column_that_cannot_travel_is_named(tmp_path: Path) -> None:
    odd = Table(NAME, (Column("Any", "sql_variant", 8016, 0, 0, nullable=True),), ())
    assert "Any (sql_variant" in refuse_unreadable(Catalog({NAME: odd}))[NAME]
    assert refuse_unreadable(Catalog({NAME: TABLE})) == {}


def test_a_disk_too_small_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    huge = Table(NAME, TABLE.columns, ("Id",), rows=10**12, bytes=1 << 60)
    with open_manifest(tmp_path) as manifest:
        begin(manifest)
        refuse_small_disk(open_tasks(Catalog({NAME: TABLE}), manifest), manifest, tmp_path, 0)
        with pytest.raises(ConfigurationError, match="GiB free"):
            refuse_small_disk(open_tasks(Catalog({NAME: huge}), manifest), manifest, tmp_path, 0)
        refuse_small_disk([], manifest, tmp_path, 0)
