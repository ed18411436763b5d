"""What can happen to a release. Every change of its state is one of these, written down before it is carried out.

An event holds only what the next state is made of, and the evidence: it can be read years later without the program's settings.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar, Final

from migrations.release.model import Route, Step

EVENTS: Final[dict[str, type[Event]]] = {}


@dataclass(frozen=True)
class Event:
    """One thing that happened. `kind` is its name in the log."""

    kind: ClassVar[str] = ""

    def __init_subclass__(cls) -> None:
        """Every event is known by its kind."""
        EVENTS[cls.kind] = cls


@dataclass(frozen=True)
class Planned(Event):
    """A release was planned. `routes`: where every store is now, those of no wave too; `digest`: of release.toml."""

    kind: ClassVar[str] = "planned"
    release: str
    waves: tuple[tuple[str, ...], ...]
    routes: Mapping[str, Route]
    digest: str = ""


@dataclass(frozen=True)
class Started(Event):
    """It may move stores from now on; also after it was rolled back."""

    kind: ClassVar[str] = "started"


@dataclass(frozen=True)
class Paused(Event):
    """No new switch begins; one that is under way is finished. Triggers are watched on."""

    kind: ClassVar[str] = "paused"
    reason: str = ""


@dataclass(frozen=True)
class Resumed(Event):
    """It goes on."""

    kind: ClassVar[str] = "resumed"


@dataclass(frozen=True)
class WaveBegun(Event):
    """The next wave's stores may move."""

    kind: ClassVar[str] = "wave_begun"
    wave: int


@dataclass(frozen=True)
class SwitchBegun(Event):
    """These stores are on their way. `rescue`: without waiting for a database that does not answer."""

    kind: ClassVar[str] = "switch_begun"
    stores: tuple[str, ...]
    to: Route
    rescue: bool = False


@dataclass(frozen=True)
class Routed(Event):
    """The map of a routing step was decided on; publishing comes after this is on disk, so that it can be done again."""

    kind: ClassVar[str] = "routed"
    step: Step


@dataclass(frozen=True)
class StepDone(Event):
    """A step of the switch is behind the stores. `evidence`: figures that somebody may want to see later."""

    kind: ClassVar[str] = "step_done"
    step: Step
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SwitchFailed(Event):
    """A step failed: the old routes are put back, as one map."""

    kind: ClassVar[str] = "switch_failed"
    step: Step
    reason: str
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SwitchDone(Event):
    """All steps are behind the stores."""

    kind: ClassVar[str] = "switch_done"


@dataclass(frozen=True)
class WindowJudged(Event):
    """The gates at the end of a window. `window`: when it began (UTC); `verdict`: PASS, FAIL or UNKNOWN of all together."""

    kind: ClassVar[str] = "window_judged"
    window: str
    verdict: str
    gates: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class MinuteJudged(Event):
    """The trigger's figures of one minute. `verdict`: BAD, GOOD or UNKNOWN, which holds the streak."""

    kind: ClassVar[str] = "minute_judged"
    minute: str
    verdict: str
    figures: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Approved(Event):
    """Somebody agrees that a wave begins."""

    kind: ClassVar[str] = "approved"
    wave: int
    by: str


@dataclass(frozen=True)
class Forced(Event):
    """Somebody overrules a gate, or `bake` or `windows`, for the rest of the release: for every wave that is left."""

    kind: ClassVar[str] = "forced"
    gate: str
    reason: str
    by: str


@dataclass(frozen=True)
class Promoted(Event):
    """A wave is through: the next one may begin."""

    kind: ClassVar[str] = "promoted"
    wave: int
    by: str = ""


@dataclass(frozen=True)
class RollbackBegun(Event):
    """Stores go back, by themselves (`by` is the trigger) or because somebody said so."""

    kind: ClassVar[str] = "rollback_begun"
    stores: tuple[str, ...]
    reason: str
    by: str
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RolledBack(Event):
    """All stores that were to go back take their writes on the legacy side again. `left`: stores of the release that stay on
    TiDB; while there are any the release is paused, so that they are watched on."""

    kind: ClassVar[str] = "rolled_back"
    left: tuple[str, ...] = ()


@dataclass(frozen=True)
class Aborted(Event):
    """The release is given up; no store of it is on TiDB."""

    kind: ClassVar[str] = "aborted"
    reason: str = ""


@dataclass(frozen=True)
class CompletionAsked(Event):
    """Somebody wants every store to be complete. Whoever carries the release out does it; see COMPLETION_LAPSES."""

    kind: ClassVar[str] = "completion_asked"
    by: str


@dataclass(frozen=True)
class Completed(Event):
    """Every store of the release is complete."""

    kind: ClassVar[str] = "completed"


COMPLETION_LAPSES: Final = (Planned, Started, Paused, Resumed, SwitchFailed, RollbackBegun, Completed)
"""After one of these an order to complete counts no more: what stood in its way is for people, who give it anew."""


def write_event(event: Event) -> str:
    """As one line of JSON, keys in order: the same event gives the same bytes.

    >>> write_event(WaveBegun(1)), read_event("wave_begun", '{"wave": 1}')
    ('{"wave": 1}', WaveBegun(wave=1))
    """
    return json.dumps(asdict(event), sort_keys=True, ensure_ascii=False, default=str)


def read_event(kind: str, text: str) -> Event:
    """The event of a line. Raises ValueError for a kind or a field that this version does not know."""
    if kind not in EVENTS:
        raise ValueError(f"unknown event {kind!r}: it was written by a newer version")
    cls, values = EVENTS[kind], json.loads(text)
    unknown = set(values) - {one.name for one in fields(cls)}
    if unknown:
        raise ValueError(f"event {kind!r} has fields that this version does not know: {', '.join(sorted(unknown))}")
    return cls(**{name: revived(name, value) for name, value in values.items()})


def revived(name: str, value: Any) -> Any:
    """A field as the event has it: JSON knows neither tuples nor routes."""
    if name == "waves":
        return tuple(tuple(wave) for wave in value)
    if name in ("stores", "left"):
        return tuple(value)
    if name == "routes":
        return {store: Route(route) for store, route in value.items()}
    return Route(value) if name == "to" else value
