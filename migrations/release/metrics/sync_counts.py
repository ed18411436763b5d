"""What the triggers have to know of sync: conflicts and dead letters that are new in a minute, and invariants that are broken.

Sync writes its times by the target's clock. So the minute is asked for as so long ago, by that same clock: whichever clock is
wrong, every row falls into exactly one minute, and into one that is over.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from etl.errors import OpsError
from etl.load.sql import sql
from etl.records import RECONCILE_INVARIANTS, read_record
from etl.settings import TargetSettings
from etl.target.connect import connect_bulk
from migrations.release.haste import hasty

COUNT: Final = (
    "SELECT COUNT(*) FROM {state}.{table} WHERE {at} >= UTC_TIMESTAMP(6) - INTERVAL %s MICROSECOND "
    "AND {at} < UTC_TIMESTAMP(6) - INTERVAL %s MICROSECOND"
)


@dataclass(frozen=True)
class SyncCounts:
    """New ones in a length of time; None where the target did not say, and `why` not."""

    conflicts: float | None = None
    dead_letters: float | None = None
    why: str = ""


def read_sync_counts(target: TargetSettings, start: datetime, end: datetime, now: datetime) -> SyncCounts:
    """Conflicts found, and letters first written, from `start` up to `end` (aware), as seen from `now`. Raises nothing that the
    target could cause."""
    ago = tuple((now - at) // timedelta(microseconds=1) for at in (start, end))
    try:
        with connect_bulk(hasty(target)) as connection:
            conflicts, letters = (
                connection.scalar(sql(COUNT, {"state": target.state_schema, "table": table, "at": at}), ago)
                for table, at in (("sync_conflict", "found_at"), ("sync_dead_letter", "first_at"))
            )
    except OpsError as error:
        return SyncCounts(why=error.message)
    return SyncCounts(float(conflicts), float(letters))


def broken_invariants(state_dir: Path, since: datetime) -> tuple[str, ...]:
    """Invariants that the last check found to differ, if it was made after `since` (aware): what an earlier one found was for the
    gates to judge. Nothing where no check was made, or its record cannot be read."""
    try:
        record = read_record(state_dir, RECONCILE_INVARIANTS)
    except OpsError:
        return ()
    if record is None or record.at is None or record.at < since:
        return ()
    differing = record.body.get("differing")
    return tuple(str(name) for name in differing) if isinstance(differing, list) else ()
