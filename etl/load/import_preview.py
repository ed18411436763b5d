"""What an import would do: every record transformed and looked up on the target, nothing written."""

from __future__ import annotations

import polars as pl

from etl.load.batch import Counts, count_reasons, sum_counts
from etl.load.existing import set_aside_existing, set_aside_repeated
from etl.load.import_part import FileTransform
from etl.load.import_rejected import Corrections
from etl.load.isolate import ROW
from etl.load.part import LoadPart
from etl.load.prepare import Prepared
from etl.load.sorted_rows import Sorted


def preview_file(prepared: Prepared, part: LoadPart) -> tuple[Counts, Corrections]:
    """Counts as an import would give them, and the records that it would reject."""
    assert isinstance(part.transform, FileTransform)
    if part.system is not None:
        # ids are taken only by an import; until then a new member stands under 0, which is never compared
        prepared.crosswalk.plan(part.system.name, lambda keys: pl.Series([0] * len(keys), dtype=pl.Int64))
    counts, corrections = Counts(), Corrections({})
    for frame in part.chunks[0].read(part.transform.source_columns):
        outcome = part.transform.apply(frame)
        keys = part.transform.source_keys(frame)
        kept = keys if outcome.kept is None else keys.filter(outcome.kept)
        found = Sorted()
        rows = outcome.rows.with_row_index(ROW)
        known = rows.filter(pl.col("member_id") != 0) if part.system is not None else rows
        if part.system is None:
            known = set_aside_repeated(part, known, kept, found)
        set_aside_existing(prepared.connection, part, known, kept, found)
        findings = pl.concat([outcome.rejects, found.findings_frame()])
        corrections = corrections.with_findings(findings)
        rejected = frame.height - outcome.rows.height - outcome.merged + len(found.refused)
        loaded = outcome.rows.height - len(found.refused) - len(found.unchanged)
        there = len(found.unchanged) + outcome.merged
        counts = sum_counts(counts, Counts(loaded, there, rejected, outcome.notes.height, reasons=count_reasons(findings)))
    return counts, corrections
