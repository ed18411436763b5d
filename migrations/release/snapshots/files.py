"""The files of a snapshot: Parquet, hashed while it is written, encrypted where there is a key, for the owner only."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from etl.errors import ConfigurationError
from etl.personal_files import read_personal_file, write_personal_file
from etl.settings import SnapshotSettings
from etl.stage.write import COMPRESSION, HashingFile
from migrations.release.snapshots.encrypt import EncryptingFile, Key, decrypt, read_key
from migrations.release.snapshots.model import Side, StoredFile

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

READ_BYTES: Final = 1 << 20
ENCRYPTED: Final = ".enc"


def key_of(settings: SnapshotSettings) -> Key | None:
    """The key that new files are encrypted with, None when they are not. Raises ConfigurationError."""
    return None if settings.key is None else read_key(settings.key.get_secret_value())


def keys_of(settings: SnapshotSettings) -> tuple[Key, ...]:
    """Every key that a file may be encrypted with. Raises ConfigurationError."""
    current = key_of(settings)
    old = tuple(read_key(key.get_secret_value()) for key in settings.old_keys)
    return old if current is None else (current, *old)


def path_of(side: Side, store: str, table: str, *, encrypted: bool) -> str:
    """A file's path inside its snapshot. What a store is called may hold anything.

    >>> path_of("target", "S001", "sale", encrypted=False), path_of("legacy", "../x", "pos.dbo.Sale", encrypted=True)
    ('target/S001/sale.parquet', 'legacy/%2E%2E%2Fx/pos%2Edbo%2ESale.parquet.enc')
    """
    names = (safe_name(store), f"{safe_name(table)}.parquet{ENCRYPTED if encrypted else ''}")
    return "/".join((side, *names))


def safe_name(name: str) -> str:
    """A name for the file system: letters, digits, - and _ stay."""
    kept = (
        character if character.isascii() and (character.isalnum() or character in "-_") else quoted(character)
        for character in name
    )
    return "".join(kept)


def quoted(character: str) -> str:
    """Its bytes, as in a URL."""
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))


def write_rows(
    folder: Path, side: Side, store: str, table: str, schema: pa.Schema, batches: Iterable[pa.Table], key: Key | None
) -> StoredFile:
    """Write a table's rows of one store; a row group for each batch. Raises ConfigurationError when the disk is full."""
    import pyarrow.parquet as pq

    path, rows = path_of(side, store, table, encrypted=key is not None), 0
    with write_personal_file(folder / path) as file, ExitStack() as closing:
        hashing = HashingFile(file)
        sink: HashingFile | EncryptingFile = hashing
        if key is not None:
            sink = EncryptingFile(hashing, key)
            closing.callback(sink.close)
        with pq.ParquetWriter(sink, schema, compression=COMPRESSION, use_dictionary=False, write_statistics=False) as writer:
            for batch in batches:
                writer.write_table(batch.cast(schema))
                rows += batch.num_rows
        closing.close()
    return StoredFile(side, store, table, path, rows, hashing.size, hashing.hexdigest())


def read_rows(folder: Path, stored: StoredFile, keys: Sequence[Key]) -> pl.DataFrame:
    """The rows of a file that is as it was written. Raises ConfigurationError where it is not, or no key opens it."""
    import polars as pl

    check_hash(folder, stored)
    with read_personal_file(folder / stored.path) as file:
        rows = pl.read_parquet(decrypt(file, keys) if stored.path.endswith(ENCRYPTED) else file)
    if rows.height != stored.rows:
        raise damaged(stored)
    return rows


def check_hash(folder: Path, stored: StoredFile) -> None:
    """Raises ConfigurationError when the file is gone or is not as it was written."""
    digest, size = hashlib.sha256(), 0
    with read_personal_file(folder / stored.path) as file:
        while block := file.read(READ_BYTES):
            digest.update(block)
            size += len(block)
    if (size, digest.hexdigest()) != (stored.bytes, stored.sha256):
        raise damaged(stored)


def damaged(stored: StoredFile) -> ConfigurationError:
    """What to say of a file that changed."""
    return ConfigurationError(
        f"{stored.path} of the snapshot is not as it was written.", "Do not restore from it; take another snapshot."
    )
