"""Gate: all critical tests passed, not long ago."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from migrations.release.figures import Limits
from migrations.release.gates.base import Answer, Proof, joined, judge_share, percent, unknown
from migrations.release.gates.junit import BadJUnit, TestCounts, read_junit
from migrations.release.plan_gates import CriticalTestsGate

SET_FILE: Final = "set [gates.tests] file in release.toml, or enabled = false"


def check_critical_tests(gate: CriticalTestsGate, path: Path | None, allowance_s: float, now: datetime) -> Answer:
    """The tests of the JUnit file at `path`. It is as old as the older of the file and what it says of itself."""
    limit = f">= {percent(gate.minimum)}"
    if path is None:
        return unknown("tests", limit, "no file of critical tests is named", SET_FILE)
    remedy = f"run the critical tests again and put their JUnit file at {path}"
    try:
        with path.open("rb") as file:
            written = datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, UTC)
            counts = read_junit(file.read())
    except OSError as error:
        return unknown("tests", limit, f"{path} cannot be read: {error.strerror}", remedy)
    except BadJUnit as error:
        return unknown("tests", limit, f"{path.name} cannot be used: {error}", remedy)
    if not counts.total:
        return unknown("tests", limit, f"{path.name} holds no test at all", remedy)
    at = older(written, counts.at, now)
    proof = Proof(counts.passed / counts.total, at, describe(counts, path.name))
    return judge_share("tests", proof, gate.minimum, Limits(gate.max_age_s, allowance_s), remedy, now)


def older(written: datetime, said: datetime | None, now: datetime) -> datetime:
    """The time to judge a file by: one from the future goes first, as it must not be believed; else the older one."""
    times = [written] if said is None else [written, said]
    ahead = [at for at in times if at > now]
    return max(ahead) if ahead else min(times)


def describe(counts: TestCounts, name: str) -> str:
    """For people."""
    told = f"{counts.passed} of {counts.total} tests in {name} passed"
    if counts.passed == counts.total:
        return told
    return joined(told, f"failed: {counts.failed}, skipped: {counts.skipped}, the first: {counts.first}")
