"""What a release is, as data: routes, switches, and the state that the events so far have led to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal


class Route(StrEnum):
    """Where a store's writes go. Applications read these words in the published map.

    legacy: SQL Server; TiDB follows. shadow: the same, and reads are also sent to TiDB and compared. fenced: nobody writes, for
    seconds. tidb: TiDB; SQL Server follows. complete: TiDB, with no way back.
    """

    LEGACY = "legacy"
    SHADOW = "shadow"
    FENCED = "fenced"
    TIDB = "tidb"
    COMPLETE = "complete"


class Phase(StrEnum):
    """Of the whole release. `aborted` and `completed` are final; from `rolled_back` it may be started again."""

    PLANNED = "planned"
    RUNNING = "running"
    PAUSED = "paused"
    ROLLING_BACK = "rolling_back"
    ROLLED_BACK = "rolled_back"
    COMPLETED = "completed"
    ABORTED = "aborted"


FINAL: Final = frozenset({Phase.COMPLETED, Phase.ABORTED})

Step = Literal[
    "snapshot", "compare", "fence", "acknowledge", "drain", "reconcile", "publish", "follow", "probe", "count", "check"
]

MOVE: Final[tuple[Step, ...]] = (
    *("snapshot", "compare"),
    *("fence", "acknowledge", "drain", "reconcile", "publish"),
    *("follow", "probe"),
)
"""Writes move to the other database. The first two happen while stores sell: what `compare` compared, `reconcile` need not while
they are closed. `follow` waits until applications know the new route, `probe` writes and reads there."""
RELABEL: Final[tuple[Step, ...]] = ("publish", "follow")
"""Writes stay where they are: between legacy and shadow."""
RESCUE: Final[tuple[Step, ...]] = ("publish", "count")
"""Back to a database that lives, without waiting for one that does not: `count` tells what had not come back."""
FINISH: Final[tuple[Step, ...]] = ("check", "publish", "follow")

ROUTING: Final[Mapping[Step, str]] = {"fence": "fenced", "publish": "to"}
"""Steps that change the published map."""


def writes_to(route: Route) -> Literal["legacy", "tidb", "nobody"]:
    """The database that takes a store's writes.

    >>> writes_to(Route.SHADOW), writes_to(Route.COMPLETE), writes_to(Route.FENCED)
    ('legacy', 'tidb', 'nobody')
    """
    if route is Route.FENCED:
        return "nobody"
    return "legacy" if route in (Route.LEGACY, Route.SHADOW) else "tidb"


def steps_of(before: Route, to: Route, *, rescue: bool = False) -> tuple[Step, ...]:
    """The steps of a switch, in order. Raises ValueError for one that does not exist.

    >>> steps_of(Route.LEGACY, Route.SHADOW)
    ('publish', 'follow')
    >>> steps_of(Route.TIDB, Route.LEGACY)[:3], steps_of(Route.TIDB, Route.LEGACY, rescue=True)
    (('snapshot', 'compare', 'fence'), ('publish', 'count'))
    """
    if rescue and to is Route.LEGACY and before in (Route.TIDB, Route.FENCED):
        return RESCUE
    if before is Route.TIDB and to is Route.COMPLETE:
        return FINISH
    pair = {before, to}
    if pair == {Route.LEGACY, Route.SHADOW}:
        return RELABEL
    if (before, to) in {(Route.LEGACY, Route.TIDB), (Route.SHADOW, Route.TIDB), (Route.TIDB, Route.LEGACY)}:
        return MOVE
    raise ValueError(f"there is no switch from {before} to {to}")


@dataclass(frozen=True)
class StoreRoute:
    """Where a store is. `epoch`: the sequence number of the map in which its route changed last. `wave`: counted from 0, None for
    a store that the release leaves alone."""

    route: Route
    epoch: int
    wave: int | None


@dataclass(frozen=True)
class Switch:
    """Stores on their way. `before`: the route that each comes back to when a step fails. `done`: steps that are behind them.
    `routed`: the routing step whose map is in the state, and may or may not be published yet."""

    stores: tuple[str, ...]
    before: Mapping[str, Route]
    to: Route
    steps: tuple[Step, ...]
    done: tuple[Step, ...] = ()
    routed: Step | None = None

    @property
    def next_step(self) -> Step | None:
        """What comes next; None when all is done."""
        return self.steps[len(self.done)] if len(self.done) < len(self.steps) else None


@dataclass(frozen=True)
class ReleaseState:
    """Everything that the events so far say. `sequence`: of the newest map that was decided on; it only grows, over all releases.
    `wave`: the one under way, None before the first. `promoted`: waves that are through. `passes`: windows passed in a row.
    `bad_minutes`: minutes in a row above the trigger's limit. `approvals`: who approved which wave. `forced`: gates that somebody
    overruled, shown for ever. `sick`: why stores go or went back; `going_back`: which ones, while they do."""

    release: str = ""
    digest: str = ""
    phase: Phase = Phase.PLANNED
    events: int = 0
    sequence: int = 0
    waves: tuple[tuple[str, ...], ...] = ()
    stores: Mapping[str, StoreRoute] = field(default_factory=dict)
    wave: int | None = None
    promoted: frozenset[int] = frozenset()
    switch: Switch | None = None
    passes: int = 0
    last_window: str = ""
    bad_minutes: int = 0
    last_minute: str = ""
    approvals: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    forced: tuple[tuple[str, str, str], ...] = ()
    sick: str = ""
    going_back: tuple[str, ...] = ()

    def on(self, *routes: Route) -> tuple[str, ...]:
        """The stores with one of these routes, in order."""
        return tuple(sorted(store for store, where in self.stores.items() if where.route in routes))

    @property
    def is_last_wave(self) -> bool:
        """Whether no wave comes after the one under way."""
        return self.wave is not None and self.wave == len(self.waves) - 1

    def moved_in(self, wave: int) -> bool:
        """Whether all stores of a wave take their writes on TiDB."""
        return all(writes_to(self.stores[store].route) == "tidb" for store in self.waves[wave])
