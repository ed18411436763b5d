"""What a load test does: operations, each a transaction as an application runs it, with their shares of the whole.

A scenario of one's own is a Python file:

    from loadtest.scenario import Call, Scenario

    mine = Scenario("mine")

    @mine.operation(weight=9)
    def look_up(call: Call) -> None:
        call.query("SELECT name FROM member WHERE member_id = %s", (call.member(),))

    @mine.operation(weight=1, writes=True)
    def spend(call: Call) -> None:
        member = call.member()
        if call.execute("UPDATE member SET points = points - 1 WHERE member_id = %s AND points > 0", (member,)) == 0:
            raise Refused
"""

from __future__ import annotations

import bisect
import importlib.util
import itertools
import random
import sys
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from etl.errors import UsageError

Row = tuple[Any, ...]
Body = Callable[["Call"], None]
ZIPF: Final = 1.0
"""Exponent of how often members and stores are drawn: the k-th most frequent comes 1/k as often as the first."""


class Refused(Exception):
    """The business says no: the transaction is undone, and that is an answer."""


class Statements(Protocol):
    """What an operation needs of a connection."""

    def query(self, sql: str, params: Sequence[object] = ()) -> list[Row]: ...

    def execute(self, sql: str, params: Sequence[object] = ()) -> int: ...


@dataclass(frozen=True)
class Operation:
    """`weight`: its share, relative to the others'. `writes`: it is one transaction; else each statement stands alone."""

    name: str
    weight: float
    writes: bool
    body: Body


@dataclass
class Scenario:
    """Operations in the order in which they were named: their place is their number."""

    name: str
    operations: list[Operation] = field(default_factory=list)

    def operation(self, weight: float, *, writes: bool = False, name: str = "") -> Callable[[Body], Body]:
        """Make a function an operation of this scenario. Raises UsageError for a name that is taken and for a weight of 0 or
        less."""

        def added(body: Body) -> Body:
            chosen = name or getattr(body, "__name__", "operation")
            if weight <= 0:
                raise UsageError(f"The weight of {chosen} is {weight:g}.", "Give a number above 0, or leave the operation out.")
            if chosen in (one.name for one in self.operations):
                raise UsageError(f"The scenario {self.name} has two operations {chosen}.", "Give one of them another name=.")
            self.operations.append(Operation(chosen, weight, writes, body))
            return body

        return added


class Zipf:
    """Draws from 0 to `size` - 1, the first most often.

    >>> few = Zipf(3)
    >>> [few.at(share) for share in (0.0, 0.54, 0.55, 0.81, 0.82, 0.999)]
    [0, 0, 1, 1, 2, 2]
    """

    def __init__(self, size: int, exponent: float = ZIPF) -> None:
        self.edges = array("d", itertools.accumulate(1 / rank**exponent for rank in range(1, size + 1)))

    def at(self, share: float) -> int:
        """Who is drawn by a number from 0 up to, not including, 1."""
        return bisect.bisect_right(self.edges, share * self.edges[-1])


@dataclass(frozen=True)
class World:
    """Who takes part: `members` are ids, `stores` codes. The same in every process."""

    members: Sequence[int]
    stores: Sequence[str]


@dataclass
class Call:
    """What an operation gets: a connection, dice, and somebody to do it to. `numbers`: of what it writes, each drawn once in the
    whole test."""

    connection: Statements
    chance: random.Random
    world: World
    numbers: Callable[[], int]
    who: Zipf
    where: Zipf
    written: int = 0

    def query(self, sql: str, params: Sequence[object] = ()) -> list[Row]:
        """All rows of a statement with %s parameters. Raises ServerError."""
        return self.connection.query(sql, params)

    def execute(self, sql: str, params: Sequence[object] = ()) -> int:
        """Run a statement; how many rows it changed. Raises ServerError."""
        return self.connection.execute(sql, params)

    def member(self) -> int:
        """Somebody; few of them come often."""
        return self.world.members[self.who.at(self.chance.random())]

    def store(self) -> str:
        """A store; few of them sell much."""
        return self.world.stores[self.where.at(self.chance.random())]

    def number(self) -> int:
        """A number for what this transaction writes: looked for at the end of the test, once it was acknowledged."""
        self.written = self.numbers()
        return self.written


def read_scenario(path: Path, name: str = "") -> Scenario:
    """The scenario of a Python file; `name` where it has several. Raises UsageError."""
    spec = importlib.util.spec_from_file_location(f"scenario_{path.stem}", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise UsageError(f"{path} is no Python file.", "Give the path of a .py file that makes a Scenario.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(f"{path} cannot be run: {type(error).__name__}.", f"Try it: python {path}") from error
    found = {one.name: one for one in vars(module).values() if isinstance(one, Scenario)}
    chosen = [one for one in found.values() if not name or one.name == name]
    if len(chosen) != 1:
        there = ", ".join(sorted(found)) or "none"
        raise UsageError(f"{path} has {len(found)} scenarios, and one is wanted: {there}.", "Name it: FILE:NAME")
    if not chosen[0].operations:
        raise UsageError(f"The scenario {chosen[0].name} has no operation.", "Add one with @scenario.operation(weight=1).")
    return chosen[0]
