"""What a command found last, as a small JSON file in the state folder, for a gate of a release that asks for it later.

{"format": 1, "at": "2026-11-23T01:02:03.456+00:00", ...}: `at` is when the figures were true. No member data stands in them.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from etl.errors import ConfigurationError
from etl.personal_files import write_personal_file

FOLDER: Final = "records"
FORMAT: Final = 1
LARGEST: Final = 4 * 2**20

RECONCILE_ROWS: Final = "reconcile_rows"
RECONCILE_INVARIANTS: Final = "reconcile_invariants"
LOADTEST: Final = "loadtest"


@dataclass(frozen=True)
class Record:
    """`at`: when it was true (aware), None where the file does not say. `body`: everything else."""

    at: datetime | None
    body: Mapping[str, Any]


def record_path(state_dir: Path, name: str) -> Path:
    """Where the record of a command is."""
    return state_dir / FOLDER / f"{name}.json"


def write_record(state_dir: Path, name: str, at: datetime, body: Mapping[str, Any]) -> Path:
    """Put a record in place of the last one; a reader never sees half of it. Raises ConfigurationError when the disk is full."""
    path = record_path(state_dir, name)
    text = json.dumps({"format": FORMAT, "at": at.isoformat(), **body}, ensure_ascii=False, indent=1, sort_keys=True)
    with write_personal_file(path) as file:
        file.write(text.encode())
    return path


def read_record(state_dir: Path, name: str) -> Record | None:
    """What was found last; None where nothing was. Raises ConfigurationError for a file that is not a record."""
    path = record_path(state_dir, name)
    try:
        if path.stat().st_size > LARGEST:
            raise not_a_record(path, "it is too large")
        told = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise not_a_record(path, "it cannot be read") from error
    if not isinstance(told, dict) or told.get("format") != FORMAT:
        raise not_a_record(path, f"it is not of format {FORMAT}")
    return Record(time_of(told.get("at")), {name: value for name, value in told.items() if name not in ("format", "at")})


def forget_record(state_dir: Path, name: str) -> None:
    """Nothing is known any more; where even that cannot be done, the record that is left grows old by itself."""
    with contextlib.suppress(OSError):
        record_path(state_dir, name).unlink(missing_ok=True)


def time_of(value: object) -> datetime | None:
    """A time with its zone; None for anything else.

    >>> time_of("2026-11-23T01:02:03+00:00").hour, time_of("2026-11-23T01:02:03"), time_of(7)
    (1, None, None)
    """
    if not isinstance(value, str):
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return None
    return at if at.tzinfo is not None else None


def not_a_record(path: Path, why: str) -> ConfigurationError:
    """A file that somebody else wrote, or damaged."""
    return ConfigurationError(f"{path} is not the record of a command: {why}.", "Run the command again that writes it.")
