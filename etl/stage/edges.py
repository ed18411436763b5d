"""The keys at which a table is cut into chunks. They are values of rows (a card number, a phone as key), so they are kept as
member data is: through etl.personal_files, and not in the manifest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from etl.errors import ConfigurationError
from etl.personal_files import read_personal_file, write_personal_file

EDGES_FOLDER: Final = "edges"
Limits = tuple[str | None, str | None]
"""Keys above the first, up to and including the second, both T-SQL literals; None is no limit on that side."""


def edges_path(stage_dir: Path, table: str) -> Path:
    """Where the keys of a table stand; `table` is the name of its folder of chunks."""
    return stage_dir / EDGES_FOLDER / f"{table}.json"


def write_edges(path: Path, limits: list[Limits]) -> None:
    """Write the limits of a table's chunks, in their order; nothing for a table that is not cut."""
    if all(limit == (None, None) for limit in limits):
        path.unlink(missing_ok=True)
        return
    with write_personal_file(path) as file:
        file.write(json.dumps(limits).encode())


def read_edges(path: Path, chunks: int) -> list[Limits]:
    """The limits of a table's `chunks` chunks.

    Raises ConfigurationError when the file is gone or not the one that was written: a chunk without its limits would be the
    whole table.
    """
    with read_personal_file(path) as file:
        limits = json.loads(file.read())
    if len(limits) != chunks:
        raise ConfigurationError(
            f"{path} speaks of {len(limits)} chunks, the manifest of {chunks}.",
            f"Take the table anew: membershift stage --restart {path.stem}",
        )
    return [(low, high) for low, high in limits]


def forget_edges(path: Path) -> None:
    """The table is not staged any more."""
    path.unlink(missing_ok=True)
