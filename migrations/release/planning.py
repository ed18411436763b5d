"""Draw a release before anything is decided: which stores move when, what each wave has to prove, and what sends it back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from etl.errors import RefusedError
from etl.settings import Settings
from migrations.release.client.routes import read_map
from migrations.release.event_log import open_event_log
from migrations.release.events import Planned, Started
from migrations.release.gates.base import GATES
from migrations.release.legal_commands import decide
from migrations.release.model import ReleaseState, Route, writes_to
from migrations.release.plan import Plan
from migrations.release.plan_gates import GatesSettings
from migrations.release.switch_hours import Opening, look_at
from migrations.release.waves import resolve_waves
from migrations.release.who import require_role


@dataclass(frozen=True)
class WaveDrawn:
    """A wave with its stores. `least_s`: how long it takes at least, without the switches. `gates`: those that are asked."""

    name: str
    stores: tuple[str, ...]
    batch: int
    shadow_s: float
    bake_s: float
    approvals: int
    by_itself: bool
    least_s: float
    gates: tuple[str, ...]


@dataclass(frozen=True)
class PlanDrawn:
    """`left`: stores in no wave; `moved`: those that write to TiDB already. `opening`: whether a switch may happen now.
    `warnings`: what would keep the release from moving, or from going back by itself. `planned`: it was written down."""

    release: str
    origin: str
    waves: tuple[WaveDrawn, ...]
    left: tuple[str, ...]
    moved: tuple[str, ...]
    opening: Opening
    triggers: Mapping[str, str]
    metrics: str
    warnings: tuple[str, ...]
    planned: bool

    @property
    def least_s(self) -> float:
        """How long the whole takes at least."""
        return sum(wave.least_s for wave in self.waves)


def plan_release(settings: Settings, plan: Plan, *, execute: bool = False) -> PlanDrawn:
    """The release that release.toml describes, with the stores that the target has; with `execute` it is written down.

    Raises ConfigurationError for a plan that does not fit the stores, TargetError, RefusedError while a release is under way.
    """
    with open_event_log(settings.state_dir) as log:
        known = routes_known(log.state, plan)
        moved = tuple(sorted(store for store, route in known.items() if writes_to(route) == "tidb"))
        found = resolve_waves(plan, settings.target, moved)
        stores = [*(store for wave in found.waves for store in wave), *found.left, *moved]
        if execute:
            require_role(plan, "operator")
            routes = known | {store: known.get(store, Route.LEGACY) for store in stores}
            refuse_fenced(routes)
            decide(log, Planned(plan.name, found.waves, routes, plan.digest))
    waves = tuple(draw_wave(plan, number, names) for number, names in enumerate(found.waves))
    opening = look_at(plan.windows.opening, datetime.now(UTC))
    return PlanDrawn(
        plan.name,
        plan.origin.name,
        waves,
        tuple(store for store in found.left if store not in moved),
        moved,
        opening,
        draw_triggers(plan),
        plan.metrics.source or "",
        warnings_of(plan),
        execute,
    )


def routes_known(state: ReleaseState, plan: Plan) -> dict[str, Route]:
    """Where every store is: the log knows it; of stores that it does not know, the map that is out. Damage of the map says
    nothing here: publishing will."""
    try:
        published = read_map(plan.path(plan.publish.routes).read_bytes()).stores
    except (OSError, ValueError):
        published = {}
    of_map = {store: Route(entry.route) for store, entry in published.items()}
    return of_map | {store: where.route for store, where in state.stores.items()}


def refuse_fenced(routes: Mapping[str, Route]) -> None:
    """A store that is closed is in somebody's hands."""
    fenced = sorted(store for store, route in routes.items() if route is Route.FENCED)
    if fenced:
        raise RefusedError(
            f"Store {fenced[0]} is closed for writes in the published map.",
            "Finish the release that closed it, in the state folder that it was run from: membershift release run",
        )


def draw_wave(plan: Plan, number: int, stores: tuple[str, ...]) -> WaveDrawn:
    """One wave as it would go."""
    wave, promotion = plan.waves[number], plan.promotion
    least_s = wave.shadow_s + max(wave.bake_s, promotion.windows * promotion.window_s)
    asked = gates_asked(plan.gates_of(number))
    return WaveDrawn(wave.name, stores, wave.batch, wave.shadow_s, wave.bake_s, wave.approvals, wave.by_itself, least_s, asked)


def gates_asked(gates: GatesSettings) -> tuple[str, ...]:
    """Names of the gates that are not switched off."""
    return tuple(name for name in GATES if getattr(gates, name).enabled)


def draw_triggers(plan: Plan) -> dict[str, str]:
    """What sends stores back, by name; those that are not watched are left out."""
    triggers = plan.triggers
    drawn = {
        "error_rate": f"> {triggers.error_rate:.6g} for {triggers.minutes} min",
        "fast_burn": f">= {triggers.fast_burn:.6g} and >= {triggers.fast_burn_errors} errors in 1 min",
    }
    if triggers.latency_p99_s is not None:
        drawn["latency_p99_s"] = f"> {triggers.latency_p99_s:g} s for {triggers.minutes} min"
    if triggers.conflicts is not None:
        drawn["conflicts"] = f"> {triggers.conflicts} in 1 min"
    if triggers.dead_letters is not None:
        drawn["dead_letters"] = f"> {triggers.dead_letters} in 1 min"
    if triggers.invariants:
        drawn["invariant"] = "broken"
    drawn["blind"] = f"{triggers.blind_s:g} s: {triggers.on_blind}"
    return drawn


def warnings_of(plan: Plan) -> tuple[str, ...]:
    """What somebody who reads the plan should not find out later."""
    found = []
    if plan.metrics.source is None:
        found.append("No source of figures is named: no wave is promoted by itself, and errors send no store back.")
    if plan.publish.acknowledge == "none":
        found.append("Applications do not acknowledge maps: nobody knows when an old route is left.")
    if not plan.alerts.receivers("red", 0):
        found.append("Nobody is told of alerts.")
    return tuple(found)


def start_release(settings: Settings, plan: Plan) -> ReleaseState:
    """The planned release may move stores from now on. Raises RefusedError where the plan was changed since, or nothing is
    planned."""
    require_role(plan, "operator")
    with open_event_log(settings.state_dir) as log:
        if log.state.waves and log.state.digest != plan.digest:
            raise RefusedError(
                f"{plan.origin.name} was changed since release {log.state.release} was planned.",
                "Put it back, or plan again: membershift release plan --execute",
            )
        return decide(log, Started())
