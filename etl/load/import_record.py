"""Which target rows came from files: a record of each import, so that a comparison with the legacy tables can tell them.

The target has no room for it in the rows themselves. One private file for each imported file, under [state] dir, with the
target keys of its rows and, for members, their ids in the crosswalk.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import polars as pl

from etl.load.import_part import FileTransform
from etl.load.import_read import ReadFile
from etl.load.import_rejected import Corrections
from etl.load.part import LoadPart
from etl.load.rejects import LIMITS
from etl.mapping.model import Part
from etl.personal_files import read_personal_file, write_personal_file
from etl.settings import Settings

LINKED: Final = "__linked"
"""Column of a record: the id in the crosswalk, NULL for rows that are no members."""

NAME: Final = "__name"
SUFFIX: Final = ".arrow"


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


def read_records(settings: Settings, target: str) -> Iterator[pl.DataFrame]:
    """Every record of a target table: its key columns and LINKED."""
    for path in sorted((records_folder(settings) / target).glob(f"*{SUFFIX}")):
        with read_personal_file(path) as file:
            yield pl.read_ipc(file.read())


def recorded_files(settings: Settings) -> frozenset[str]:
    """Hashes of the imported files whose record is here."""
    return frozenset(path.name.removesuffix(SUFFIX) for path in records_folder(settings).glob(f"*/*{SUFFIX}"))


def records_folder(settings: Settings) -> Path:
    """Where the records are, one folder for a target table."""
    return settings.state_dir / "imports" / "records"
