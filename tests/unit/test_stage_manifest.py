"""The manifest and the reader: what is begun, what is done, and that only whole files are ever read."""

from __future__ import annotations

import hashlib
import sqlite3
import threading
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from etl.errors import ConfigurationError, RefusedError, UsageError
from etl.names import SourceTable
from etl.personal_files import write_personal_file
from etl.stage.edges import edges_path, write_edges
from etl.stage.manifest import ChunkRange, TableEntry, chunk_file, now, open_manifest
from etl.stage.plan import remove_orphans
from etl.stage.read import Stage

NAME = SourceTable("crm", "dbo", "Member")
SCHEMA = pa.schema([("Id", pa.int32()), ("Name", pa.large_string()), ("Balance", pa.decimal128(19, 4))])


def begin(folder: Path) -> None:
    entry = TableEntry(
        name=NAME,
        schema_hash="h",
        schema=SCHEMA,
        key=("Id",),
        left_out=(("RowVer", "rowversion"),),
        chunk_column="Id",
        ct_version=7,
        row_version=None,
        isolation="snapshot",
        expected_rows=3,
        begun_at=now(),
    )
    with open_manifest(folder) as manifest:
        manifest.begin_table(entry, [ChunkRange(0, None, "2"), ChunkRange(1, "2", None)])


def finish(folder: Path, index: int, ids: list[int]) -> Path:
    path = folder / chunk_file(NAME, index)
    rows = pa.table({"Id": ids, "Name": ["x"] * len(ids), "Balance": [None] * len(ids)}).cast(SCHEMA)
    with write_personal_file(path) as file:
        pq.write_table(rows, file)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with open_manifest(folder) as manifest:
        manifest.finish_chunk(NAME, index, rows=len(ids), size=path.stat().st_size, sha256=digest)
    return path


def test_reader_sees_only_finished_chunks_and_says_when_a_table_is_whole(tmp_path: Path) -> None:
    begin(tmp_path)
    finish(tmp_path, 1, [3])
    with open_manifest(tmp_path, read_only=True) as manifest:
        table = Stage(tmp_path, manifest).table(NAME)
        assert (table.rows, table.complete, [chunk.index for chunk in table.chunks]) == (1, False, [1])
        assert table.schema == SCHEMA
        assert table.left_out == (("RowVer", "rowversion"),)
    finish(tmp_path, 0, [1, 2])
    with open_manifest(tmp_path) as manifest:
        manifest.finish_table(NAME, changed=False)
        table = Stage(tmp_path, manifest).table(NAME)
        assert (table.rows, table.complete, table.ct_version, table.changed) == (3, True, 7, False)


def test_a_manifest_that_somebody_else_looks_at_while_it_is_made_is_waited_for(tmp_path: Path) -> None:
    reading = threading.Event()

    def look() -> None:
        other = sqlite3.connect(tmp_path / "manifest.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        reading.set()
        time.sleep(0.3)
        other.execute("COMMIT")
        other.close()

    looking = threading.Thread(target=look)
    looking.start()
    reading.wait()
    with open_manifest(tmp_path) as manifest:
        assert not manifest.tables()
    looking.join()


def test_rows_come_in_slices_with_the_types_they_were_staged_with(tmp_path: Path) -> None:
    begin(tmp_path)
    finish(tmp_path, 0, [1, 2, 5])
    with open_manifest(tmp_path) as manifest:
        stage = Stage(tmp_path, manifest)
        slices = list(stage.read(stage.table(NAME).chunks[0], ["Id"], rows=2))
        assert [part["Id"].to_list() for part in slices] == [[1, 2], [5]]
        assert next(stage.read_arrow(stage.table(NAME).chunks[0])).schema == SCHEMA


def test_an_empty_chunk_keeps_its_columns(tmp_path: Path) -> None:
    begin(tmp_path)
    finish(tmp_path, 0, [])
    with open_manifest(tmp_path) as manifest:
        stage = Stage(tmp_path, manifest)
        (only,) = stage.read(stage.table(NAME).chunks[0])
        assert only.columns == SCHEMA.names
        assert only.height == 0


def test_a_file_that_was_touched_is_refused_before_any_row(tmp_path: Path) -> None:
    begin(tmp_path)
    path = finish(tmp_path, 0, [1, 2])
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    with open_manifest(tmp_path) as manifest:
        stage = Stage(tmp_path, manifest)
        with pytest.raises(RefusedError, match="content hash") as caught:
            next(stage.read(stage.table(NAME).chunks[0]))
        assert "--restart crm.dbo.Member" in caught.value.remedy


def test_reopening_a_chunk_makes_the_table_unfinished(tmp_path: Path) -> None:
    begin(tmp_path)
    finish(tmp_path, 0, [1])
    finish(tmp_path, 1, [3])
    with open_manifest(tmp_path) as manifest:
        manifest.finish_table(NAME, changed=None)
        manifest.reopen_chunk(NAME, 1)
        entry = manifest.table(NAME)
        assert entry is not None
        assert entry.finished_at is None
        assert [chunk.done for chunk in manifest.chunks(NAME)] == [True, False]


def test_nothing_staged_and_unknown_tables_say_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="Nothing is staged"), open_manifest(tmp_path, read_only=True):
        pass
    begin(tmp_path)
    with open_manifest(tmp_path) as manifest, pytest.raises(UsageError, match="not staged"):
        Stage(tmp_path, manifest).table(SourceTable("crm", "dbo", "Nowhere"))


def test_a_manifest_of_a_newer_format_is_refused(tmp_path: Path) -> None:
    import sqlite3

    with sqlite3.connect(tmp_path / "manifest.db") as newer:
        newer.execute("PRAGMA user_version = 99")
    with pytest.raises(ConfigurationError, match="format 99"), open_manifest(tmp_path):
        pass


def test_manifest_and_chunks_are_for_their_owner_only(tmp_path: Path) -> None:
    begin(tmp_path)
    assert (tmp_path / "manifest.db").stat().st_mode & 0o077 == 0
    assert finish(tmp_path, 0, [1]).stat().st_mode & 0o077 == 0


def test_keys_between_chunks_are_member_data_and_stand_outside_the_manifest(tmp_path: Path) -> None:
    """A card number or a phone as key: encryption at rest would have missed it in the database file."""
    entry = TableEntry(
        name=NAME, schema_hash="h", schema=SCHEMA, key=("Phone",), left_out=(), chunk_column="Phone", ct_version=None,
        row_version=None, isolation="snapshot", expected_rows=9, begun_at=now(),
    )  # fmt: skip
    ranges = [ChunkRange(0, None, "'13912345678'"), ChunkRange(1, "'13912345678'", None)]
    with open_manifest(tmp_path) as manifest:
        manifest.begin_table(entry, ranges)
        assert [chunk.range for chunk in manifest.chunks(NAME)] == ranges
        raw = b"".join(path.read_bytes() for path in tmp_path.glob("manifest.db*"))
    assert b"13912345678" not in raw
    (kept,) = tmp_path.glob("edges/*.json")
    assert kept.stat().st_mode & 0o077 == 0
    with open_manifest(tmp_path) as manifest:
        kept.unlink()
        with pytest.raises(ConfigurationError, match=r"edges/crm\.dbo\.Member\.json"):
            manifest.chunks(NAME)  # never read the whole table in place of one part of it
        manifest.forget_table(NAME)
        manifest.begin_table(entry, ranges)
        remove_orphans(manifest, tmp_path)
        assert [chunk.range for chunk in manifest.chunks(NAME)] == ranges
        manifest.forget_table(NAME)
    assert list(tmp_path.glob("edges/*.json")) == []


def test_keys_of_a_plan_that_was_never_committed_are_removed(tmp_path: Path) -> None:
    with open_manifest(tmp_path) as manifest:
        write_edges(edges_path(tmp_path, "crm.dbo.Gone"), [(None, "'1'"), ("'1'", None)])
        remove_orphans(manifest, tmp_path)
    assert not (tmp_path / "edges").exists()
