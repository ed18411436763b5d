"""What the last comparisons found, kept in the state folder for the gates of a release. A table that was compared by itself
replaces what was known of it; one of a sample only tells what it found wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from etl.errors import ConfigurationError
from etl.progress import Progress
from etl.reconcile.differences import ReconcileResult
from etl.reconcile.invariant_model import InvariantsResult, Verdict
from etl.records import RECONCILE_INVARIANTS, RECONCILE_ROWS, Record, forget_record, read_record, write_record
from etl.settings import Settings


def record_rows(settings: Settings, result: ReconcileResult, all_tables: Iterable[str], progress: Progress) -> None:
    """Note a comparison of rows. `all_tables`: every target table of the mapping, compared or not."""
    body = rows_body(last_of(settings), result, all_tables)
    note(settings, RECONCILE_ROWS, result.target_instant, body, progress)


def note(settings: Settings, name: str, at: datetime, body: Mapping[str, Any], progress: Progress) -> None:
    """Write it down. A full disk must not cost the result of an hour's comparison: it is only said, and what was noted before is
    forgotten, as it may be better than what was found now."""
    try:
        write_record(settings.state_dir, name, at, body)
    except ConfigurationError as error:
        forget_record(settings.state_dir, name)
        progress.note(f"The result was not noted for the gates of a release: {error.message}")


def rows_body(last: Record | None, result: ReconcileResult, all_tables: Iterable[str]) -> dict[str, Any]:
    """{"tables": {name: {"at", "differing"}}, "all": [names]}"""
    known = last.body.get("tables", {}) if last is not None else {}
    tables: dict[str, Any] = dict(known) if isinstance(known, Mapping) else {}
    for table in result.tables:
        if result.sampled is None or table.differing:
            tables[table.table] = {"at": result.target_instant.isoformat(), "differing": table.differing}
    wanted = sorted(set(all_tables))
    return {"tables": tables, "all": wanted}


def last_of(settings: Settings) -> Record | None:
    """What was known before; a damaged record is begun anew."""
    try:
        return read_record(settings.state_dir, RECONCILE_ROWS)
    except ConfigurationError:
        return None


def record_invariants(settings: Settings, result: InvariantsResult, progress: Progress) -> None:
    """Note a check of invariants."""
    note(settings, RECONCILE_INVARIANTS, result.target_instant, invariants_body(result), progress)


def invariants_body(result: InvariantsResult) -> dict[str, Any]:
    """{"checked": 31, "differing": [names]}"""
    differing = [one.name for one in result.invariants if one.verdict is Verdict.DIFFERS]
    return {"checked": len(result.invariants), "differing": differing}
