"""Gate: sync is at work, and neither direction is far behind."""

from __future__ import annotations

from typing import Final

from etl.sync.heartbeat import IN_ORDER, Heartbeat
from migrations.release.figures import Limits, Verdict, distrust, number
from migrations.release.gates.base import Answer, joined, unknown
from migrations.release.gates.sync_facts import SyncFacts
from migrations.release.plan_gates import LagGate

RUN: Final = "membershift sync run"
STATUS: Final = "membershift sync status"


def check_lag(gate: LagGate, sync: SyncFacts, allowance_s: float) -> Answer:
    """The stream that is furthest behind. The age of the sign of life is by the clock of the server that holds it."""
    limit, heartbeat = f"<= {gate.limit_s:g} s", sync.heartbeat
    if heartbeat is None:
        return unknown("lag", limit, "sync has never run", "membershift sync start, then membershift sync run")
    if heartbeat.ended:
        why = "sync was ended" if heartbeat.ended == IN_ORDER else f"sync ended: {heartbeat.ended}"
        return Answer("lag", Verdict.FAIL, None, limit, heartbeat.age_s, why, RUN)
    doubt = distrust(heartbeat.age_s, Limits(gate.max_age_s, allowance_s))
    if doubt:
        return unknown("lag", limit, f"the last sign of life of sync says nothing: {doubt}", RUN, heartbeat.age_s)
    return judge_streams(gate, heartbeat, limit)


def judge_streams(gate: LagGate, heartbeat: Heartbeat, limit: str) -> Answer:
    """Every stream has a lag, and none too much."""
    if not heartbeat.streams:
        return unknown("lag", limit, "sync runs, and tells of no stream yet", STATUS, heartbeat.age_s)
    lags = {stream.name: number(stream.lag_s) for stream in heartbeat.streams}
    unclear = sorted(name for name, lag in lags.items() if lag is None)
    if unclear:
        return unknown("lag", limit, f"how far {unclear[0]} is behind is not known", STATUS, heartbeat.age_s)
    furthest = max(heartbeat.streams, key=lambda stream: stream.lag_s)
    told = joined(
        f"{furthest.name} is {furthest.lag_s:.1f} s behind",
        f"waiting: {furthest.waiting}" if furthest.waiting else "",
        f"held back: {heartbeat.throttle}" if heartbeat.throttle else "",
    )
    if furthest.lag_s > gate.limit_s:
        return Answer("lag", Verdict.FAIL, furthest.lag_s, limit, heartbeat.age_s, told, STATUS)
    return Answer("lag", Verdict.PASS, furthest.lag_s, limit, heartbeat.age_s, told, "")
