"""Ways to end a release: stores go back, the release is given up, or it is finished for good."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from etl.errors import RefusedError, UsageError
from etl.progress import Progress
from etl.settings import Settings
from migrations.release.event_log import EventLog, LeaseLost, open_event_log
from migrations.release.events import (
    COMPLETION_LAPSES,
    Aborted,
    Completed,
    CompletionAsked,
    RollbackBegun,
    Started,
    SwitchBegun,
    SwitchFailed,
)
from migrations.release.legal import moved_stores
from migrations.release.legal_commands import decide, moved_of
from migrations.release.model import FINAL, Phase, ReleaseState, Route
from migrations.release.plan import Plan
from migrations.release.steps import Steps
from migrations.release.switch import carry_out
from migrations.release.who import holder_here, require_role
from migrations.release.wiring import RunRequest, holding_lease, run_release

LOOK_S: Final = 0.5


@dataclass(frozen=True)
class Ended:
    """What became of it. `stores`: those that were to go back, or are complete. `carried_out`: it is done, not only decided.
    `holder`: the process that carries it out now, None when this one has. `left`: stores that write to TiDB still."""

    what: str
    state: ReleaseState
    stores: tuple[str, ...]
    carried_out: bool
    holder: str | None
    left: tuple[str, ...]
    seconds: float


def roll_back(
    settings: Settings, plan: Plan, stores: Sequence[str], reason: str, progress: Progress, end: threading.Event | None = None
) -> Ended:
    """Send stores back (none named: all that have moved). A controller that runs does it; where none runs, this process does,
    and ends when they are back: it does not watch those that stay.

    Raises RefusedError where there is nothing to bring back, UsageError for a store that the release does not have.
    """
    person, began = require_role(plan, "operator"), time.monotonic()
    with open_event_log(settings.state_dir) as log:
        named = begin_rollback(log, tuple(stores), reason, person)
        holder = None
        try:
            request = RunRequest(holder_here(), end or threading.Event(), changed_plan=True, done=are_back)
            run_release(settings, plan, request, progress)
        except LeaseLost:
            holder = log.holder()
        state = log.refresh()
        return Ended("rollback", state, named, are_back(state), holder, moved_of(state), time.monotonic() - began)


def are_back(state: ReleaseState) -> bool:
    """Whether no store is on its way back."""
    return state.phase is not Phase.ROLLING_BACK


def begin_rollback(log: EventLog, stores: tuple[str, ...], reason: str, by: str) -> tuple[str, ...]:
    """Write it down; one that is under way goes on. The stores that go back."""
    state = log.state
    refuse_ended(state)
    if state.phase is Phase.ROLLING_BACK:
        others = sorted(set(stores) - set(state.going_back))
        if others:
            raise RefusedError(
                f"Stores are going back already, and {others[0]} is not among them.",
                "Once they are back (membershift release status), send it back too.",
            )
        return state.going_back
    unknown = sorted(store for store in stores if store not in state.stores or state.stores[store].wave is None)
    if unknown:
        raise UsageError(f"Store {unknown[0]} is not part of the release.", "See its stores: membershift release status")
    moved = {*moved_of(state), *(state.switch.stores if state.switch else ())}
    chosen = tuple(sorted(moved & set(stores or moved)))
    if not chosen:
        raise RefusedError(
            f"{'None of these stores' if stores else 'No store'} has moved: nothing has to come back.",
            "Hold the release with membershift release pause, or give it up with membershift release abort.",
        )
    if state.phase is Phase.ROLLED_BACK:
        decide(log, Started())  # some were left when others went back
    decide(log, RollbackBegun(chosen, reason, by))
    return chosen


def abort_release(settings: Settings, plan: Plan, reason: str, progress: Progress, end: threading.Event | None = None) -> Ended:
    """Every store back, then the release is given up. Waits for a controller that runs to bring them back. Raises RefusedError
    when that was interrupted, or stores are complete."""
    person, began = require_role(plan, "operator"), time.monotonic()
    end = end or threading.Event()
    with open_event_log(settings.state_dir) as log:
        refuse_ended(log.state)
        stores = (*moved_of(log.state), *(log.state.switch.stores if log.state.switch else ()))
    if stores or log.state.phase is Phase.ROLLING_BACK:
        roll_back(settings, plan, (), reason, progress, end)
    with open_event_log(settings.state_dir) as log:
        while log.refresh().phase is Phase.ROLLING_BACK and log.holder() is not None and not end.wait(LOOK_S):
            pass
        if log.state.phase is Phase.ROLLING_BACK:
            raise RefusedError("The stores are not back yet.", "The same command goes on: membershift release abort")
        left = moved_of(log.state)
        if left:
            raise RefusedError(
                f"{len(left)} stores were not among those that went back.", "The same command goes on: membershift release abort"
            )
        state = decide(log, Aborted(f"{person}: {reason}"))
        return Ended("abort", state, tuple(sorted(set(stores))), True, None, (), time.monotonic() - began)


def refuse_ended(state: ReleaseState) -> None:
    """Raises RefusedError for a release that is over."""
    if not state.waves:
        raise RefusedError("No release is planned.", "Plan one: membershift release plan --execute")
    if state.phase in FINAL:
        raise RefusedError(f"Release {state.release} is {state.phase}.", "Plan another one: membershift release plan --execute")


def complete_release(settings: Settings, plan: Plan, progress: Progress, end: threading.Event | None = None) -> Ended:
    """No way back is left for any store of the release. A controller that runs does it; where none runs, this process does.
    Killed in between, the same command goes on, and so does a controller.

    Raises SwitchRefused or RefusedError while conflicts or dead letters are open, IllegalEvent before every wave is through.
    """
    person, began = require_role(plan, "operator"), time.monotonic()
    request, holder = RunRequest(holder_here(), end or threading.Event()), None
    with open_event_log(settings.state_dir) as log:
        refuse_ended(log.state)
        if not log.is_to_complete():
            decide(log, CompletionAsked(person))
        while log.refresh().phase is not Phase.COMPLETED and not request.end.is_set():
            refuse_lapsed(log)
            holder = log.holder()
            if holder is None:
                with suppress(LeaseLost):  # a controller was started meanwhile: it does it
                    complete_here(settings, plan, log, request, progress)
            else:
                request.end.wait(LOOK_S)
        state = log.state
    done = state.phase is Phase.COMPLETED
    stores = tuple(sorted(store for store, where in state.stores.items() if where.wave is not None))
    left = tuple(store for store in stores if state.stores[store].route is not Route.COMPLETE)
    return Ended("complete", state, stores, done, None if done else holder, left, time.monotonic() - began)


def complete_here(settings: Settings, plan: Plan, log: EventLog, request: RunRequest, progress: Progress) -> None:
    """Without a controller. Raises SwitchRefused, LeaseLost."""
    with holding_lease(log, request, progress):
        ports = Steps(settings, plan, progress).ports()
        carry_out(log, ports)  # one that was killed half-way
        waiting = moved_stores(log.state)
        if waiting:
            decide(log, SwitchBegun(waiting, Route.COMPLETE))
            carry_out(log, ports)
        decide(log, Completed())


def refuse_lapsed(log: EventLog) -> None:
    """Raises RefusedError where something came in between: the controller could not do it, or stores go back."""
    if log.is_to_complete():
        return
    failed = next((one.event for one in reversed(log.events()) if isinstance(one.event, COMPLETION_LAPSES)), None)
    reason = f"{failed.step}: {failed.reason}" if isinstance(failed, SwitchFailed) else getattr(failed, "reason", "")
    raise RefusedError(
        f"The release was not completed: it is {log.state.phase}{f' ({reason})' if reason else ''}.",
        "Once the cause is gone: membershift release resume where it is paused, then membershift release complete.",
    )
