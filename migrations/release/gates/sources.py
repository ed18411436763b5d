"""Where a plan's gates get their figures on this machine."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from etl.settings import Settings
from migrations.release.alerts.book import read_alerts
from migrations.release.gates.check import Sources
from migrations.release.gates.sync_facts import read_sync_facts
from migrations.release.metrics.open import open_metrics
from migrations.release.plan import Plan


def open_sources(plan: Plan, settings: Settings) -> Sources:
    """Nothing is connected before a gate asks."""
    return Sources(
        metrics=open_metrics(plan, settings.target),
        sync=partial(read_sync_facts, settings.target),
        state_dir=settings.state_dir,
        open_red=partial(open_red_alerts, settings.state_dir),
    )


def open_red_alerts(state_dir: Path) -> tuple[str, ...]:
    """The titles of red alerts whose cause is still there, also of those that somebody has acknowledged. Raises
    ConfigurationError."""
    return tuple(one.alert.title for one in read_alerts(state_dir, level="red"))
