"""What the kept records are of: rules, staged chunks, model and thresholds, and the files as they were written.

Written last, so that after a kill it does not fit the files and counts for nothing: the next run then reads everything.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from etl.dedupe.decisions import Decision
from etl.dedupe.kept import FILE as KEPT
from etl.dedupe.model import StagedState
from etl.dedupe.record_files import BASE, FRESH
from etl.personal_files import read_personal_file, write_personal_file

FILE: Final = "kept.json"
FORMAT: Final = 1
FILES: Final = (BASE, FRESH, KEPT, "edges.parquet", "clusters.parquet", "review.parquet", "refused.parquet")
Stamp = tuple[int, int]
DecisionKey = tuple[int, str, str, str, str, str]


@dataclass(frozen=True)
class KeptManifest:
    """`rules`: how rows became records; `model`: what weighed them; `clustering`: the thresholds. `run_id`: the run on the target
    whose outcome this is. `unwritten`: records whose outcome the target does not have, because dry runs came after; None: all.

    `largest_id`: the largest kept member id seen, staged or on the target.
    """

    rules: str
    model: str
    clustering: str
    staged: StagedState
    run_id: int | None
    unwritten: Sequence[int] | None
    decisions: Sequence[DecisionKey]
    to_split: Sequence[int]
    largest_id: int
    files: Mapping[str, Stamp] = field(default_factory=dict)


def write_manifest(manifest: KeptManifest, folder: Path) -> None:
    """Write it, with the files of `folder` as they are now."""
    content = asdict(manifest) | {"format": FORMAT, "files": stamps(folder)}
    with write_personal_file(folder / FILE) as file:
        file.write(json.dumps(content, default=lambda value: value.isoformat()).encode())


def read_manifest(folder: Path) -> KeptManifest | None:
    """What was kept; None when there is nothing, or the files are not those it was written for."""
    if not (folder / FILE).is_file():
        return None
    with read_personal_file(folder / FILE) as file:
        try:
            content: dict[str, Any] = json.loads(file.read())
            if content.pop("format") != FORMAT:
                return None
            manifest = as_manifest(content)
        except (json.JSONDecodeError, KeyError, TypeError, ValueError):
            return None
    return manifest if manifest.files == stamps(folder) else None


def as_manifest(content: dict[str, Any]) -> KeptManifest:
    """The manifest of what JSON made of it."""
    staged = content["staged"]
    latest = staged["latest"]
    return KeptManifest(
        **{
            **content,
            "files": {name: (int(size), int(at)) for name, (size, at) in content["files"].items()},
            "decisions": [tuple(decision) for decision in content["decisions"]],
            "staged": StagedState(
                **{
                    **staged,
                    "systems": {name: (int(rows), int(accepted)) for name, (rows, accepted) in staged["systems"].items()},
                    "latest": None if latest is None else datetime.fromisoformat(latest),
                }
            ),
        }
    )


def forget_manifest(folder: Path) -> None:
    """Nothing kept counts any more: its files are about to change."""
    (folder / FILE).unlink(missing_ok=True)


def stamps(folder: Path) -> dict[str, Stamp]:
    """Size and time of every file there is."""
    found = {name: folder / name for name in FILES if (folder / name).is_file()}
    told = {name: path.stat() for name, path in found.items()}
    return {name: (stat.st_size, stat.st_mtime_ns) for name, stat in told.items()}


def decision_keys(decisions: Sequence[Decision]) -> list[DecisionKey]:
    """Standing decisions as they are noted."""
    return [
        (one.decision_id, one.kind, one.left.system, one.left.source_id, one.right.system, one.right.source_id)
        for one in decisions
    ]
