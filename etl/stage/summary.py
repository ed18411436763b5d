"""What is staged, told from the manifest alone: for the end of a run and for `stage status`."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from etl.names import SourceTable
from etl.settings import Settings
from etl.stage.lock import is_running
from etl.stage.manifest import Manifest, TableEntry, open_manifest


@dataclass(frozen=True)
class TableSummary:
    """How far one table is. `rows` and `bytes` are of its finished chunks, `expected_rows` is what the server estimated.

    `changed`: whether it was written to while it was read, None when unknown. `ct_version`: replay changes from there.
    """

    name: SourceTable
    rows: int
    expected_rows: int
    bytes: int
    chunks_done: int
    chunks: int
    complete: bool
    isolation: str
    changed: bool | None
    ct_version: int | None
    chunk_column: str | None
    left_out: tuple[tuple[str, str], ...]
    begun_at: str
    finished_at: str | None


@dataclass(frozen=True)
class StageStatus:
    """The whole stage; `running` while some process is staging."""

    tables: tuple[TableSummary, ...]
    running: bool

    @property
    def complete(self) -> bool:
        """Whether every table that was begun is whole."""
        return all(table.complete for table in self.tables)


def stage_status(settings: Settings) -> StageStatus:
    """Read the manifest; connects to nothing. Raises ConfigurationError when nothing was ever staged."""
    with open_manifest(settings.stage_dir, read_only=True) as manifest:
        return StageStatus(summarise(manifest, None), is_running(settings.stage_dir))


def summarise(manifest: Manifest, only: Collection[SourceTable] | None) -> tuple[TableSummary, ...]:
    """A summary of each table in the manifest, or of those in `only`."""
    return tuple(_summary(manifest, entry) for entry in manifest.tables() if only is None or entry.name in only)


def _summary(manifest: Manifest, entry: TableEntry) -> TableSummary:
    chunks = manifest.chunks(entry.name)
    done = [chunk for chunk in chunks if chunk.done]
    return TableSummary(
        name=entry.name,
        rows=sum(chunk.rows or 0 for chunk in done),
        expected_rows=entry.expected_rows,
        bytes=sum(chunk.bytes or 0 for chunk in done),
        chunks_done=len(done),
        chunks=len(chunks),
        complete=entry.finished_at is not None and len(done) == len(chunks),
        isolation=entry.isolation,
        changed=entry.changed,
        ct_version=entry.ct_version,
        chunk_column=entry.chunk_column,
        left_out=entry.left_out,
        begun_at=entry.begun_at,
        finished_at=entry.finished_at,
    )
