"""Gates that people answer: no red alert is open, and enough of them agree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from migrations.release.figures import Verdict
from migrations.release.gates.base import Answer, joined
from migrations.release.model import ReleaseState
from migrations.release.plan import RoleSettings

NO_RED: Final = "no red alert open"


def check_alerts(open_red: Sequence[str]) -> Answer:
    """`open_red`: what each open red alert says, without personal data."""
    if not open_red:
        return Answer("alerts", Verdict.PASS, 0.0, NO_RED, 0.0, "no red alert is open", "")
    told = joined(f"{len(open_red)} red alerts are open", f"the first: {open_red[0]}")
    return Answer("alerts", Verdict.FAIL, float(len(open_red)), NO_RED, 0.0, told, "membershift release status")


def check_approvals(state: ReleaseState, wave: int, needed: int, roles: RoleSettings) -> Answer:
    """Different people, who may approve, and have approved this wave (from 0)."""
    agreed = sorted({by for by in state.approvals.get(wave, ()) if roles.allows("approver", by)})
    others = sorted(set(state.approvals.get(wave, ())) - set(agreed))
    limit = f">= {needed}"
    told = joined(
        f"wave {wave + 1} needs {needed} approvals and has {len(agreed)} of them",
        f"approved by: {', '.join(agreed)}" if agreed else "",
        f"not an approver: {', '.join(others)}" if others else "",
    )
    if len(agreed) >= needed:
        return Answer("approvals", Verdict.PASS, float(len(agreed)), limit, 0.0, told, "")
    remedy = f"membershift release approve --wave {wave + 1}"
    return Answer("approvals", Verdict.FAIL, float(len(agreed)), limit, 0.0, told, remedy)
