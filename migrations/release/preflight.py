"""What a switch needs before it closes a store. Whatever is missing half-way has to be put back, with tills waiting meanwhile."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from etl.errors import OpsError
from etl.settings import Settings
from migrations.release.acks import read_acks, require_instances
from migrations.release.figures import Verdict
from migrations.release.gates.sync_facts import read_sync_facts
from migrations.release.gates.sync_lag import check_lag
from migrations.release.plan import Plan

LEAST_FREE: Final = 64 * 2**20
"""Bytes. A switch writes some kilobytes; a disk with less than this is being filled by something else."""
ASK_AGAIN_S: Final = 5.0


@dataclass
class Preflight:
    """Asked each second while something is missing, it looks every ASK_AGAIN_S. `steady`: a clock that cannot be set."""

    settings: Settings
    plan: Plan
    steady: Callable[[], float] = time.monotonic
    missing: str = ""
    looked_at: float = float("-inf")

    def __call__(self) -> str:
        """Why no store may be closed now, "" where it may."""
        if not self.missing or self.steady() - self.looked_at >= ASK_AGAIN_S:
            self.missing = what_is_missing(self.settings, self.plan)
            self.looked_at = self.steady()
        return self.missing


def what_is_missing(settings: Settings, plan: Plan) -> str:
    """The first thing that a switch would fail for, "" where there is none. Raises nothing that the world could cause."""
    try:
        return no_room(settings, plan) or nobody_listens(plan) or sync_is_not_there(settings, plan)
    except OpsError as error:
        return f"{error.message} {error.remedy}"


def no_room(settings: Settings, plan: Plan) -> str:
    """Both the log and the map have to be written while stores are closed."""
    for what, folder in (("state.db", settings.state_dir), ("the map of routes", plan.path(plan.publish.routes).parent)):
        free = free_bytes(folder)
        if free is not None and free < LEAST_FREE:
            return f"The disk of {what} has {free // 2**20} MiB left and needs {LEAST_FREE // 2**20}: free some room in {folder}."
    return ""


def free_bytes(folder: Path) -> int | None:
    """What this user may still write there; None for a folder that does not exist, which the next step will say better."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize


def nobody_listens(plan: Plan) -> str:
    """Applications have to acknowledge the map, where the plan says that they do."""
    if plan.publish.acknowledge == "instances":
        require_instances(read_acks(plan.path(plan.publish.acks)), plan.publish.instances, datetime.now(UTC))
    return ""


def sync_is_not_there(settings: Settings, plan: Plan) -> str:
    """What was written last has to arrive on the other side while the store is closed. Asked of the target as the gate does."""
    if not plan.gates.lag.enabled:
        return ""
    answer = check_lag(plan.gates.lag, read_sync_facts(settings.target), plan.gates.clock_allowance_s)
    return "" if answer.verdict is Verdict.PASS else f"Sync is not ready: {answer.evidence}. Look: membershift sync status."
