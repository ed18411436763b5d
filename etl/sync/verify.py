"""membershift sync verify: rows that changed lately, compared on both sides: is what sync says true?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from etl.progress import Progress
from etl.reconcile.differences import ReconcileResult
from etl.reconcile.registry import anything_merged
from etl.reconcile.run import as_now, now_of
from etl.settings import Settings
from etl.source.connect import open_source
from etl.sync.compare_some import compare_changed, told
from etl.sync.plan import plan_sync
from etl.target.connect import connect_bulk


@dataclass(frozen=True)
class VerifyRequest:
    """Rows that changed on the target within `span`. `settle_s`: pause before the second look at what differs, longer than sync
    is behind."""

    span: timedelta = timedelta(minutes=10)
    settle_s: float = 5.0
    tables: tuple[str, ...] = ()


def run_verify(settings: Settings, request: VerifyRequest, progress: Progress) -> ReconcileResult:
    """Compare what changed lately, on either side: a change of the legacy side that sync brought changed the target too.

    Changes nothing. Raises SourceError, TargetError, ConfigurationError, UsageError for an unknown table.
    """
    with open_source(settings.source, progress) as source, connect_bulk(settings.target) as target:
        plan = plan_sync(settings, source, target, request.tables)
        now = now_of(settings, source, target)
        comparisons = []
        for table in as_now(source, anything_merged(target, plan.state_schema), (one.plan for one in plan.tables)):
            progress.start(table.target, None)
            found = compare_changed(now, table, request.span)
            progress.advance(table.target, found.tally.target_rows)
            progress.finish(table.target)
            comparisons.append(found)
        return told(settings, now, comparisons, "", request.settle_s)
