"""membershift audit export: the log as JSON lines, for a store that nobody on this machine can change."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from etl.personal_files import write_personal_file
from migrations.audit.entry import Head, line_of
from migrations.audit.log import read_entries


@dataclass(frozen=True)
class Exported:
    """`entries` were written to `path`; the last of them is `head`."""

    path: Path
    entries: int
    head: Head | None


def export_audit(state_dir: Path, path: Path) -> Exported:
    """Write every entry to a file for its owner only. It is whole each time: a part of a chain proves nothing of what was before.

    Raises ConfigurationError.
    """
    written, head = 0, None
    with write_personal_file(path) as file:
        for entry in read_entries(state_dir):
            file.write(line_of(entry).encode() + b"\n")
            written, head = written + 1, Head(entry.number, entry.hash)
    return Exported(path, written, head)
