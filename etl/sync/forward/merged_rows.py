"""One row of both sides: what is known of it, merged by the rule, and what is to be written of the outcome."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from etl.sync.base import RowBase
from etl.sync.digest import digest
from etl.sync.forward.upsert import SYNCED, UPDATED
from etl.sync.forward.versions import CLOCK
from etl.sync.merge import Conflict, Times, merge_forward, number
from etl.sync.plan import SyncTable


@dataclass(frozen=True)
class Merging:
    """How rows of a table are merged. `allowance`: how far apart the clocks of both sides may be."""

    table: SyncTable
    allowance: timedelta


@dataclass(frozen=True)
class MergedRow:
    """`values`: the whole row, key included; `write`: whether it has to be written, in step or left for reverse. `before`: what
    the target had, nothing where it had no row."""

    values: dict[str, Any]
    write: bool
    in_step: bool
    base: RowBase
    conflicts: tuple[Conflict, ...]
    before: Mapping[str, Any]


def merge_row(
    merging: Merging,
    row: Mapping[str, Any],
    there: Mapping[str, Any] | None,
    base: RowBase | None,
    returned: Mapping[str, Decimal],
) -> MergedRow | None:
    """Merge a legacy row (with its key) with the target's row, None where there is none. `base`: what they had in common, None:
    unknown. Returns None for a row that was deleted on the target and did not change on the legacy side: reverse brings that."""
    kept, rules = merging.table.kept, merging.table.rules
    source = {name: row[name] for name in kept}
    key = {name: row[name] for name in merging.table.plan.key}
    if there is None:
        if base is not None and unchanged(merging, source, base, returned):
            return None
        common = RowBase(
            {name: digest(value) for name, value in source.items() if rules.rule(name) != "sum"},
            {name: number(source[name]) - returned.get(name, Decimal(0)) for name in rules.counters if name in source},
        )
        lost = () if base is None else (Conflict("deleted", rules.default, "source", None, None),)
        return MergedRow({**key, **source}, True, True, common, lost, {})
    target = {name: there[name] for name in kept}
    dirty = there[SYNCED] is None or there[SYNCED] != there[UPDATED]
    known = base if base is not None else assumed(merging, target, returned, dirty=dirty)
    own = {name for name in merging.table.provenance if name not in known.hashes}
    source |= {name: target[name] for name in own}  # where a row was born no legacy row can say: the target keeps its own
    clock = {CLOCK: digest(target[CLOCK])} if CLOCK in target else {}  # the legacy side's alone: nobody else changes it
    looked_at = to_merge(merging, source, target, known)
    merged = merge_forward(
        rules,
        {name: source[name] for name in looked_at},
        {name: target[name] for name in looked_at},
        {**known.hashes, **clock},
        Times(moment(source.get(CLOCK)), moment(there[UPDATED]) if dirty else None, merging.allowance),
        added=known.added,
        returned=returned,
    )
    write = bool(merged.changed) or merged.in_step == dirty
    common = RowBase({name: value for name, value in merged.base.items() if name not in own}, merged.counters)
    return MergedRow({**key, **target, **merged.values}, write, merged.in_step, common, merged.conflicts, {**key, **target})


def to_merge(merging: Merging, source: Mapping[str, Any], target: Mapping[str, Any], base: RowBase) -> list[str]:
    """Columns that the rule has to look at: all but those that both sides have as they last had it. Most are such."""
    rules, known = merging.table.rules, base.hashes
    found = {
        name
        for name, value in source.items()
        if value != target[name] or known.get(name) != digest(value) or rules.rule(name) == "sum"
    }
    for group in rules.together:
        if not found.isdisjoint(group):
            found.update(name for name in group if name in source)
    return [name for name in source if name in found]


def unchanged(merging: Merging, source: Mapping[str, Any], base: RowBase, returned: Mapping[str, Decimal]) -> bool:
    """Whether the legacy row is what both sides last had."""
    for name, value in source.items():
        if merging.table.rules.rule(name) == "sum":
            if number(value) - returned.get(name, Decimal(0)) != base.added.get(name, Decimal(0)):
                return False
        elif base.hashes.get(name) != digest(value):
            return False
    return True


def assumed(merging: Merging, target: Mapping[str, Any], returned: Mapping[str, Decimal], *, dirty: bool) -> RowBase:
    """What a row without a base had in common with the legacy side: itself while in step, nothing known when it changed since."""
    if dirty:
        return RowBase({}, {})
    rules = merging.table.rules
    return RowBase(
        {name: digest(value) for name, value in target.items() if rules.rule(name) != "sum"},
        {name: number(target[name]) - returned.get(name, Decimal(0)) for name in rules.counters if name in target},
    )


def moment(value: object) -> datetime | None:
    """A time, where there is one."""
    return value if isinstance(value, datetime) else None
