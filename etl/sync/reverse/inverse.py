"""A part of the mapping read backwards: which target column decides each place of a legacy row, and how.

Of several target columns made of one legacy column, the first with an inverse decides it (keys before all others); the rest
follow from it, such as a name's key for comparing. Nothing here is trusted: see `checked.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import polars as pl

from etl.mapping.compile import polars_schema
from etl.mapping.model import ColumnMapping
from etl.reconcile.plan import PartPlan, TablePlan
from etl.source.catalog import Table
from etl.source.extract import DAMAGED_SUFFIX, OFFSET_SUFFIX, canonical_schema, select_list
from etl.sync.reverse import inverse_numbers, inverse_text, inverse_times
from etl.sync.reverse.inverse_base import Inverse, Slot, Wanted
from etl.sync.reverse.inverse_times import offset_minutes
from etl.sync.reverse.model import CLOCK

INVERSES: Final[dict[str, Inverse]] = {**inverse_text.INVERSES, **inverse_numbers.INVERSES, **inverse_times.INVERSES}
"""Inverses by the transform's name. `name_key` has none and needs none; a constant has none either."""

TOTALS: Final = ("sum", "difference")

WANTED: Final = "→"
"""Beginning of the name of a target column's value beside the legacy row that is to hold it."""

MASK: Final = "?"
"""Beginning of the name of a flag: this column of this row is to be written."""


@dataclass(frozen=True)
class PartInverse:
    """`slots`: every place of the part's legacy rows, by staged name. `writes`: for each target column that decides anything, the
    values of its slots. `follow`: target columns that others decide. `fixed`: those that the part fills with a constant.
    `members`: references, by target column, with the slot that holds the other system's key. `clock`: slots of CLOCK."""

    part: PartPlan
    slots: Mapping[str, Slot]
    writes: Mapping[str, Mapping[str, pl.Expr]]
    follow: tuple[str, ...]
    fixed: tuple[str, ...]
    members: Mapping[str, Slot]
    clock: tuple[str, ...]
    identity: tuple[str, ...]
    zone: str

    @property
    def carried(self) -> tuple[str, ...]:
        """Target columns whose value a legacy row of this part holds."""
        return (*self.writes, *self.follow)

    def slot_owner(self, name: str) -> str | None:
        """The target column that decides a slot."""
        return next((column for column, slots in self.writes.items() if name in slots), None)

    def legacy_rows(self, work: pl.DataFrame) -> pl.DataFrame:
        """Legacy rows as they are to be, in the columns of the extract.

        `work`: for each row what the legacy side has now (staged columns, NULL for a row to be inserted), and WANTED and MASK for
        each target column of `writes`.
        """
        rows = work
        for totals in (False, True):  # what is left of a total is known once its other parts are
            chosen: dict[str, pl.Expr] = {}
            for column, slots in self.writes.items():
                if (self.transform_of(column) in TOTALS) is totals:
                    for name, value in slots.items():
                        before = chosen.get(name, pl.col(name))
                        chosen[name] = pl.when(pl.col(MASK + column)).then(value).otherwise(before)
            if not chosen:
                continue
            rows = rows.with_columns(expr.cast(self.slots[name].dtype, strict=False).alias(name) for name, expr in chosen.items())
        return self.with_offsets(rows.select(list(self.slots)))

    def transform_of(self, column: str) -> str:
        """The transform that makes a target column."""
        return self.part.part.column(column).transform

    def legacy_keys(self, rows: pl.DataFrame) -> pl.DataFrame | None:
        """The legacy key that rows of the target (its columns) would have; None where the mapping does not say."""
        given: list[pl.Expr] = []
        for name in self.part.part.key:
            owner = self.slot_owner(name)
            if owner is None or owner not in self.part.part.target_key:
                return None
            given.append(self.writes[owner][name].cast(self.slots[name].dtype, strict=False).alias(name))
        return rows.select(pl.col(name).alias(WANTED + name) for name in rows.columns).select(given)

    def with_offsets(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Every datetimeoffset has an offset: where nothing says which, that of the zone."""
        offsets = [
            pl.when(pl.col(name).is_not_null())
            .then(pl.coalesce(pl.col(name + OFFSET_SUFFIX), offset_minutes(pl.col(name), self.zone)))
            .alias(name + OFFSET_SUFFIX)
            for name, slot in self.slots.items()
            if slot.column.type_name == "datetimeoffset" and not name.endswith(OFFSET_SUFFIX)
        ]
        return rows.with_columns(offsets) if offsets else rows


def invert_part(part: PartPlan, zone: str) -> PartInverse:
    """Read a part backwards. `zone`: of the legacy clock."""
    slots = slots_of(part.table)
    columns = {plan.mapping.target: plan.mapping for plan in part.compiled.plans}
    order = sorted(columns.values(), key=lambda mapping: mapping.target not in part.part.target_key)
    decided: dict[str, str] = {}
    writes: dict[str, Mapping[str, pl.Expr]] = {}
    for several in (False, True):  # what has a column of its own goes before what is made of several
        for mapping in order:
            if (len(mapping.sources) > 1) is several and mapping.target != CLOCK:
                given = values_for(mapping, slots, decided, zone)
                if given:
                    writes[mapping.target] = given
                    decided.update(dict.fromkeys(given, mapping.target))
    for mapping in columns.values():
        if mapping.target == CLOCK and (given := values_for(mapping, slots, decided, zone)):
            writes[CLOCK] = given
    fixed = tuple(name for name, mapping in columns.items() if mapping.transform == "constant")
    return PartInverse(
        part=part,
        slots=slots,
        writes=writes,
        follow=tuple(name for name in columns if name not in writes and name not in fixed and name != CLOCK),
        fixed=fixed,
        members={
            name: slots[mapping.sources[0]]
            for name, mapping in columns.items()
            if mapping.member is not None and mapping.sources[0] in slots
        },
        clock=tuple(writes.get(CLOCK, {})),
        identity=tuple(column.name for column in part.table.columns if column.is_identity),
        zone=zone,
    )


def slots_of(table: Table) -> dict[str, Slot]:
    """The places of a table's rows."""
    schema = polars_schema(canonical_schema(table))
    return {
        item.name: Slot(item.name, table.by_name[item.column], schema[item.name])
        for item in select_list(table)
        if not item.name.endswith(DAMAGED_SUFFIX)
    }


def values_for(mapping: ColumnMapping, slots: Mapping[str, Slot], decided: Mapping[str, str], zone: str) -> dict[str, pl.Expr]:
    """What one target column gives the slots that are still open; empty when it decides none."""
    if not mapping.sources or any(name not in slots for name in mapping.sources):
        return {}  # a constant, or read from a table beside the row
    mine = tuple(slots[name] for name in mapping.sources)
    value = pl.col(WANTED + mapping.target)
    free = frozenset(name for name in slots if name not in decided)
    if mapping.member is not None:
        given = {mine[0].name: value.cast(mine[0].dtype, strict=False)}
    elif (inverse := INVERSES.get(mapping.transform)) is not None:
        given = inverse(Wanted(value, mapping.args, mine, free, zone))
    else:
        given = {}
    if mapping.transform in TOTALS:
        return given
    return {name: expr for name, expr in given.items() if name in free} if free.issuperset(mapping.sources) else {}


def discriminators(plan: TablePlan) -> tuple[str, ...]:
    """Columns that every part fills with another constant: they say which part a row belongs to. None for a single part."""
    told: list[str] = []
    for name in plan.schema:
        values = [
            str(column.mapping.args["value"])
            for part in plan.parts
            for column in part.compiled.plans
            if column.mapping.target == name and column.mapping.transform == "constant"
        ]
        if len(plan.parts) > 1 and len(set(values)) == len(plan.parts):
            told.append(name)
    return tuple(told)
