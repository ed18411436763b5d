"""membershift snapshot create --br: a full backup of the cluster by TiDB's own tool, where the cluster has what that needs.

BR saves everybody's rows at one instant. It is what brings a lost cluster back; to bring one store back it is no use, since
restoring it rewinds all others.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from etl.errors import RefusedError, TargetError, UsageError
from etl.personal_files import make_private_folder
from etl.settings import Settings
from etl.target.bulk import BulkConnection
from etl.target.columns import text_of
from etl.target.connect import connect_bulk

PROGRAM: Final = "br"
PD_QUERY: Final = "SELECT instance FROM information_schema.cluster_info WHERE type = 'pd' ORDER BY instance"
STORAGE: Final = re.compile(r"(?P<where>(?:local|s3|gcs|gs|azure|azblob|file|hdfs|ks3|oss)://[^?#\s]+)(?P<secrets>\?\S*)?")


@dataclass(frozen=True)
class Backup:
    """`storage` without its credentials; `log` is what BR wrote down."""

    storage: str
    seconds: float
    log: Path


def full_backup(settings: Settings, storage: str) -> Backup:
    """Back the whole cluster up to a storage that all its nodes reach. Raises RefusedError with the reason where that cannot be
    done here, UsageError for a storage that BR does not know, TargetError when BR fails."""
    where = storage_without_secrets(storage)
    with connect_bulk(settings.target, "") as target:
        pd = placement_drivers(target)
    program = find_program()
    log = make_private_folder(settings.state_dir) / "br.log"
    return run_backup(program, pd, storage, where, log, settings.target.tls_ca)


def storage_without_secrets(storage: str) -> str:
    """What may be shown of it. Raises UsageError.

    >>> storage_without_secrets("s3://bucket/autumn?access-key=AKIA&secret-access-key=x")
    's3://bucket/autumn'
    """
    found = STORAGE.fullmatch(storage)
    if found is None:
        raise UsageError(
            "BR knows no such storage.", "Give it as s3://bucket/path, gcs://..., azure://... or local:///shared/path."
        )
    return found["where"]


def placement_drivers(target: BulkConnection) -> tuple[str, ...]:
    """Where BR finds the cluster. Raises RefusedError where there is none."""
    if not target.is_tidb:
        raise RefusedError("This target is not TiDB: BR cannot back it up.", "Use its own tool, such as mariadb-backup.")
    found = tuple(text_of(row[0]) for row in target.query(PD_QUERY))
    if not found:
        raise RefusedError(
            "This TiDB runs on its standalone store, without PD and TiKV: BR has nothing to back up.",
            "Leave out --br: the stores' own rows are in the snapshot all the same.",
        )
    return found


def find_program() -> str:
    """Raises RefusedError when it is not installed."""
    found = shutil.which(PROGRAM)
    if found is None:
        raise RefusedError(
            "The program br is not installed here.",
            "Put it on the PATH, in the version of the cluster: tiup install br, or the TiDB toolkit.",
        )
    return found


def run_backup(program: str, pd: tuple[str, ...], storage: str, where: str, log: Path, tls_ca: Path | None) -> Backup:
    """Run it to its end. Raises TargetError; the storage's credentials are in neither error nor log line of ours."""
    began = time.monotonic()
    os.close(os.open(log, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600))
    done = subprocess.run(
        backup_command(program, pd, storage, log, tls_ca), stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    if done.returncode:
        raise TargetError(
            f"BR ended with code {done.returncode}; the backup in {where} is not complete.",
            f"Its reason is at the end of {log}. An incomplete backup has to be deleted before the next try.",
        )
    return Backup(where, time.monotonic() - began, log)


def backup_command(program: str, pd: tuple[str, ...], storage: str, log: Path, tls_ca: Path | None) -> list[str]:
    """Its arguments.

    >>> backup_command("br", ("a:2379", "b:2379"), "s3://x/y", Path("br.log"), None)
    ['br', 'backup', 'full', '--pd', 'a:2379,b:2379', '--storage', 's3://x/y', '--log-file', 'br.log']
    """
    command = [program, "backup", "full", "--pd", ",".join(pd), "--storage", storage, "--log-file", str(log)]
    return command if tls_ca is None else [*command, "--ca", str(tls_ca)]
