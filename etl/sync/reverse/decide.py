"""What each row of a batch sends: by the rule of sync where both sides change rows, else whatever the legacy row has not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from etl.reconcile.plan import provenance
from etl.source.extract import OFFSET_SUFFIX
from etl.sync.base import RowBase
from etl.sync.digest import digest
from etl.sync.merge import merge_reverse
from etl.sync.plan import SyncTable
from etl.sync.reverse.checked import tolerances
from etl.sync.reverse.inverse import PartInverse
from etl.sync.reverse.model import CLOCK

Values = Mapping[str, Any]
DERIVED: Final = frozenset({"name_key"})
"""Transforms without an inverse that need none: what they make is for comparing, and says nothing of its own."""

NO_BASE: Final = RowBase({})


@dataclass
class Decision:
    """One row. `send`: values for the legacy side; of counters, `gains` have what is added. `agreed` is there already, `held` was
    changed there too. `echoes`: what the legacy side holds for a value that its type cannot tell from the target's. `new`: the
    legacy side has no row of it. `returned`: totals of counters by then. `kept`: values of the legacy side that forward has still
    to bring, and that writing to another record of the same person would hide: that record gets them too. `hidden`: what one
    record of a person holds, behind another of theirs, and the member's value replaces: it would surface otherwise."""

    send: dict[str, Any] = field(default_factory=dict)
    gains: dict[str, Decimal] = field(default_factory=dict)
    agreed: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    echoes: dict[str, Any] = field(default_factory=dict)
    unplaced: dict[str, Any] = field(default_factory=dict)
    returned: dict[str, Decimal] = field(default_factory=dict)
    kept: dict[str, Any] = field(default_factory=dict)
    hidden: dict[str, Any] = field(default_factory=dict)
    new: bool = False


@dataclass(frozen=True)
class Columns:
    """What is known of a table's columns, for one set of legacy parts. `carried`: those that a legacy row of them holds.
    `derived`: those that follow from others alone (DERIVED): where an application left one behind, it is put right."""

    carried: frozenset[str]
    counted: frozenset[str]
    tolerance: Mapping[str, int]
    offsets: frozenset[str]
    derived: frozenset[str] = frozenset()


def columns_of(table: SyncTable, inverses: Sequence[PartInverse]) -> Columns:
    """What these parts together can hold."""
    tolerance: dict[str, int] = {}
    for inverse in inverses:
        for column, step in tolerances(inverse).items():
            tolerance[column] = max(step, tolerance.get(column, 0))
    counters = frozenset(table.rules.counters)
    return Columns(
        carried=frozenset(column for inverse in inverses for column in inverse.carried) - provenance(table.plan) - {CLOCK},
        counted=frozenset(column for inverse in inverses for column in inverse.writes) & counters,
        tolerance=tolerance,
        derived=frozenset(column for inverse in inverses for column in inverse.follow if inverse.transform_of(column) in DERIVED),
        offsets=frozenset(
            column
            for inverse in inverses
            for column, slots in inverse.writes.items()
            if all(slot.endswith(OFFSET_SUFFIX) for slot in slots)
        ),
    )


def decide(
    table: SyncTable,
    columns: Columns,
    source: Values | None,
    target: Values,
    base: RowBase | None,
    returned: Mapping[str, Decimal],
) -> Decision:
    """`source`: what the legacy side makes of the row, None when it has none. `columns`: of the parts it has rows in, or will."""
    base = base or NO_BASE
    if source is None:
        return send_all(table, columns, target, base)
    able = [name for name in table.kept if name in columns.carried]
    echoes = {name: source[name] for name in able if is_echo(columns, name, source[name], target[name])}
    mine = {name: source[name] for name in able}
    theirs = {name: target[name] for name in able} | echoes  # what the legacy type cannot tell apart is no change
    unplaced = {name: source[name] for name in table.kept if name not in columns.carried and name != CLOCK}
    if table.rules.mode != "both":
        different = {name: theirs[name] for name in able if theirs[name] != mine[name]}
        agreed = tuple(name for name in able if name not in different)
        return Decision(different, agreed=agreed, echoes=echoes, unplaced=unplaced)
    told = {name: digest(value) for name, value in echoes.items() if base.hashes.get(name) == digest(target[name])}
    merged = merge_reverse(table.rules, mine, theirs, {**base.hashes, **told}, added=base.added, returned=returned)
    gains = {name: merged.returned[name] - returned.get(name, Decimal(0)) for name in merged.send if name in columns.counted}
    return Decision(
        send=merged.send,
        gains=gains,
        agreed=merged.agreed,
        held=merged.held,
        echoes={name: value for name, value in echoes.items() if name not in merged.held},
        unplaced={name: value for name, value in unplaced.items() if source[name] != target[name]},
        returned=merged.returned if gains else {},
    )


def send_all(table: SyncTable, columns: Columns, target: Values, base: RowBase) -> Decision:
    """A row that the legacy side has not: everything goes, of counters the target's own part."""
    send = {name: target[name] for name in (*table.plan.key, *table.kept) if name in columns.carried}
    gains: dict[str, Decimal] = {}
    if table.rules.mode == "both":
        for name in columns.counted:
            gains[name] = Decimal(target[name] or 0) - base.added.get(name, Decimal(0))
    unplaced = {name: target[name] for name in table.kept if name not in columns.carried and name != CLOCK}
    return Decision(send, gains, unplaced=unplaced, returned=dict(gains), new=True)


def is_echo(columns: Columns, name: str, source: Any, target: Any) -> bool:
    """Whether two values differ in nothing but what the legacy type cannot tell: parts of a second, or an offset that it must
    have and the target has not."""
    if source is None or source == target:
        return False
    if target is None:
        return name in columns.offsets
    return near(source, target, columns.tolerance.get(name, 0))


def near(mine: Any, theirs: Any, tolerance_us: int) -> bool:
    """Times less than `tolerance_us` microseconds apart.

    >>> near(datetime(2024, 1, 1, 0, 0, 0, 3_000), datetime(2024, 1, 1, 0, 0, 0, 4_500), 3_334)
    True
    """
    if not isinstance(mine, datetime) or not isinstance(theirs, datetime):
        return False
    return abs(mine - theirs) < timedelta(microseconds=tolerance_us)
