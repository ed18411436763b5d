"""Gate: of the requests of the stores that moved, hardly any fails."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from migrations.release.figures import Limits
from migrations.release.gates.base import Answer, Proof, joined, judge_share, percent, unknown
from migrations.release.metrics.base import MetricsSource, trust
from migrations.release.model import ReleaseState, writes_to
from migrations.release.plan_gates import AvailabilityGate

REMEDY: Final = "membershift release watch"


def check_availability(
    gate: AvailabilityGate, source: MetricsSource, state: ReleaseState, wave: int, allowance_s: float, now: datetime
) -> Answer:
    """Requests without an error, of the last `window_s` seconds."""
    limits = Limits(gate.max_age_s, allowance_s)
    stores = watched_stores(state, wave)
    sample = source.read(stores, now - timedelta(seconds=gate.window_s), now)
    trusted = trust(sample, limits, now)
    age_s = None if sample.at is None else (now - sample.at).total_seconds()
    if trusted.requests is None or trusted.errors is None:
        return unknown("availability", f">= {percent(gate.minimum)}", trusted.why, "membershift release check", age_s)
    asked = f"{trusted.errors:.0f} of {trusted.requests:.0f} requests of {len(stores)} stores failed in {gate.window_s:g} s"
    if trusted.requests < gate.min_requests:
        why = joined(asked, f"fewer than {gate.min_requests} requests say nothing")
        return unknown("availability", f">= {percent(gate.minimum)}", why, REMEDY, age_s)
    proof = Proof(1 - trusted.errors / trusted.requests, trusted.at, asked)
    return judge_share("availability", proof, gate.minimum, limits, REMEDY, now)


def watched_stores(state: ReleaseState, wave: int) -> tuple[str, ...]:
    """The release's stores that take their writes on TiDB; those of the wave as long as there are none."""
    moved = [code for code, where in state.stores.items() if where.wave is not None and writes_to(where.route) == "tidb"]
    return tuple(sorted(moved)) or stores_of(state, wave)


def stores_of(state: ReleaseState, wave: int) -> tuple[str, ...]:
    """The stores of a wave (from 0); none before the release is planned."""
    return state.waves[wave] if wave < len(state.waves) else ()
