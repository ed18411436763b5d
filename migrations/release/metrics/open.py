"""The source of figures that a plan names."""

from __future__ import annotations

from etl.settings import TargetSettings
from migrations.release.metrics.base import MetricsSource, NoSource
from migrations.release.metrics.file import FileSource
from migrations.release.metrics.prometheus import PrometheusSource
from migrations.release.metrics.sql import SqlSource
from migrations.release.plan import Plan


def open_metrics(plan: Plan, target: TargetSettings) -> MetricsSource:
    """It is connected anew at each question: one that is away costs a minute, not the release."""
    chosen = plan.metrics
    if chosen.source == "prometheus" and chosen.prometheus is not None:
        return PrometheusSource(chosen.prometheus)
    if chosen.source == "sql" and chosen.sql is not None:
        return SqlSource(target, chosen.sql.query)
    if chosen.source == "file" and chosen.file is not None:
        return FileSource(plan.path(chosen.file.path))
    return NoSource()
