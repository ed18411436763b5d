"""Gate: a load test held the rate that the stores will bring. Its record is described in docs/release.md."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Final

from etl.errors import ConfigurationError
from etl.records import LOADTEST, read_record
from migrations.release.figures import Limits, Verdict, age_of, distrust, number
from migrations.release.gates.base import Answer, joined, unknown
from migrations.release.plan_gates import LoadTestGate

RUN: Final = "membershift loadtest run"


def check_loadtest(gate: LoadTestGate, state_dir: Path, allowance_s: float, now: datetime) -> Answer:
    """The last load test: it passed by its own rules, and at the rate that is asked for."""
    limit = "passed at its target rate" if gate.rate is None else f">= {gate.rate:g}/s"
    try:
        record = read_record(state_dir, LOADTEST)
    except ConfigurationError as error:
        return unknown("loadtest", limit, error.message, RUN)
    if record is None:
        return unknown("loadtest", limit, "no load test has been run", RUN)
    age_s = age_of(record.at, now)
    target, held, passed = number(record.body.get("target_rate")), number(record.body.get("held_rate")), record.body.get("passed")
    if target is None or held is None or target <= 0 or not isinstance(passed, bool):
        return unknown("loadtest", limit, "the record of the last load test says nothing", RUN, age_s)
    told = joined(f"{held:g} of {target:g} transactions a second were held", "the test passed" if passed else "the test failed")
    doubt = distrust(age_s, Limits(gate.max_age_s, allowance_s))
    if doubt:
        return Answer("loadtest", Verdict.UNKNOWN, held, limit, age_s, joined(told, doubt), RUN)
    enough = passed and target >= (gate.rate or target)
    return Answer("loadtest", Verdict.PASS if enough else Verdict.FAIL, held, limit, age_s, told, "" if enough else RUN)
