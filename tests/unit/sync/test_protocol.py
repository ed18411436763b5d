"""All interleavings of two applications, two directions of sync, and crashes, over one row: nothing is lost without a trace.

A state is everything that survives a crash, and what the two directions hold in memory. Every reachable state is visited (breadth
first, a few ten thousand); from each, once the applications are quiet, sync must bring both sides to the same row. The steps call
the program's own merge (etl/sync/merge.py), and their names are those of its functions.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal

import pytest

from etl.mapping.sync_rules import Rule, SyncRules
from etl.sync.digest import digest
from etl.sync.merge import Times, merge_forward, merge_reverse

START = "a"
WRITES = {"source": ("b", "c"), "target": ("x", "y")}
GAIN = {"source": 1, "target": 10}
CRASHES = 1
MOST_STATES = 100_000


@dataclass(frozen=True)
class Captured:
    """What reverse read of a dirty row: the row, its base and F in one read, and the stamp that its mark will compare."""

    value: str
    points: int
    base: bytes
    added: int
    stamp: int


@dataclass(frozen=True)
class Sent:
    """What reverse has committed on the source and not yet noted on the target."""

    captured: Captured
    settled: bool


@dataclass(frozen=True)
class State:
    """One row on both sides. `version` and `position` are those of change tracking; `stamp` stands for updated_at, `synced` for
    synced_at. `lost`: values written by an application that neither it nor a writer who saw them replaced."""

    source: str = START
    source_points: int = 0
    returned: int = 0
    version: int = 0
    position: int = 0
    target: str = START
    target_points: int = 0
    added: int = 0
    base: bytes = digest(START)
    stamp: int = 0
    synced: int = 0
    read: tuple[str, int, int, int] | None = None
    captured: Captured | None = None
    sent: Sent | None = None
    wrote: tuple[int, int] = (0, 0)
    crashes: int = 0
    live: frozenset[str] = frozenset({START})
    conflicts: frozenset[tuple[str, str]] = frozenset()

    @property
    def dirty(self) -> bool:
        """Whether reverse has something to look at."""
        return self.stamp != self.synced

    @property
    def quiet(self) -> bool:
        """Whether both applications are done."""
        return self.wrote == (len(WRITES["source"]), len(WRITES["target"]))


def application_writes_source(state: State) -> Iterator[State]:
    """The next write of the legacy application: a value, and a gain of points."""
    done, other = state.wrote
    if done < len(WRITES["source"]):
        value = WRITES["source"][done]
        yield replace(
            state,
            source=value,
            source_points=state.source_points + GAIN["source"],
            version=state.version + 1,
            wrote=(done + 1, other),
            live=(state.live - {state.source}) | {value},
        )


def application_writes_target(state: State) -> Iterator[State]:
    """The next write of an application on the target."""
    other, done = state.wrote
    if done < len(WRITES["target"]):
        value = WRITES["target"][done]
        yield replace(
            state,
            target=value,
            target_points=state.target_points + GAIN["target"],
            stamp=state.stamp + 1,
            wrote=(other, done + 1),
            live=(state.live - {state.target}) | {value},
        )


def forward_reads(state: State) -> Iterator[State]:
    """Changes after the position, at one snapshot of the source."""
    if state.read is None and state.version > state.position:
        yield replace(state, read=(state.source, state.source_points, state.returned, state.version))


def forward_applies(state: State, rules: SyncRules, times: Times) -> Iterator[State]:
    """One target transaction: row, base, counters, conflicts, position."""
    if state.read is None:
        return
    source, points, returned, version = state.read
    merged = merge_forward(
        rules,
        {"value": source, "points": points},
        {"value": state.target, "points": state.target_points},
        {"value": state.base},
        times,
        added={"points": Decimal(state.added)},
        returned={"points": Decimal(returned)},
    )
    stamp = state.stamp + 1 if merged.changed or merged.in_step or not state.dirty else state.stamp
    yield replace(
        state,
        target=merged.values["value"],
        target_points=merged.values["points"],
        base=merged.base["value"],
        added=int(merged.counters["points"]),
        stamp=stamp,
        synced=stamp if merged.in_step else state.synced,
        position=max(state.position, version),
        read=None,
        conflicts=state.conflicts | {(conflict.source, conflict.target) for conflict in merged.conflicts},
    )


def reverse_captures(state: State) -> Iterator[State]:
    """A dirty row, its base and F in one read."""
    if state.captured is None and state.sent is None and state.dirty:
        yield replace(state, captured=Captured(state.target, state.target_points, state.base, state.added, state.stamp))


def reverse_writes_source(state: State, rules: SyncRules) -> Iterator[State]:
    """One source transaction: the legacy row locked, compared and written, with R."""
    captured = state.captured
    if captured is None:
        return
    merged = merge_reverse(
        rules,
        {"value": state.source, "points": state.source_points},
        {"value": captured.value, "points": captured.points},
        {"value": captured.base},
        added={"points": Decimal(captured.added)},
        returned={"points": Decimal(state.returned)},
    )
    yield replace(
        state,
        source=merged.send.get("value", state.source),
        source_points=merged.send.get("points", state.source_points),
        returned=int(merged.returned["points"]),
        version=state.version + 1 if merged.send else state.version,
        captured=None,
        sent=None if merged.held else Sent(captured, "value" in merged.settled),
    )


def reverse_marks(state: State) -> Iterator[State]:
    """One target transaction: the base, unless forward has moved it since it was read, and the compare-and-set mark."""
    if state.sent is None:
        return
    captured, settled = state.sent.captured, state.sent.settled
    noted = settled and state.base == captured.base
    yield replace(
        state,
        base=digest(captured.value) if noted else state.base,
        synced=state.stamp if state.stamp == captured.stamp else state.synced,
        sent=None,
    )


def sync_is_killed(state: State) -> Iterator[State]:
    """What both directions hold in memory is gone."""
    if state.crashes < CRASHES and (state.read or state.captured or state.sent):
        yield replace(state, read=None, captured=None, sent=None, crashes=state.crashes + 1)


def sync_steps(state: State, rules: SyncRules, times: Times) -> Iterator[State]:
    """Whatever the two directions can do next."""
    yield from forward_reads(state)
    yield from forward_applies(state, rules, times)
    yield from reverse_captures(state)
    yield from reverse_writes_source(state, rules)
    yield from reverse_marks(state)


def reachable(rules: SyncRules, times: Times) -> set[State]:
    """Every state that any order of steps leads to."""
    start = State()
    seen, waiting = {start}, deque([start])
    while waiting:
        assert len(seen) < MOST_STATES, "the protocol never comes to an end"
        state = waiting.popleft()
        steps = [
            *application_writes_source(state),
            *application_writes_target(state),
            *sync_steps(state, rules, times),
            *sync_is_killed(state),
        ]
        for after in steps:
            if after not in seen:
                seen.add(after)
                waiting.append(after)
    return seen


def settle(state: State, rules: SyncRules, times: Times) -> State:
    """Let sync go on until it has nothing left to do. It must come to an end."""
    for _ in range(50):
        after = next(sync_steps(state, rules, times), None)
        if after is None:
            return state
        state = after
    raise AssertionError(f"sync never comes to rest: {state}")


@pytest.mark.parametrize("rule", ["latest", "source", "target"])
def test_nothing_is_lost_without_a_trace(rule: Rule) -> None:
    """Both sides end with one row; points are the sum of all gains; a value that is gone was replaced by somebody who saw it, or
    stands in a conflict."""
    rules = SyncRules(default=rule, columns={"points": "sum"})
    states = reachable(rules, Times(None, None))
    ends = {settle(state, rules, Times(None, None)) for state in states if state.quiet}

    assert len(states) > 5_000
    for end in ends:
        assert end.source == end.target, end
        assert end.base == digest(end.source), end
        gained = sum(GAIN[side] * len(writes) for side, writes in WRITES.items())
        assert end.source_points == end.target_points == gained, end
        kept = {end.source} | {value for pair in end.conflicts for value in pair}
        assert end.live <= kept, (end.live, kept, end)
    assert any(end.conflicts for end in ends)
    assert any(not end.conflicts for end in ends)
