"""What is to be staged: tables and chunks not yet done, checked against what was begun before."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from etl.errors import ConfigurationError, RefusedError
from etl.mapping.model import Mapping as TableMappings
from etl.names import SourceTable
from etl.progress import Progress
from etl.source.catalog import Asks, Catalog, Table
from etl.source.connect import Source
from etl.source.extract import canonical_schema, left_out
from etl.source.hidden import masked_columns
from etl.source.ranges import find_edges, range_column
from etl.source.versions import Versions, changes_lost, read_versions
from etl.stage.edges import EDGES_FOLDER, edges_path
from etl.stage.manifest import ChunkEntry, ChunkRange, Manifest, TableEntry, now, table_folder

_DISK_SHARE: Final = 0.5
"""Staged bytes for a byte on the server, indexes included: columns compress well, so it is seldom more."""
_SMALL_CHUNK_ROWS: Final = 25_000
"""Cutting finer than this costs more in round trips than it gains."""
_GIB: Final = 1024**3


@dataclass(frozen=True)
class ChunkTask:
    """A chunk to be read: `entry` in the manifest, `table` in the catalog."""

    table: Table
    entry: TableEntry
    chunk: ChunkEntry


def refuse_unreadable(catalog: Catalog) -> dict[SourceTable, str]:
    """Tables that cannot be staged without loss, each with the reason: columns of a type that no result set carries."""
    refused: dict[SourceTable, str] = {}
    for name, table in catalog.tables.items():
        bad = [f"{column.column} ({column.reason})" for column in left_out(table) if column.refused]
        if bad:
            refused[name] = "; ".join(bad)
    return refused


def refuse_masked(source: Asks, tables: Collection[SourceTable]) -> dict[SourceTable, str]:
    """Tables of which the login sees a mask instead of values, each with the columns: what it would stage is not the data."""
    masked = masked_columns(source, dict.fromkeys(table.database for table in tables))
    return {
        name: f"{', '.join(columns)}: shown masked to this login, see membershift doctor"
        for name, columns in masked.items()
        if name in tables
    }


def refuse_missing_columns(catalog: Catalog, mappings: TableMappings) -> None:
    """Raise RefusedError when the mapping reads a column that the stage of its table would not have."""
    for mapping in mappings.tables:
        for part in mapping.parts:
            table = catalog.tables.get(part.source)
            if table is None:
                continue
            own = {source for column in part.columns for source in column.sources if "." not in source}
            missing = sorted((own | set(part.key)) - set(canonical_schema(table).names))
            if missing:
                reasons = {column.column: column.reason for column in left_out(table)}
                described = ", ".join(f"{name} ({reasons[name]})" if name in reasons else name for name in missing)
                raise RefusedError(
                    f"The mapping {part.name} reads columns that {table.name} does not give: {described}.",
                    "Correct the mapping ([mapping] path), then run the same command again.",
                )


def refuse_changed_schema(catalog: Catalog, manifest: Manifest) -> None:
    """Raise RefusedError when a table looks other than when its stage was begun."""
    for entry in manifest.tables():
        table = catalog.tables.get(entry.name)
        if table is not None and table.schema_hash != entry.schema_hash:
            before, after = set(entry.schema.names), set(canonical_schema(table).names)
            changes = [f"gone: {', '.join(sorted(before - after))}"] if before - after else []
            changes += [f"new: {', '.join(sorted(after - before))}"] if after - before else []
            what = "; ".join(changes) or "the type, collation or key of a column"
            raise RefusedError(
                f"{entry.name} changed on the source since its stage was begun ({what}).",
                f"Check the mapping against it, then take it anew: membershift stage --restart {entry.name}",
            )


def refuse_lost_changes(source: Source, catalog: Catalog, manifest: Manifest) -> None:
    """Raise RefusedError when changes since a table's stage was begun can no longer be replayed over it."""
    for entry in manifest.tables():
        if entry.name not in catalog.tables or entry.ct_version is None or not catalog.tables[entry.name].change_tracking:
            continue
        if changes_lost(source, entry.name, entry.ct_version):
            raise RefusedError(
                f"The source has forgotten changes of {entry.name} since its stage was begun on {entry.begun_at[:16]}.",
                f"Raise CHANGE_RETENTION of {entry.name.database}, and take the table anew: "
                f"membershift stage --restart {entry.name}",
            )


def forget_tables(manifest: Manifest, stage_dir: Path, names: Iterable[SourceTable]) -> None:
    """Forget what is staged of `names`; their files go with the other orphans."""
    for name in names:
        manifest.forget_table(name)
    remove_orphans(manifest, stage_dir)


def remove_orphans(manifest: Manifest, stage_dir: Path) -> None:
    """Remove partial files, and files of chunks and tables that are not in the manifest: a process was killed between the two."""
    wanted = {chunk.file for entry in manifest.tables() for chunk in manifest.chunks(entry.name) if chunk.done}
    wanted |= {str(edges_path(Path(), table_folder(entry.name))) for entry in manifest.tables()}
    for path in [*stage_dir.glob("*/*.parquet"), *stage_dir.glob(f"{EDGES_FOLDER}/*.json"), *stage_dir.glob("*/.*.partial")]:
        if str(path.relative_to(stage_dir)) not in wanted:
            path.unlink(missing_ok=True)
    for folder in stage_dir.iterdir():
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def reopen_lost_files(manifest: Manifest, stage_dir: Path, progress: Progress) -> None:
    """Take chunks again whose file is gone or of another size."""
    for entry in manifest.tables():
        for chunk in manifest.chunks(entry.name):
            path = stage_dir / chunk.file
            if chunk.done and (not path.exists() or path.stat().st_size != chunk.bytes):
                progress.note(f"{chunk.file} is gone or damaged: it is taken again.")
                manifest.reopen_chunk(entry.name, chunk.range.index)


def begin_new_tables(
    source: Source, catalog: Catalog, manifest: Manifest, chunk_rows: int, parallel: int, refused: Mapping[SourceTable, str]
) -> None:
    """Write the tables that are not in the manifest yet, each with its chunks and the versions to replay changes from.

    The versions of a database are noted before anything of it is read, so that no change can fall between.
    """
    versions: dict[str, Versions] = {}
    isolation: dict[str, str] = {}
    for name, table in catalog.tables.items():
        if name in refused or manifest.table(name) is not None:
            continue
        if name.database not in versions:
            versions[name.database] = read_versions(source, name.database)
            isolation[name.database] = "snapshot" if source.allows_snapshot(name.database) else "read committed"
        noted = versions[name.database]
        edges = find_edges(source.query, table, even_size(table.rows, chunk_rows, parallel))
        column = range_column(table)
        manifest.begin_table(
            TableEntry(
                name=name,
                schema_hash=table.schema_hash,
                schema=canonical_schema(table),
                key=table.key,
                left_out=tuple((column.column, column.reason) for column in left_out(table)),
                chunk_column=column.name if column is not None else None,
                ct_version=noted.change_tracking if table.change_tracking else None,
                row_version=noted.row_version,
                isolation=isolation[name.database],
                expected_rows=table.rows,
                begun_at=now(),
            ),
            to_ranges(edges),
        )


def even_size(rows: int, chunk_rows: int, parallel: int) -> int:
    """Rows of a chunk, `chunk_rows` at most, such that all connections get the same number of chunks and end together.

    >>> even_size(1_000_000, 200_000, 2), even_size(100_000, 200_000, 2), even_size(100, 200_000, 2)
    (166667, 50000, 25000)
    """
    rounds = max(1, -(-rows // (chunk_rows * parallel)))
    return min(chunk_rows, max(_SMALL_CHUNK_ROWS, -(-rows // (rounds * parallel))))


def to_ranges(edges: Sequence[str]) -> list[ChunkRange]:
    """Ranges that cover every key: below the first edge, between the edges, above the last.

    >>> [(part.low, part.high) for part in to_ranges(["10", "20"])]
    [(None, '10'), ('10', '20'), ('20', None)]
    """
    limits = [None, *edges, None]
    return [ChunkRange(index, limits[index], limits[index + 1]) for index in range(len(edges) + 1)]


def open_tasks(catalog: Catalog, manifest: Manifest) -> list[ChunkTask]:
    """The chunks still to be read, table by table, in key order."""
    return [
        ChunkTask(table, entry, chunk)
        for name, table in catalog.tables.items()
        if (entry := manifest.table(name)) is not None
        for chunk in manifest.chunks(name)
        if not chunk.done
    ]


def refuse_small_disk(tasks: Sequence[ChunkTask], manifest: Manifest, stage_dir: Path, min_free_gib: float) -> None:
    """Raise ConfigurationError when what is left to stage will hardly fit on the disk."""
    chunks = {name: len(manifest.chunks(name)) for name in {task.table.name for task in tasks}}
    needed = sum(task.table.bytes * _DISK_SHARE / chunks[task.table.name] for task in tasks)
    free = shutil.disk_usage(stage_dir).free
    if free < needed + min_free_gib * _GIB:
        raise ConfigurationError(
            f"The disk of {stage_dir} has {free / _GIB:.1f} GiB free; the stage needs about {needed / _GIB:.1f} GiB more, "
            f"and {min_free_gib:g} GiB are to stay free.",
            "Free some space, set [state] dir to a larger disk, stage fewer tables (--table), or lower min_free_disk_gib.",
        )
