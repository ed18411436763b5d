"""What the gates have to know of sync, read from its own tables on the target: its sign of life, and its background check."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from etl.settings import TargetSettings
from etl.sync.check_record import read_standing
from etl.sync.heartbeat import Heartbeat, read_heartbeat
from etl.sync.state import read_positions
from etl.target.connect import connect_bulk
from migrations.release.haste import hasty


@dataclass(frozen=True)
class SyncFacts:
    """`heartbeat`: None where sync never gave one. `differing`: rows that its background check found to differ.
    `checked_at`: when its last pass came to its end (UTC), None before the first."""

    heartbeat: Heartbeat | None
    differing: int = 0
    checked_at: datetime | None = None


def read_sync_facts(target: TargetSettings) -> SyncFacts:
    """From the target, which is tried once and not for long. Raises TargetError."""
    with connect_bulk(hasty(target)) as connection:
        heartbeat = read_heartbeat(connection, target.state_schema)
        check = read_standing(read_positions(connection, target.state_schema))
    return SyncFacts(heartbeat, check.differing, None if check.last is None else check.last.ended)
