"""Carry a switch out, a step at a time, from wherever the log says it is. Each step is written down once it is done.

Killed anywhere, it goes on with the step that was not written down: every step may be done twice. A step that fails puts the old
routes back in one map, so that no store stays closed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from etl.errors import OpsError, RefusedError
from migrations.release.event_log import EventLog
from migrations.release.events import Routed, StepDone, SwitchDone, SwitchFailed
from migrations.release.model import ROUTING, Phase, ReleaseState, Route, Step, Switch

Evidence = Mapping[str, Any]
Do = Callable[[Switch], Evidence]


@dataclass(frozen=True)
class Ports:
    """What a switch does to the world. Each returns evidence (plain values, no personal data) or raises OpsError.

    publish: the map of a state to everybody who reads it; done already is no harm. acknowledge: wait until every application
    instance holds the state's map, or may not write any more. The others: a step each.
    """

    publish: Callable[[ReleaseState], Evidence]
    acknowledge: Callable[[ReleaseState], Evidence]
    snapshot: Do
    compare: Do
    drain: Do
    reconcile: Do
    probe: Do
    count: Do
    check: Do


class SwitchRefused(RefusedError):
    """A step failed and the old routes are back."""

    def __init__(self, step: Step, switch: Switch, error: OpsError) -> None:
        stores = f"{len(switch.stores)} stores" if len(switch.stores) > 1 else f"store {switch.stores[0]}"
        super().__init__(f"The switch of {stores} to {switch.to} failed at {step!r}: {error.message}", error.remedy)
        self.step = step


STOPPED: Final = RefusedError("Stores are going back.", "Look: membershift release watch")


def carry_out(log: EventLog, ports: Ports, step_began: Callable[[Step], None] = lambda step: None) -> ReleaseState:
    """Finish the switch under way, if there is one. `step_began` is told of each step.

    Raises SwitchRefused once the old routes are back, LeaseLost where another process has taken over.
    """
    while (switch := log.refresh().switch) is not None:
        step = switch.next_step
        if step is None:
            log.append(SwitchDone())
            break
        step_began(step)
        try:
            refuse_when_going_back(log.state, switch)
            if step in ROUTING and switch.routed != step:
                log.append(Routed(step))
            evidence = do_step(ports, log.state, switch, step)
        except OpsError as error:
            put_back(log, ports, step, switch, error)
            raise SwitchRefused(step, switch, error) from error
        log.append(StepDone(step, evidence))
    return log.state


def do_step(ports: Ports, state: ReleaseState, switch: Switch, step: Step) -> Evidence:
    """One step."""
    if step in ROUTING:
        return ports.publish(state)
    if step in ("acknowledge", "follow"):
        return ports.acknowledge(state)
    steps: dict[Step, Do] = {
        "snapshot": ports.snapshot,
        "compare": ports.compare,
        "drain": ports.drain,
        "reconcile": ports.reconcile,
        "probe": ports.probe,
        "count": ports.count,
        "check": ports.check,
    }
    return steps[step](switch)


def refuse_when_going_back(state: ReleaseState, switch: Switch) -> None:
    """Somebody, or a trigger, wants the stores back while they are on their way."""
    if state.phase is Phase.ROLLING_BACK and switch.to is not Route.LEGACY:
        raise STOPPED


def put_back(log: EventLog, ports: Ports, step: Step, switch: Switch, error: OpsError) -> None:
    """The old routes, written down first. Where they cannot be published either, the next process to take the lease does it."""
    log.append(SwitchFailed(step, error.message))
    if switch.routed is not None or step in ROUTING:
        ports.publish(log.state)
