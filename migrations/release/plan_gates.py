"""[gates.*] of release.toml: what a wave has to prove, and how old a proof may be."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from etl.settings import Section

Share = Annotated[float, Field(gt=0, le=1)]
Wait = Annotated[float, Field(ge=0, le=30 * 86_400)]
Age = Annotated[float, Field(gt=0, le=400 * 86_400)]

DAY_S: Final = 86_400.0


class GateSettings(Section):
    """Of every gate. `enabled = false`: it is not asked. In those below, `max_age_s`: an older figure counts as none."""

    enabled: bool = True


class AvailabilityGate(GateSettings):
    """Requests without an error, of the last `window_s` seconds; of fewer than `min_requests` nothing can be said."""

    minimum: Share = 0.999
    window_s: float = Field(default=300.0, ge=60, le=86_400)
    min_requests: int = Field(default=100, ge=1)
    max_age_s: Age = 120.0


class CriticalTestsGate(GateSettings):
    """Critical tests that passed, of those in a JUnit `file`. A skipped one has not passed."""

    file: Path | None = None
    minimum: Share = 1.0
    max_age_s: Age = DAY_S


class TrainingGate(GateSettings):
    """Trained staff in a CSV or Excel `file`: in each store of the wave (`by = "store"`) or in all together.

    `store` and `trained` are column names. With `staff` each row is a store, and both `staff` and `trained` are counts; without
    it each row is a person, and `trained` says yes or no.
    """

    file: Path | None = None
    sheet: str | None = None
    store: str = "store"
    trained: str = "trained"
    staff: str | None = None
    minimum: Share = 0.90
    by: Literal["store", "wave"] = "store"
    max_age_s: Age = 30 * DAY_S


class ReconcileGate(GateSettings):
    """Rows and invariants of all tables compared, with nothing differing. `invariants = false`: rows are enough."""

    invariants: bool = True
    max_age_s: Age = DAY_S


class LagGate(GateSettings):
    """Sync at work, and no stream further behind than `limit_s`. `max_age_s` is that of its sign of life."""

    limit_s: float = Field(default=5.0, gt=0, le=86_400)
    max_age_s: Age = 15.0


class LoadTestGate(GateSettings):
    """A load test that held `rate` transactions a second (None: the rate it was meant to hold)."""

    rate: float | None = Field(default=None, gt=0)
    max_age_s: Age = 7 * DAY_S


class GatesSettings(Section):
    """All gates. `clock_allowance_s`: how far a figure's time may be ahead of ours before it is from the future."""

    clock_allowance_s: float = Field(default=5.0, ge=0, le=300)
    availability: AvailabilityGate = AvailabilityGate()
    tests: CriticalTestsGate = CriticalTestsGate()
    training: TrainingGate = TrainingGate()
    reconcile: ReconcileGate = ReconcileGate()
    lag: LagGate = LagGate()
    loadtest: LoadTestGate = LoadTestGate()
    alerts: GateSettings = GateSettings()
    approvals: GateSettings = GateSettings()


def merge_gates(common: GatesSettings, own: GatesSettings) -> GatesSettings:
    """What stands in `own` instead of what `common` says; the rest as in `common`.

    >>> merge_gates(GatesSettings(lag=LagGate(limit_s=9)), GatesSettings(lag=LagGate(max_age_s=3))).lag.limit_s
    9.0
    """
    return GatesSettings.model_validate(merged(common.model_dump(exclude_unset=True), own.model_dump(exclude_unset=True)))


def merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Tables are merged, values replaced."""
    both = {
        name: merged(below[name], value) if isinstance(value, dict) and isinstance(below.get(name), dict) else value
        for name, value in above.items()
    }
    return below | both
