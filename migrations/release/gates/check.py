"""Ask every gate of a wave. A gate whose source fails answers UNKNOWN: it neither stops the others nor lets the wave pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from etl.errors import ConfigurationError, OpsError
from migrations.release.gates.availability import check_availability, stores_of
from migrations.release.gates.base import GATES, Answer, GateName, force, unknown
from migrations.release.gates.critical_tests import check_critical_tests
from migrations.release.gates.loadtest import check_loadtest
from migrations.release.gates.people import NO_RED, check_alerts, check_approvals
from migrations.release.gates.reconcile import check_reconcile
from migrations.release.gates.sync_facts import SyncFacts
from migrations.release.gates.sync_lag import check_lag
from migrations.release.gates.training import check_training
from migrations.release.metrics.base import MetricsSource
from migrations.release.model import ReleaseState
from migrations.release.plan import Plan

AGAIN: Final = "membershift release check"


@dataclass(frozen=True)
class Sources:
    """Where the gates get their figures. `sync`: sync as it is on the target (read_sync_facts). `open_red`: what each open red
    alert says; None where there is nobody to ask. Both may raise OpsError. `state_dir` holds what other commands recorded."""

    metrics: MetricsSource
    sync: Callable[[], SyncFacts]
    state_dir: Path
    open_red: Callable[[], Sequence[str]] | None = None


def check_gates(plan: Plan, wave: int, sources: Sources, state: ReleaseState, now: datetime) -> tuple[Answer, ...]:
    """The answers of all gates that the plan has for a wave (from 0), in one order. `now` is aware. Before the release is planned
    a wave has no stores, and the gates that are about its stores say so.

    Those that somebody overruled are marked so, and count as passed. Raises nothing that a source could cause.
    """
    gates = plan.gates_of(wave)
    overruled = {gate: (reason, by) for gate, reason, by in state.forced}
    sync = attempt(sources.sync) if gates.lag.enabled or gates.reconcile.enabled else None
    asked = askers(plan, wave, sources, sync, state, now)
    answers = (ask(name, asked[name]) for name in GATES if getattr(gates, name).enabled)
    return tuple(force(answer, *overruled[answer.gate]) if answer.gate in overruled else answer for answer in answers)


def askers(
    plan: Plan, wave: int, sources: Sources, sync: SyncFacts | OpsError | None, state: ReleaseState, now: datetime
) -> Mapping[GateName, Callable[[], Answer]]:
    """How each gate is asked."""
    gates = plan.gates_of(wave)
    allowance_s, facts = gates.clock_allowance_s, sync if isinstance(sync, SyncFacts) else None
    tests, training = (None if one.file is None else plan.path(one.file) for one in (gates.tests, gates.training))
    return {
        "availability": lambda: check_availability(gates.availability, sources.metrics, state, wave, allowance_s, now),
        "tests": lambda: check_critical_tests(gates.tests, tests, allowance_s, now),
        "training": lambda: check_training(gates.training, training, stores_of(state, wave), allowance_s, now),
        "reconcile": lambda: check_reconcile(gates.reconcile, sources.state_dir, facts, allowance_s, now),
        "lag": lambda: check_lag(gates.lag, known(sync), allowance_s),
        "loadtest": lambda: check_loadtest(gates.loadtest, sources.state_dir, allowance_s, now),
        "alerts": lambda: ask_alerts(sources),
        "approvals": lambda: check_approvals(state, wave, plan.waves[wave].approvals, plan.roles),
    }


def ask(gate: GateName, asker: Callable[[], Answer]) -> Answer:
    """A gate's answer; UNKNOWN where its source failed."""
    try:
        return asker()
    except OpsError as error:
        return unknown(gate, "", error.message, error.remedy)


def ask_alerts(sources: Sources) -> Answer:
    """Of whoever keeps them."""
    if sources.open_red is None:
        return unknown("alerts", NO_RED, "nobody was there to be asked for alerts", AGAIN)
    return check_alerts(sources.open_red())


def attempt(sync: Callable[[], SyncFacts]) -> SyncFacts | OpsError:
    """What is known of sync, or why nothing is: a target that is away is asked once, not by every gate."""
    try:
        return sync()
    except OpsError as error:
        return error


def known(sync: SyncFacts | OpsError | None) -> SyncFacts:
    """Raises OpsError for what was not found out."""
    if isinstance(sync, SyncFacts):
        return sync
    raise sync or ConfigurationError("sync was not asked", AGAIN)
