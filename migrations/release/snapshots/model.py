"""What a snapshot is: a folder with a manifest, and a Parquet file for each store and table."""

from __future__ import annotations

import dataclasses
import hashlib
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import TypeAdapter, ValidationError

from etl.errors import ConfigurationError, UsageError
from etl.personal_files import read_personal_file, write_personal_file
from migrations.audit.entry import canonical

Side = Literal["target", "legacy"]
MANIFEST: Final = "manifest.json"
FORMAT: Final = 1


@dataclass(frozen=True)
class StoredFile:
    """Rows of one table of one store. `path` is relative to the snapshot's folder; `bytes` and `sha256` are those of the file as
    it lies there, encrypted or not."""

    side: Side
    store: str
    table: str
    path: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """Everything that is known of a snapshot; it is complete once this is written.

    `taken_at`: the instant that all files of the target show (UTC, ISO 8601); `tso` is the same as a timestamp of TiDB, for AS OF
    reads until `readable_until`, both None where the target has no such reads. `columns`: of each table, its columns with their
    types; `keys`: its primary key. `key_id`: of the key that encrypts the files, "" when they are not. `note`: what should be
    known of it. `digest`: SHA-256 of the canonical JSON of all the rest.
    """

    id: str
    taken_at: datetime
    tso: int | None
    readable_until: datetime | None
    server: str
    schema_name: str
    revision: str | None
    stores: tuple[str, ...]
    reason: str
    by: str
    columns: Mapping[str, tuple[tuple[str, str], ...]]
    keys: Mapping[str, tuple[str, ...]]
    files: tuple[StoredFile, ...]
    key_id: str = ""
    note: str = ""
    format: int = FORMAT
    digest: str = ""

    @property
    def as_of(self) -> str:
        """`taken_at` as AS OF TIMESTAMP takes it."""
        return self.taken_at.strftime("%Y-%m-%d %H:%M:%S.%f")

    @property
    def rows(self) -> int:
        """Rows in all files."""
        return sum(file.rows for file in self.files)

    @property
    def bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.bytes for file in self.files)

    def of_store(self, store: str) -> tuple[StoredFile, ...]:
        """The files with a store's rows of the target."""
        return tuple(file for file in self.files if file.store == store and file.side == "target")


ADAPTER: Final = TypeAdapter(Manifest)


def new_id(now: datetime) -> str:
    """Sorts by time, to the millisecond; two that begin in the same one differ."""
    return f"{now.astimezone(UTC).strftime('%Y%m%dT%H%M%S%f')[:-3]}Z-{secrets.token_hex(2)}"


def snapshots_dir(state_dir: Path) -> Path:
    """Where all snapshots live."""
    return state_dir / "snapshots"


def folder_of(state_dir: Path, snapshot: str) -> Path:
    """The folder of one. Raises UsageError for what can be no id, such as a path."""
    if not snapshot or not set(snapshot) <= set("0123456789TZabcdef-"):
        raise UsageError(f"{snapshot!r} is no snapshot.", "See `membershift snapshot list`.")
    return snapshots_dir(state_dir) / snapshot


def digest_of(manifest: Manifest) -> str:
    """Of everything but the digest."""
    values = ADAPTER.dump_python(dataclasses.replace(manifest, digest=""), mode="json")
    return hashlib.sha256(canonical(values).encode()).hexdigest()


def write_manifest(state_dir: Path, manifest: Manifest) -> Manifest:
    """Seal it: from now on the snapshot is there. Raises ConfigurationError."""
    sealed = dataclasses.replace(manifest, digest=digest_of(manifest))
    with write_personal_file(folder_of(state_dir, manifest.id) / MANIFEST) as file:
        file.write(ADAPTER.dump_json(sealed, indent=1))
    return sealed


def read_manifest(state_dir: Path, snapshot: str) -> Manifest:
    """Read it. Raises UsageError when there is none, ConfigurationError when it is not as it was written."""
    path = folder_of(state_dir, snapshot) / MANIFEST
    if not path.exists():
        raise UsageError(f"There is no snapshot {snapshot}.", "See `membershift snapshot list`.")
    with read_personal_file(path) as file:
        text = file.read()
    damaged = ConfigurationError(
        f"The manifest of snapshot {snapshot} is not as it was written.", "Do not restore from it; take another one."
    )
    try:
        manifest = ADAPTER.validate_json(text)
    except ValidationError:
        raise damaged from None
    if manifest.id != snapshot or manifest.digest != digest_of(manifest):
        raise damaged
    return manifest


def snapshot_ids(state_dir: Path) -> Iterator[str]:
    """Every folder, complete or not, the oldest first."""
    folder = snapshots_dir(state_dir)
    if folder.is_dir():
        yield from sorted(path.name for path in folder.iterdir() if path.is_dir())


def described(manifest: Manifest) -> dict[str, Any]:
    """As JSON values."""
    values: dict[str, Any] = ADAPTER.dump_python(manifest, mode="json")
    return values
