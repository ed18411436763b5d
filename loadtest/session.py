"""One connection to the target that runs operations as an application would: what conflicts is done again."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from etl.settings import TargetSettings
from etl.target.bulk import BulkConnection
from etl.target.errors import CONFLICTS, ServerError
from loadtest.samples import Outcome
from loadtest.scenario import Call, Operation, Refused, Scenario, World, Zipf
from loadtest.worker import Ran

ATTEMPTS: Final = 3
PAUSE_S: Final = 0.005
TIMEOUTS: Final = frozenset({1205, 1317, 3024})
"""It waited too long for a lock, was interrupted, or took longer than max_execution_time."""
ALMOST: Final = 0.95
"""A connection that was lost after this share of query_timeout_s was given up by the client."""
NUMBERS: Final = 2**32
"""Numbers that each thread may give to what it writes."""


@dataclass(frozen=True)
class Sessions:
    """Makes the session of each thread; sent to worker processes, where `scenario` is found again. `first`: the least number that
    the test may give to what it writes."""

    settings: TargetSettings
    scenario: Callable[[], Scenario]
    world: World
    first: int
    seed: int

    def __call__(self, thread: int) -> TargetSession:
        """Connected. Raises ServerError."""
        settings = self.settings.model_copy(update={"retries": 0})
        chance = random.Random(self.seed * 1_000_003 + thread)
        return TargetSession(settings, self.scenario().operations, self.world, self.first + thread * NUMBERS, chance)


class TargetSession:
    """See loadtest/worker.py, Session. `first`: from here on it numbers what it writes."""

    def __init__(
        self, settings: TargetSettings, operations: Sequence[Operation], world: World, first: int, chance: random.Random
    ) -> None:
        self.settings, self.operations, self.chance, self.next = settings, operations, chance, first
        self.connection = BulkConnection(settings)
        self.call = Call(
            self.connection, chance, world, self.number, Zipf(max(1, len(world.members))), Zipf(max(1, len(world.stores)))
        )

    def number(self) -> int:
        """The next one."""
        self.next += 1
        return self.next

    def run(self, operation: int) -> Ran:
        """One transaction, done again where it met another one. Where the connection is lost it is not: whether COMMIT arrived is
        not known, and whoever sends it again may do it twice."""
        body, began, met = self.operations[operation], time.perf_counter(), 0
        for attempt in range(ATTEMPTS):
            self.call.written = 0
            try:
                self.attempt(body)
            except Refused:
                self.undo()
                return Ran(Outcome.REFUSED, attempt)
            except ServerError as error:
                self.undo()
                if error.number not in CONFLICTS - TIMEOUTS:
                    return Ran(self.outcome_of(error, time.perf_counter() - began), attempt, error=error.number)
                met = error.number
            else:
                return Ran(Outcome.DONE, attempt, self.call.written)
            if attempt + 1 < ATTEMPTS:
                time.sleep(PAUSE_S * 2.0**attempt * self.chance.uniform(0.5, 1.0))
        return Ran(Outcome.CONFLICT, ATTEMPTS - 1, error=met)

    def attempt(self, operation: Operation) -> None:
        """Once. Raises Refused, ServerError."""
        if not operation.writes:
            operation.body(self.call)
            return
        self.connection.begin()
        operation.body(self.call)
        self.connection.commit()

    def undo(self) -> None:
        """Leave nothing open; a connection that cannot be told so is closed."""
        try:
            self.connection.rollback()
        except ServerError:
            self.connection.close()

    def outcome_of(self, error: ServerError, seconds: float) -> Outcome:
        """How an application would count it."""
        if error.number in TIMEOUTS or (error.lost and seconds >= ALMOST * self.settings.query_timeout_s):
            return Outcome.TIMEOUT
        return Outcome.LOST if error.lost or error.connecting else Outcome.FAILED

    def close(self) -> None:
        """Let go of the connection."""
        self.connection.close()
