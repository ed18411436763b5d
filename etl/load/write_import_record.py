"""Write down which target rows an imported file brought: etl/load/import_record.py says what for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import polars as pl

from etl.load.import_part import FileTransform
from etl.load.import_read import ReadFile
from etl.load.import_record import LINKED, SUFFIX, records_folder
from etl.load.import_rejected import Corrections
from etl.load.part import LoadPart
from etl.load.rejects import LIMITS
from etl.mapping.model import Part
from etl.personal_files import write_personal_file
from etl.settings import Settings

NAME: Final = "__name"


def record_rows(settings: Settings, part: LoadPart, file: ReadFile, rejected: Corrections) -> Path:
    """Write down the rows of a file that are on the target now. The same file again writes the same record.

    Left out are records in quarantine, but for those that share their key with another record: of these the first one stays.
    """
    assert isinstance(part.transform, FileTransform)
    mapped = part.transform.compiled.part
    nothing = pl.DataFrame(schema={**dict.fromkeys(mapped.target_key, pl.Null), LINKED: pl.String, NAME: pl.String})
    rows = pl.concat([nothing, *key_rows(part.transform, mapped, file)], how="diagonal_relaxed")
    alone = pl.col(NAME).is_unique() & pl.col(NAME).is_in(list(rejected.reasons))
    path = records_folder(settings) / mapped.target / f"{file.sha256}{SUFFIX}"
    with write_personal_file(path) as out:
        rows.filter(~alone).drop(NAME).drop_nulls(list(mapped.target_key)).unique().write_ipc(out)
    return path


def key_rows(transform: FileTransform, mapped: Part, file: ReadFile) -> Iterator[pl.DataFrame]:
    """The name of each record as rejects write it, with the keys of the row that the mapping makes of it: NULL for none."""
    for frame in file.frames():
        outcome = transform.apply(frame)
        names = transform.source_keys(frame).str.slice(0, LIMITS["source_key"])
        kept = pl.repeat(True, names.len(), eager=True) if outcome.kept is None else outcome.kept
        linked = pl.lit(None, pl.String) if outcome.links is None else outcome.links["source_id"]
        rows = outcome.rows.select(*mapped.target_key, linked.alias(LINKED), names.filter(kept).alias(NAME))
        yield pl.concat([rows, names.filter(~kept).to_frame(NAME)], how="diagonal")
