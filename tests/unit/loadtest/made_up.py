"""Servers that are not there: what a load test says of them can be worked out."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

from loadtest.samples import Outcome
from loadtest.worker import Ran


@dataclass(frozen=True)
class Frozen:
    """Answers after `service_s`, but for the first `frozen_s` of every `every_s` seconds, in which nothing is answered."""

    service_s: float
    every_s: float
    frozen_s: float

    def __call__(self, number: int) -> FrozenSession:
        return FrozenSession(self)


@dataclass(frozen=True)
class FrozenSession:
    """One connection to it."""

    server: Frozen

    def run(self, operation: int) -> Ran:
        """Wait until it answers."""
        phase = time.perf_counter() % self.server.every_s
        time.sleep(self.server.service_s + max(0.0, self.server.frozen_s - phase))
        return Ran(Outcome.DONE)

    def close(self) -> None:
        """Nothing."""


@dataclass(frozen=True)
class Refusing:
    """Lets nobody in."""

    def __call__(self, number: int) -> FrozenSession:
        raise ConnectionRefusedError("secret")


@dataclass(frozen=True)
class Broken:
    """Its scenario has a bug, after some transactions."""

    def __call__(self, number: int) -> BrokenSession:
        return BrokenSession()


class BrokenSession:
    """One connection to it."""

    def __init__(self) -> None:
        self.left = 5

    def run(self, operation: int) -> Ran:
        """Fails with an error that holds data."""
        self.left -= 1
        if self.left < 0:
            raise KeyError("13912345678")
        return Ran(Outcome.DONE)

    def close(self) -> None:
        """Nothing."""


@dataclass(frozen=True)
class Exponential:
    """Answers after a time that is drawn, of this mean."""

    mean_s: float

    def __call__(self, number: int) -> ExponentialSession:
        return ExponentialSession(random.Random(number), self.mean_s)


@dataclass(frozen=True)
class ExponentialSession:
    """One connection to it."""

    chance: random.Random
    mean_s: float

    def run(self, operation: int) -> Ran:
        """Wait."""
        time.sleep(self.chance.expovariate(1 / self.mean_s))
        return Ran(Outcome.DONE)

    def close(self) -> None:
        """Nothing."""
