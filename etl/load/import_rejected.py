"""Rows to correct: a file with the rejected records as they came, and why. Corrected, it is imported like any other file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from etl.load.batch import Counts
from etl.load.export_rejects import write_table
from etl.load.import_part import FileTransform
from etl.load.import_read import KEY_HEADER, PROBLEM, REASON_HEADER, ROW, ReadFile
from etl.load.part import LoadPart
from etl.load.prepare import Prepared
from etl.load.rejects import LIMITS, RejectFilter, read_rejects, settle
from etl.load.sql import sql
from etl.settings import Settings


@dataclass(frozen=True)
class Corrections:
    """Why records are rejected, by their key: column and reason, several of them joined."""

    reasons: Mapping[str, str]

    @classmethod
    def of_quarantine(cls, prepared: Prepared, part: LoadPart) -> Corrections:
        """What waits in quarantine for this kind of file."""
        lines = read_rejects(prepared.connection, prepared.state_schema, RejectFilter(tables=(part.name,)))
        collected: dict[str, list[str]] = defaultdict(list)
        for line in lines:
            collected[line.source_key].append(told(line.column_name, line.reason, line.detail))
        return cls({key: "; ".join(reasons) for key, reasons in collected.items()})

    def with_findings(self, findings: pl.DataFrame) -> Corrections:
        """These and more."""
        collected = dict(self.reasons)
        for line in findings.iter_rows(named=True):
            key = str(line["source_key"])[: LIMITS["source_key"]]
            reason = told(line["column_name"] or "", line["reason"], line["detail"] or "")
            collected[key] = f"{collected[key]}; {reason}" if key in collected else reason
        return Corrections(collected)


def told(column: str, reason: str, detail: str) -> str:
    """One reason in a cell."""
    return f"{column}: {reason}" if column else f"{reason}{f' ({detail})' if detail else ''}"


def write_rejected(
    settings: Settings, part: LoadPart, file: ReadFile, corrections: Corrections, path: Path | None
) -> Path | None:
    """Write the rejected records of a file, readable by its owner only; None when there are none.

    By default .membershift/imports/<file>-rejected.xlsx. The records hold members' data as the file did.
    """
    assert isinstance(part.transform, FileTransform)
    found: list[pl.DataFrame] = []
    names = {f"c{place}": header for place, header in enumerate(unique_headers(file.header))}
    for frame in file.frames():
        keys = part.transform.source_keys(frame).str.slice(0, LIMITS["source_key"])
        why = keys.replace_strict(corrections.reasons, default=None, return_dtype=pl.String) if corrections.reasons else None
        if why is None:
            continue
        rows = frame.with_columns(keys.alias(KEY_HEADER), why.alias(REASON_HEADER)).filter(pl.col(REASON_HEADER).is_not_null())
        found.append(rows.drop(ROW, PROBLEM))
    rejected = pl.concat(found) if found else pl.DataFrame()
    if rejected.is_empty():
        return None
    kept = [name for name in names if names[name] not in (REASON_HEADER, KEY_HEADER)]
    target = path or settings.state_dir / "imports" / f"{Path(file.name).stem}-rejected.xlsx"
    write_table(target, rejected.select(REASON_HEADER, *(pl.col(name).alias(names[name]) for name in kept), KEY_HEADER))
    return target


def unique_headers(header: tuple[str, ...]) -> list[str]:
    """Headers told apart by a number where they repeat or are empty.

    >>> unique_headers(("a", "", "a"))
    ['a', 'column 2', 'a (3)']
    """
    seen: set[str] = set()
    named = []
    for place, cell in enumerate(header, 1):
        name = cell or f"column {place}"
        name = f"{name} ({place})" if name in seen else name
        seen.add(name)
        named.append(name)
    return named


def settle_corrected(prepared: Prepared, part: LoadPart) -> None:
    """Records of a corrected file that have another key now than when they were rejected: what waits under the old one is
    settled, since the new one says what became of the record."""
    assert isinstance(part.transform, FileTransform)
    file = part.transform.file
    if file.key_column is None:
        return
    for frame in file.frames():
        keys, before = part.transform.source_keys(frame), frame[file.key_column]
        moved = before.filter((before != keys).fill_null(False))
        if not moved.is_empty():
            with prepared.connection.transaction():
                settle(prepared.connection, prepared.state_schema, part.name, moved.to_list())


def note_file(prepared: Prepared, part: LoadPart, counts: Counts) -> None:
    """Write the file into membershift.import_file; what an earlier run of the same file wrote is kept."""
    chunk = part.chunks[0]
    with prepared.connection.transaction():
        prepared.connection.execute(
            sql(
                "INSERT INTO {state}.import_file "
                "(file_sha, name, mapping_part, rows_total, rows_loaded, rows_rejected, imported_at) "
                "VALUES (%s, %s, %s, %s, %s, %s, UTC_TIMESTAMP(6)) ON DUPLICATE KEY UPDATE name = VALUES(name), "
                "rows_loaded = rows_loaded + VALUES(rows_loaded), rows_rejected = rows_rejected + VALUES(rows_rejected)",
                {"state": prepared.state_schema},
            ),
            (chunk.sha256, part.source, part.name, chunk.rows, counts.loaded + counts.unchanged + counts.merged, counts.rejected),
        )
