"""What reconcile notes of its last run, and the gate of a release that reads it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from etl.progress import Silent
from etl.reconcile.invariants import run_invariants
from etl.reconcile.run import ReconcileRequest, run_reconcile
from etl.records import RECONCILE_ROWS, read_record, record_path
from etl.settings import Settings
from migrations.release.figures import Verdict
from migrations.release.gates.base import Answer
from migrations.release.gates.reconcile import check_reconcile
from migrations.release.plan_gates import ReconcileGate
from tests.integration.reconcile.conftest import Damage

GATE = ReconcileGate(invariants=False)


def judged(settings: Settings, gate: ReconcileGate = GATE) -> Answer:
    """The gate, a minute from now: the target's clock may be a little ahead."""
    return check_reconcile(gate, settings.state_dir, None, 5, datetime.now(UTC) + timedelta(minutes=1))


def test_the_gate_follows_what_was_compared(moved: Settings, damage: Damage) -> None:
    """What a bug would cost: stores moved on the strength of one table that was compared, or of a comparison of yesterday."""
    for name in ("reconcile_rows", "reconcile_invariants"):
        record_path(moved.state_dir, name).unlink(missing_ok=True)
    assert judged(moved).verdict is Verdict.UNKNOWN
    run_reconcile(moved, ReconcileRequest(("store",)), Silent())
    assert judged(moved).verdict is Verdict.UNKNOWN  # all other tables are not known
    run_reconcile(moved, ReconcileRequest(), Silent())
    answer = judged(moved)
    assert (answer.verdict, answer.figure) == (Verdict.PASS, 0)
    assert judged(moved, ReconcileGate()).verdict is Verdict.UNKNOWN
    run_invariants(moved, Silent())
    assert judged(moved, ReconcileGate()).verdict is Verdict.PASS
    damage("UPDATE store SET city = 'nowhere' ORDER BY store_code LIMIT 2", tables=("store",))
    run_reconcile(moved, ReconcileRequest(("store",)), Silent())
    answer = judged(moved)
    assert (answer.verdict, answer.figure) == (Verdict.FAIL, 2)
    assert "nowhere" not in record_path(moved.state_dir, RECONCILE_ROWS).read_text("utf-8")
    record = read_record(moved.state_dir, RECONCILE_ROWS)
    assert record is not None
    assert record.body["tables"]["store"]["differing"] == 2
