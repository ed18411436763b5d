"""membershift snapshot list: what there is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from etl.errors import ConfigurationError, UsageError
from migrations.release.snapshots.model import Manifest, read_manifest, snapshot_ids


@dataclass(frozen=True)
class Listed:
    """`readable`: its rows can still be read on the target as they were, beside the files."""

    id: str
    taken_at: datetime
    stores: tuple[str, ...]
    rows: int
    bytes: int
    encrypted: bool
    readable: bool
    reason: str
    by: str
    note: str


@dataclass(frozen=True)
class Snapshots:
    """`found`: the newest first. `unusable`: folders without a manifest that can be believed, with the reason."""

    found: tuple[Listed, ...]
    unusable: tuple[tuple[str, str], ...] = ()


def list_snapshots(state_dir: Path, store: str | None = None, now: datetime | None = None) -> Snapshots:
    """Read the manifests, of `store` alone when it is given. Connects to nothing."""
    now = now or datetime.now(UTC)
    found, unusable = [], []
    for name in snapshot_ids(state_dir):
        try:
            manifest = read_manifest(state_dir, name)
        except UsageError:
            unusable.append((name, "It is being written, or was never finished."))
        except ConfigurationError as error:
            unusable.append((name, error.message))
        else:
            if store is None or store in manifest.stores:
                found.append(listed(manifest, now))
    return Snapshots(tuple(sorted(found, key=lambda one: (one.taken_at, one.id), reverse=True)), tuple(unusable))


def listed(manifest: Manifest, now: datetime) -> Listed:
    """One line of the list."""
    return Listed(
        id=manifest.id,
        taken_at=manifest.taken_at,
        stores=manifest.stores,
        rows=manifest.rows,
        bytes=manifest.bytes,
        encrypted=bool(manifest.key_id),
        readable=manifest.readable_until is not None and manifest.readable_until > now,
        reason=manifest.reason,
        by=manifest.by,
        note=manifest.note,
    )
