"""Staging: copy legacy tables into Parquet files, once, whatever interrupts it."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass

from etl.mapping.load_mapping import load_mapping
from etl.names import SourceTable
from etl.progress import Progress
from etl.settings import Settings
from etl.source.catalog import Catalog, read_catalog
from etl.source.connect import Source, open_source
from etl.source.gentle import Gentle
from etl.stage.extract import extract_chunks, finish_whole_tables
from etl.stage.lock import only_one
from etl.stage.manifest import Manifest, open_manifest
from etl.stage.plan import (
    ChunkTask,
    begin_new_tables,
    forget_tables,
    open_tasks,
    refuse_changed_schema,
    refuse_lost_changes,
    refuse_masked,
    refuse_missing_columns,
    refuse_small_disk,
    refuse_unreadable,
    remove_orphans,
    reopen_lost_files,
)
from etl.stage.summary import TableSummary, summarise


@dataclass(frozen=True)
class StageRequest:
    """What to stage: `tables` as database.schema.table, and `restart`, taken anew; all of [source] databases when both are empty.

    `parallel` connections, as in [stage] when None; `max_load`: pause while the source is busier than this percentage.
    """

    tables: tuple[str, ...] = ()
    parallel: int | None = None
    restart: tuple[str, ...] = ()
    max_load: int | None = None


@dataclass(frozen=True)
class StageResult:
    """What is staged now; `rows_read` and `seconds` are of this run. `refused` pairs a table with why it cannot be staged."""

    tables: tuple[TableSummary, ...]
    refused: tuple[tuple[SourceTable, str], ...]
    rows_read: int
    seconds: float
    paused_s: float
    blind_to_load: bool
    driver: str

    @property
    def complete(self) -> bool:
        """Whether every table that was asked for is whole."""
        return not self.refused and all(table.complete for table in self.tables)


def run_stage(settings: Settings, request: StageRequest, progress: Progress) -> StageResult:
    """Extract the requested tables to Parquet; go on where an earlier run stopped.

    Raises RefusedError when another stage runs, the source's schema changed since the manifest was begun, or the mapping reads
    a column that is not there; SourceError when the server cannot be read; ConfigurationError when the disk is too small.
    """
    started = time.monotonic()
    stage_dir = settings.stage_dir
    parallel = request.parallel or settings.stage.parallel
    with (
        only_one(stage_dir),
        open_manifest(stage_dir) as manifest,
        open_source(settings.source, progress) as source,
    ):
        catalog = read_wanted(source, settings, request)
        forget_tables(manifest, stage_dir, restarted(catalog, request))
        check_against_past(source, catalog, manifest, settings)
        remove_orphans(manifest, stage_dir)
        reopen_lost_files(manifest, stage_dir, progress)
        refused = refuse_unreadable(catalog) | refuse_masked(source, catalog.tables)
        begin_new_tables(source, catalog, manifest, settings.stage.chunk_rows, parallel, refused)
        tasks = open_tasks(catalog, manifest)
        refuse_small_disk(tasks, manifest, stage_dir, settings.stage.min_free_disk_gib)
        show_start(tasks, manifest, progress)
        gentle = Gentle(source, request.max_load, progress)
        rows = extract_chunks(source, manifest, stage_dir, tasks, parallel=parallel, gentle=gentle, progress=progress)
        finish_whole_tables(source, catalog, manifest)
        refuse_changed_schema(read_wanted(source, settings, request), manifest)
        return StageResult(
            tables=summarise(manifest, catalog.tables),
            refused=tuple(refused.items()),
            rows_read=rows,
            seconds=time.monotonic() - started,
            paused_s=gentle.paused_s,
            blind_to_load=gentle.blind,
            driver=source.driver_name,
        )


def read_wanted(source: Source, settings: Settings, request: StageRequest) -> Catalog:
    """The tables to stage, as the server describes them now."""
    named = [SourceTable.parse(name) for name in dict.fromkeys((*request.tables, *request.restart))]
    return read_catalog(source, settings.source.databases, named or None)


def restarted(catalog: Catalog, request: StageRequest) -> list[SourceTable]:
    """The tables of --restart, in the server's spelling."""
    wanted = {str(SourceTable.parse(name)).lower() for name in request.restart}
    return [name for name in catalog.tables if str(name).lower() in wanted]


def check_against_past(source: Source, catalog: Catalog, manifest: Manifest, settings: Settings) -> None:
    """Refuse to go on where what was begun no longer fits the source or the mapping."""
    refuse_changed_schema(catalog, manifest)
    refuse_lost_changes(source, catalog, manifest)
    refuse_missing_columns(catalog, load_mapping(settings.mapping, settings.config_dir))


def show_start(tasks: list[ChunkTask], manifest: Manifest, progress: Progress) -> None:
    """A line for each table that has something left to read, with the server's estimate of its rows."""
    left = Counter(task.table.name for task in tasks)
    for name, table in {task.table.name: task.table for task in tasks}.items():
        progress.start(str(name), table.rows * left[name] // len(manifest.chunks(name)))
