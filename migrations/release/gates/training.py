"""Gate: the people of the wave's stores are trained."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from migrations.release.figures import Limits
from migrations.release.gates.base import Answer, Proof, joined, judge_share, percent, unknown
from migrations.release.gates.staff import BadStaff, Staff, read_staff, weakest
from migrations.release.plan_gates import TrainingGate

SET_FILE: Final = "set [gates.training] file in release.toml, or enabled = false"
SHOWN: Final = 5


def check_training(gate: TrainingGate, path: Path | None, stores: Sequence[str], allowance_s: float, now: datetime) -> Answer:
    """Trained staff of `stores`: the store with the smallest share counts, or all together, as the plan says."""
    limit = f">= {percent(gate.minimum)}"
    if path is None:
        return unknown("training", limit, "no file of trained staff is named", SET_FILE)
    remedy = f"train the staff of these stores, and put the new list at {path}"
    try:
        with path.open("rb") as file:
            written = datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, UTC)
            staff = read_staff(path.name, file.read(), gate)
    except OSError as error:
        return unknown("training", limit, f"{path} cannot be read: {error.strerror}", remedy)
    except BadStaff as error:
        return unknown("training", limit, f"{path.name} cannot be used: {error}", remedy)
    missing = [store for store in stores if store not in staff or not staff[store].people]
    if missing or not stores:
        why = f"{path.name} has no staff of {len(missing)} stores: {listed(missing)}" if missing else "the wave has no stores"
        return unknown("training", limit, why, remedy)
    proof = Proof(*figure_of(gate, staff, stores, path.name, written))
    return judge_share("training", proof, gate.minimum, Limits(gate.max_age_s, allowance_s), remedy, now)


def figure_of(
    gate: TrainingGate, staff: dict[str, Staff], stores: Sequence[str], name: str, written: datetime
) -> tuple[float, datetime, str]:
    """The share that counts, its time, and what it rests on."""
    trained, people = sum(staff[store].trained for store in stores), sum(staff[store].people for store in stores)
    told = f"{trained:.0f} of {people:.0f} people of {len(stores)} stores are trained ({name})"
    if gate.by == "wave":
        return trained / people, written, told
    below = [store for store in weakest(staff, stores) if staff[store].share < gate.minimum]
    low = f"{len(below)} stores are below {percent(gate.minimum)}: {listed(below)}" if below else ""
    return min(staff[store].share for store in stores), written, joined(told, low)


def listed(stores: Sequence[str]) -> str:
    """The first of them."""
    return ", ".join(stores[:SHOWN]) + ("..." if len(stores) > SHOWN else "")
