"""One row that both sides may change: what forward writes, what reverse writes, and who wins. Pure functions of values.

docs/sync.md states the rule; tests/unit/sync/test_protocol.py explores it over all interleavings of two writers, two syncs and
crashes. Every conflict is decided by forward, so that it is decided once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

from etl.mapping.sync_rules import Rule, SyncRules
from etl.sync.digest import digest

Values = Mapping[str, Any]
Side = Literal["source", "target"]

Base = Mapping[str, bytes]
"""What both sides last had in common, by column: digests of values (etl/sync/digest.py). A column that is not there is unknown,
and counts as changed on both sides."""


@dataclass(frozen=True)
class Times:
    """When each side last changed the row (UTC, None where it does not say), and how far apart their clocks may be."""

    source: datetime | None
    target: datetime | None
    allowance: timedelta = timedelta(0)

    @property
    def later(self) -> Side:
        """The side that changed it last. Within the allowance nobody can say: the target, where members act now, is kept."""
        if self.source is None:
            return "target"
        if self.target is None:
            return "source"
        return "source" if self.source - self.target > self.allowance else "target"


@dataclass(frozen=True)
class Conflict:
    """A column that both sides changed, and what became of it."""

    column: str
    rule: Rule
    winner: Side
    source: Any
    target: Any


@dataclass(frozen=True)
class ForwardMerge:
    """What forward makes of a row: `values` the target is to hold, `base` that both now have in common, `in_step`: whether
    reverse has nothing left to send. `counters`: what forward has added so far, by counter column."""

    values: dict[str, Any]
    base: dict[str, bytes]
    counters: dict[str, Decimal]
    changed: tuple[str, ...]
    conflicts: tuple[Conflict, ...]
    in_step: bool


def merge_forward(
    rules: SyncRules,
    source: Values,
    target: Values,
    base: Base,
    times: Times,
    *,
    added: Mapping[str, Decimal],
    returned: Mapping[str, Decimal],
) -> ForwardMerge:
    """Bring what the legacy side changed to the target. `source` and `target` have the same columns.

    `added`: what forward has added to each counter so far (F); `returned`: what reverse has added on the legacy side (R). With
    S = source - R, the target gains S - F, and F becomes S: adding is done once, however often this is done.
    """
    values, common, totals = dict(target), dict(base), dict(added)
    conflicts: list[Conflict] = []
    sendable = False
    for unit in rules.units(source):
        first = unit[0]
        if rules.rule(first) == "sum":
            own = number(source[first]) - returned.get(first, Decimal(0))
            values[first] = like(target[first], number(target[first]) + own - added.get(first, Decimal(0)))
            totals[first] = own
            sendable |= number(values[first]) - own != returned.get(first, Decimal(0))
            continue
        if is_base(unit, source, base):
            sendable |= not is_base(unit, target, base)
            continue
        was_target = is_base(unit, target, base)
        common |= {column: digest(source[column]) for column in unit}
        differing = [column for column in unit if source[column] != target[column]]
        if not differing:
            continue
        winner: Side = "source" if was_target else choose(rules.rule(first), source[first], target[first], times)
        if not was_target:
            conflicts += [Conflict(column, rules.rule(first), winner, source[column], target[column]) for column in differing]
        if winner == "source":
            values |= {column: source[column] for column in unit}
        else:
            sendable = True
    changed = tuple(column for column in source if values[column] != target[column])
    return ForwardMerge(values, common, totals, changed, tuple(conflicts), not sendable)


@dataclass(frozen=True)
class ReverseMerge:
    """What reverse makes of a row: `send` goes to the legacy side; `agreed` columns have the same value there already; `held`
    ones were changed there too, and forward, which has that change still to come, decides. `returned`: new totals of counters."""

    send: dict[str, Any]
    agreed: tuple[str, ...]
    held: tuple[str, ...]
    returned: dict[str, Decimal]

    @property
    def settled(self) -> tuple[str, ...]:
        """Columns whose common value is the target's once this is written."""
        return (*self.send, *self.agreed)


def merge_reverse(
    rules: SyncRules,
    source: Values,
    target: Values,
    base: Base,
    *,
    added: Mapping[str, Decimal],
    returned: Mapping[str, Decimal],
) -> ReverseMerge:
    """Bring what the target changed to the legacy side.

    With T = target - F, a counter of the legacy side gains T - R, and R becomes T.
    """
    send: dict[str, Any] = {}
    agreed: list[str] = []
    held: list[str] = []
    totals = dict(returned)
    for unit in rules.units(target):
        first = unit[0]
        if rules.rule(first) == "sum":
            own = number(target[first]) - added.get(first, Decimal(0))
            gain = own - returned.get(first, Decimal(0))
            if gain:
                send[first] = like(source[first], number(source[first]) + gain)
                totals[first] = own
            continue
        if is_base(unit, target, base):
            continue
        differing = [column for column in unit if source[column] != target[column]]
        if not differing:
            agreed += unit
        elif is_base(unit, source, base):
            send |= {column: target[column] for column in differing}
            agreed += (column for column in unit if column not in differing)
        else:
            held += unit
    return ReverseMerge(send, tuple(agreed), tuple(held), totals)


def is_base(unit: tuple[str, ...], values: Values, base: Base) -> bool:
    """Whether a side still has what both last had in common."""
    return all(base.get(column) == digest(values[column]) for column in unit)


def choose(rule: Rule, source: Any, target: Any, times: Times) -> Side:
    """Who wins a column that both sides changed. NULL is less than any value.

    >>> choose("least", 0, 1, Times(None, None))
    'source'
    """
    if rule in ("source", "target"):
        return "source" if rule == "source" else "target"
    if rule in ("least", "greatest") and source != target:
        smaller: Side = "source" if order_of(source) < order_of(target) else "target"
        other: Side = "target" if smaller == "source" else "source"
        return smaller if rule == "least" else other
    return times.later


def order_of(value: Any) -> tuple[bool, Any]:
    """Sorts NULL before everything."""
    return (value is not None, value)


def number(value: Any) -> Decimal:
    """A counter's value; NULL counts as nothing."""
    return Decimal(0) if value is None else Decimal(value)


def like(pattern: Any, value: Decimal) -> Any:
    """A counter's new value in the type that it has: whole numbers stay int."""
    return value if isinstance(pattern, Decimal) else int(value)
