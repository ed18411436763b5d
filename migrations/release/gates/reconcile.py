"""Gate: rows and invariants of all tables were compared not long ago, and nothing differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeGuard

from etl.errors import ConfigurationError
from etl.records import RECONCILE_INVARIANTS, RECONCILE_ROWS, Record, read_record, time_of
from migrations.release.figures import Limits, Verdict, age_of, count, distrust
from migrations.release.gates.base import Answer, joined, unknown
from migrations.release.gates.sync_facts import SyncFacts
from migrations.release.plan_gates import ReconcileGate

LIMIT: Final = "0 differences"
ROWS: Final = "membershift reconcile rows"
INVARIANTS: Final = "membershift reconcile invariants"
REPAIR: Final = "membershift reconcile repair, then membershift reconcile rows"


def check_reconcile(gate: ReconcileGate, state_dir: Path, sync: SyncFacts | None, allowance_s: float, now: datetime) -> Answer:
    """What `reconcile` recorded; what the background check of sync finds meanwhile counts against it (`sync`, None unknown)."""
    limits = Limits(gate.max_age_s, allowance_s)
    answers = [judge_rows(state_dir, limits, now)]
    if gate.invariants:
        answers.append(judge_invariants(state_dir, limits, now))
    if sync is not None and sync.differing:
        why = f"the background check of sync found {sync.differing} rows that differ"
        answers.append(Answer("reconcile", Verdict.FAIL, float(sync.differing), LIMIT, None, why, ROWS))
    return worst(answers)


def judge_rows(state_dir: Path, limits: Limits, now: datetime) -> Answer:
    """All tables of the mapping, each as old as its last comparison."""
    try:
        record = read_record(state_dir, RECONCILE_ROWS)
    except ConfigurationError as error:
        return unknown("reconcile", LIMIT, error.message, ROWS)
    if record is None:
        return unknown("reconcile", LIMIT, "rows have not been compared yet", ROWS)
    tables, wanted = record.body.get("tables"), record.body.get("all")
    if not isinstance(tables, Mapping) or not is_names(wanted):
        return unknown("reconcile", LIMIT, "the record of the last comparison cannot be understood", ROWS)
    differing = {name: differing_of(tables.get(name)) for name in [*wanted, *(set(tables) - set(wanted))]}
    missing = sorted(str(name) for name, number in differing.items() if number is None)
    if missing:
        return unknown("reconcile", LIMIT, f"rows of {', '.join(missing[:5])} have not been compared", ROWS)
    ages = [age_of(time_of(tables[name].get("at")), now) for name in differing]
    total = sum(number or 0 for number in differing.values())
    told = f"{total:.0f} rows differ in {len(differing)} tables"
    return judge_count(total, told, ages, limits, ROWS, REPAIR)


def is_names(wanted: object) -> TypeGuard[list[str]]:
    """Whether it is a list of names, and not an empty one."""
    return isinstance(wanted, list) and bool(wanted) and all(isinstance(name, str) for name in wanted)


def differing_of(table: Any) -> float | None:
    """How many rows of a table differ; None where nobody knows."""
    return count(table.get("differing")) if isinstance(table, Mapping) else None


def judge_invariants(state_dir: Path, limits: Limits, now: datetime) -> Answer:
    """The last check of all of them."""
    try:
        record: Record | None = read_record(state_dir, RECONCILE_INVARIANTS)
    except ConfigurationError as error:
        return unknown("reconcile", LIMIT, error.message, INVARIANTS)
    if record is None:
        return unknown("reconcile", LIMIT, "invariants have not been checked yet", INVARIANTS)
    checked, differing = count(record.body.get("checked")), record.body.get("differing")
    if not checked or not isinstance(differing, list):
        return unknown("reconcile", LIMIT, "the record of the last check of invariants says nothing", INVARIANTS)
    told = f"{len(differing)} of {checked:.0f} invariants differ"
    if differing:
        told = f"{len(differing)} of {checked:.0f} invariants differ: {', '.join(str(name) for name in differing[:5])}"
    return judge_count(len(differing), told, [age_of(record.at, now)], limits, INVARIANTS, INVARIANTS)


def judge_count(total: float, told: str, ages: Sequence[float | None], limits: Limits, again: str, repair: str) -> Answer:
    """Nothing may differ, and nothing be too old: the oldest counts, or one that is from the future."""
    known = [age for age in ages if age is not None]
    age_s = None if len(known) < len(ages) or not known else min(known) if min(known) < 0 else max(known)
    doubt = distrust(age_s, limits)
    if total:
        return Answer("reconcile", Verdict.FAIL, total, LIMIT, age_s, told, repair)
    if doubt:
        return Answer("reconcile", Verdict.UNKNOWN, total, LIMIT, age_s, joined(told, doubt), again)
    return Answer("reconcile", Verdict.PASS, total, LIMIT, age_s, told, "")


def worst(answers: Sequence[Answer]) -> Answer:
    """The one that somebody has to look at first; where all pass, the oldest, with the evidence of all."""
    for verdict in (Verdict.FAIL, Verdict.UNKNOWN):
        found = next((answer for answer in answers if answer.verdict is verdict), None)
        if found is not None:
            return found
    oldest = max(answers, key=lambda answer: answer.age_s or 0.0)
    told = joined(*(answer.evidence for answer in answers))
    return Answer("reconcile", Verdict.PASS, oldest.figure, LIMIT, oldest.age_s, told, "")
