"""Read a table once, in one stream, and look for everything in what passes by."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import polars as pl
import pyarrow as pa

from etl.assess.collisions import TextKey, find_collisions, gather_keys, text_keys
from etl.assess.column_checks import Tally, checks_for_column, tally_batch
from etl.assess.duplicates import Identifier, gather_identifiers
from etl.assess.model import Finding
from etl.assess.personal_names import personal_kind
from etl.assess.sampling import Sample
from etl.assess.spill import KeySpill
from etl.source.catalog import Table
from etl.source.extract import canonical_schema, select_statement

BATCH_ROWS = 25_000


class Reads(Protocol):
    """What can stream the rows of a SELECT as Arrow."""

    def arrow_batches(
        self, sql: str, schema: pa.Schema | None = None, batch_rows: int = BATCH_ROWS
    ) -> Iterator[pa.RecordBatch]: ...


class Watcher(Protocol):
    """Sees every frame of a table that is read, and says afterwards what it found."""

    def see(self, frame: pl.DataFrame, row_keys: pl.Series) -> None: ...

    def findings(self, sample: Sample, looked_at: int) -> Iterator[Finding]: ...


@dataclass(frozen=True)
class TableScan:
    """What reading one table gave. `read_seconds` is the time spent waiting for rows, `arrow_bytes` their size in memory and
    `parquet_bytes` the size of the first batch of `parquet_rows` rows as the stage writes it."""

    findings: tuple[Finding, ...]
    rows: int
    read_seconds: float
    arrow_bytes: int
    parquet_rows: int
    parquet_bytes: int


def scan_statement(table: Table, sample: Sample) -> str:
    """T-SQL that reads the table as the stage does, or a sample of it, in whatever order is cheapest."""
    return select_statement(table, ordered=False) + sample.clause


def scan_table(
    source: Reads,
    table: Table,
    sample: Sample,
    *,
    code_page: int,
    pointing: frozenset[str],
    identifiers: Sequence[Identifier],
    watchers: Sequence[Watcher],
    spill: KeySpill,
    pause: Callable[[], None],
    advance: Callable[[int], None],
) -> TableScan:
    """Read the rows that `sample` plans. `pause` is called between batches and waits while the server is busy."""
    staged = frozenset(canonical_schema(table).names)
    tallies = [Tally(check) for column in table.columns for check in checks_for_column(column, code_page, staged)]
    keys = text_keys(table, staged, pointing)
    rows, read_seconds, arrow_bytes, parquet = 0, 0.0, 0, (0, 0)
    batches = source.arrow_batches(scan_statement(table, sample), canonical_schema(table), BATCH_ROWS)
    while True:
        started = time.monotonic()
        batch = next(batches, None)
        read_seconds += time.monotonic() - started
        if batch is None:
            break
        frame = pl.DataFrame(pl.from_arrow(batch))
        row_keys = keys_of(table, frame)
        if not rows:
            parquet = (frame.height, parquet_size(frame))
        tally_batch(tallies, frame, row_keys)
        gather_keys(spill, keys, frame, row_keys)
        gather_identifiers(spill, identifiers, frame, rows)
        for watcher in watchers:
            watcher.see(frame, row_keys)
        rows += frame.height
        arrow_bytes += batch.nbytes
        advance(frame.height)
        pause()
    findings = (
        *tally_findings(table, tallies, sample, rows),
        *collision_findings(spill, keys, sample),
        *(finding for watcher in watchers for finding in watcher.findings(sample, rows)),
    )
    return TableScan(findings, rows, read_seconds, arrow_bytes, *parquet)


def keys_of(table: Table, frame: pl.DataFrame) -> pl.Series:
    """The key of each row as text, parts joined by a bar; a part that is personal by its name is not shown."""
    parts = [
        pl.lit("***") if personal_kind(name, table.name.name) else pl.col(name).cast(pl.String)
        for name in table.key
        if name in frame.columns
    ]
    if not parts:
        return pl.Series("key", [None] * frame.height, dtype=pl.String)
    joined = frame.select(pl.concat_str(parts, separator="|").alias("key"))["key"]
    return joined if joined.len() == frame.height else joined.new_from_index(0, frame.height)


def tally_findings(table: Table, tallies: Sequence[Tally], sample: Sample, rows: int) -> Iterator[Finding]:
    """What the checks of single columns counted."""
    for tally in tallies:
        if tally.count:
            check = tally.check
            yield Finding(
                check.code,
                check.severity,
                table.name,
                check.column,
                count=tally.count,
                looked_at=rows,
                sampled=sample.sampled,
                sample_key=tally.sample_key,
                values=check.values,
            )


def collision_findings(spill: KeySpill, keys: Sequence[TextKey], sample: Sample) -> Iterator[Finding]:
    """What the unique keys would lose under each collation."""
    for key in keys:
        yield from find_collisions(spill, key, sampled=sample.sampled)


def parquet_size(frame: pl.DataFrame) -> int:
    """Bytes of a frame as the stage would write it."""
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd")
    return buffer.tell()
