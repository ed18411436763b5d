"""Which target rows came from files: a record of each import, so that a comparison with the legacy tables can tell them.

The target has no room for it in the rows themselves. One private file for each imported file, under [state] dir, with the
target keys of its rows and, for members, their ids in the crosswalk.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import polars as pl

from etl.personal_files import read_personal_file
from etl.settings import Settings

LINKED: Final = "__linked"
"""Column of a record: the id in the crosswalk, NULL for rows that are no members."""

SUFFIX: Final = ".arrow"


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
