"""membershift snapshot prune: remove snapshots that are old and many, and never the newest of a store that is on its way."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from etl.errors import OpsError
from etl.settings import Settings
from etl.state_db import STATE_DB
from etl.target.bulk import BulkConnection
from etl.target.connect import connect_bulk
from etl.target.errors import ServerError
from migrations.release.event_log import open_event_log
from migrations.release.model import Route
from migrations.release.snapshots.create import clear_abandoned
from migrations.release.snapshots.gc_hold import settle_gc
from migrations.release.snapshots.listing import Listed, list_snapshots
from migrations.release.snapshots.model import MANIFEST, folder_of


@dataclass(frozen=True)
class PruneRequest:
    """None: as the configuration says."""

    keep_days: float | None = None
    keep_count: int | None = None
    execute: bool = False


@dataclass(frozen=True)
class Pruned:
    """`removed`: snapshots that went, or would go. `kept`: how many stay. `abandoned`: half-written ones of killed processes.
    `bytes`: what is freed. `under_way`: stores whose newest snapshot stays whatever its age. `note`: what has to wait."""

    executed: bool
    removed: tuple[str, ...]
    kept: int
    bytes: int
    abandoned: tuple[str, ...] = ()
    under_way: tuple[str, ...] = ()
    note: str = ""


def prune_snapshots(settings: Settings, request: PruneRequest, now: datetime | None = None) -> Pruned:
    """Say what may go; with `execute`, remove it and put back what TiDB was asked to keep for it.

    The target may be away: then that is put back later. Raises ConfigurationError.
    """
    now = now or datetime.now(UTC)
    days = settings.snapshots.keep_days if request.keep_days is None else request.keep_days
    count = settings.snapshots.keep_count if request.keep_count is None else request.keep_count
    found = list_snapshots(settings.state_dir, now=now).found
    moving = stores_under_way(settings.state_dir)
    old = choose(found, now - timedelta(days=days), count, moving)
    freed = sum(one.bytes for one in old)
    result = Pruned(request.execute, tuple(one.id for one in old), len(found) - len(old), freed, under_way=tuple(sorted(moving)))
    return carry_out(settings, result, now) if request.execute else result


def choose(found: Sequence[Listed], before: datetime, count: int, moving: Collection[str]) -> list[Listed]:
    """Those (`found` comes newest first) that are older than `before`, of whose stores every one has `count` newer snapshots, and
    which are the newest of no store that is `moving`. With a count of 1 or more that last rule follows; it stands here so that no
    change of the first can break it."""
    newer: Counter[str] = Counter()
    old = []
    for one in found:
        enough = all(newer[store] >= count for store in one.stores)
        last = any(newer[store] == 0 and store in moving for store in one.stores)
        if one.taken_at < before and enough and not last:
            old.append(one)
        newer.update(one.stores)
    return old


def stores_under_way(state_dir: Path) -> frozenset[str]:
    """Stores that are anywhere but at the beginning or the end of their way. Raises ConfigurationError."""
    if not (state_dir / STATE_DB).exists():
        return frozenset()
    with open_event_log(state_dir) as log:
        state = log.state
    moving = {store for store, where in state.stores.items() if where.route not in (Route.LEGACY, Route.COMPLETE)}
    return frozenset(moving | set(state.switch.stores if state.switch else ()) | set(state.going_back))


def known_routes(state_dir: Path) -> dict[str, Route]:
    """Where the release has each of its stores; none where there is no release. Raises ConfigurationError."""
    if not (state_dir / STATE_DB).exists():
        return {}
    with open_event_log(state_dir) as log:
        return {store: where.route for store, where in log.state.stores.items() if where.wave is not None}


def carry_out(settings: Settings, planned: Pruned, now: datetime) -> Pruned:
    """The manifest goes first: what is left of a killed prune counts as abandoned, never as a snapshot."""
    for name in planned.removed:
        folder = folder_of(settings.state_dir, name)
        (folder / MANIFEST).unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
    note = ""
    try:
        with connect_bulk(settings.target, "") as target:
            abandoned = put_back(settings.state_dir, target, planned.removed, now)
    except (ServerError, OpsError) as error:
        abandoned = clear_abandoned(settings.state_dir, None)
        note = f"{error.message} What it keeps for snapshots is put back by the next command that reaches it."
    return Pruned(True, planned.removed, planned.kept, planned.bytes, abandoned, planned.under_way, note)


def put_back(state_dir: Path, target: BulkConnection, gone: tuple[str, ...], now: datetime) -> tuple[str, ...]:
    """Nothing needs to be kept for those that are gone."""
    abandoned = clear_abandoned(state_dir, target)
    settle_gc(state_dir, target, frozenset(gone), now)
    return abandoned
