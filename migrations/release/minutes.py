"""What the controller watches, from all sources, as far as they may be believed: one minute of the stores that moved, and one
window of a wave."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from etl.settings import Settings
from migrations.release.figures import Limits
from migrations.release.metrics.base import MetricsSource, Sample, trust
from migrations.release.metrics.sync_counts import SyncCounts, broken_invariants, read_sync_counts
from migrations.release.plan import Plan
from migrations.release.triggers import MINUTE, Minute


def read_minute(
    plan: Plan,
    settings: Settings,
    source: MetricsSource,
    stores: Sequence[str],
    start: datetime,
    *,
    moved_at: datetime,
    now: datetime,
) -> Minute:
    """The minute that began at `start`. `moved_at`: when the first of `stores` moved: an invariant that was broken before is not
    the release's doing. Raises nothing that a source could cause."""
    sample = read_window(plan, source, stores, start, start + MINUTE, now)
    triggers = plan.triggers
    counts = SyncCounts()
    if triggers.conflicts is not None or triggers.dead_letters is not None:
        counts = read_sync_counts(settings.target, start, start + MINUTE, now)
    broken = broken_invariants(settings.state_dir, moved_at) if triggers.invariants else ()
    return Minute(start, sample, counts.conflicts, counts.dead_letters, broken)


def read_window(
    plan: Plan, source: MetricsSource, stores: Sequence[str], start: datetime, end: datetime, now: datetime
) -> Sample:
    """Figures from `start` up to `end`; none of them where the newest is old or ahead. Raises nothing that a source
    could cause."""
    return trust(source.read(stores, start, end), Limits(plan.metrics.max_age_s, plan.gates.clock_allowance_s), now)
