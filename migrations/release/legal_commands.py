"""What people may do with a release now, as commands: what a refusal lists, and `release status`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from migrations.release.event_log import EventLog
from migrations.release.events import Event
from migrations.release.legal import legal_kinds
from migrations.release.machine import IllegalEvent
from migrations.release.model import Phase, ReleaseState, Route, writes_to

COMMANDS: Final[Mapping[str, str]] = {
    "planned": "release plan --execute",
    "started": "release start",
    "paused": "release pause",
    "resumed": "release resume",
    "promoted": "release promote",
    "approved": "release approve",
    "forced": "release force",
    "rollback_begun": "release rollback",
    "aborted": "release abort",
    "completion_asked": "release complete",
}
ALWAYS: Final = ("release status", "release check", "release history")


def legal_commands(state: ReleaseState) -> tuple[str, ...]:
    """In the order of the story."""
    kinds = set(legal_kinds(state))
    if state.waves and state.phase in (Phase.RUNNING, Phase.PAUSED):
        kinds.add("aborted")  # it brings the stores back first
    if not state.waves:
        kinds -= {"started", "approved", "forced", "aborted"}
    if state.phase is Phase.ROLLED_BACK and moved_of(state):
        kinds.add("rollback_begun")
    found = [command for kind, command in COMMANDS.items() if kind in kinds and fits(kind, state)]
    if state.phase in (Phase.RUNNING, Phase.PAUSED, Phase.ROLLING_BACK):
        found.insert(0, "release run")
    return tuple(found)


def fits(kind: str, state: ReleaseState) -> bool:
    """Whether it would change anything: legal_kinds() looks at kinds only."""
    match kind:
        case "promoted":
            return state.wave is not None and state.wave not in state.promoted and state.moved_in(state.wave)
        case "rollback_begun":
            return bool(moved_of(state)) or state.switch is not None
        case "completion_asked":
            return bool(state.waves) and state.promoted == frozenset(range(len(state.waves)))
        case "approved":
            return bool(state.waves) and not (state.is_last_wave and state.wave in state.promoted)
    return True


def moved_of(state: ReleaseState) -> tuple[str, ...]:
    """Stores of the release whose writes do not go to SQL Server and that can come back."""
    return tuple(
        sorted(
            store
            for store, where in state.stores.items()
            if where.wave is not None and where.route is not Route.COMPLETE and writes_to(where.route) != "legacy"
        )
    )


def decide(log: EventLog, event: Event) -> ReleaseState:
    """Write a person's decision down. Raises IllegalEvent, which lists the commands that are legal instead."""
    try:
        return log.append(event)
    except IllegalEvent as error:
        legal = ", ".join((*legal_commands(log.state), *ALWAYS))
        what = COMMANDS.get(event.kind, event.kind)
        message = error.message.replace(repr(event.kind), what) if log.state.waves else f"{what}: no release is planned."
        raise IllegalEvent(message, f"Possible now: {legal}.") from error
