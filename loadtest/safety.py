"""Where a load test may be run, and where not. It writes and deletes, and takes all that the server has."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from etl.errors import ConfigurationError, RefusedError
from etl.load.sql import sql
from etl.settings import Settings
from etl.target.bulk import BulkConnection
from etl.target.errors import ServerError
from loadtest.data import RANGES, left_over

LEAST_FREE: Final = 512 * 2**20
"""Bytes that results may need, with room for the log of everything else."""
NO_TABLE: Final = 1146


def refuse_danger(settings: Settings, target: BulkConnection, folder: Path, live: Sequence[str]) -> None:
    """Raises RefusedError or ConfigurationError where a test must not begin. live: stores whose customers write to the target."""
    if not settings.target.loadtest:
        raise RefusedError(
            "This target is not marked as one that may be load-tested.",
            "Set loadtest = true under [target], in a configuration that no production command uses.",
        )
    if live:
        some = ", ".join(live[:3]) + (", ..." if len(live) > 3 else "")
        raise RefusedError(
            f"{len(live)} stores sell on this target ({some}): a load test would take their time.",
            "Test another cluster of the same size, or before the first store moves.",
        )
    refuse_missing_tables(target)
    if left_over(target):
        raise RefusedError("Rows of an earlier load test are there.", "Take them away: membershift loadtest clean --execute")
    refuse_full_disk(folder)


def refuse_missing_tables(target: BulkConnection) -> None:
    """Raises RefusedError where the schema is not there."""
    for table in ("product", *(table for table, _ in RANGES)):
        try:
            target.query(sql("SELECT 1 FROM {table} LIMIT 1", {"table": table}))
        except ServerError as error:
            if error.number != NO_TABLE:
                raise
            raise RefusedError(
                f"The target has no table {table}: there is nothing to test.", "Make it: membershift schema up --execute"
            ) from error


def refuse_full_disk(folder: Path) -> None:
    """Raises ConfigurationError where results would not fit."""
    place = next(one for one in (folder, *folder.parents) if one.exists())
    free = shutil.disk_usage(place).free
    if free < LEAST_FREE:
        raise ConfigurationError(
            f"{place} has {free / 2**20:.0f} MiB left, and a load test may write {LEAST_FREE / 2**20:.0f}.",
            "Free space, or give another folder with --results.",
        )
