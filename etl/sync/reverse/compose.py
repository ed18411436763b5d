"""The legacy rows of a batch as they are to be, each one proved: the mapping makes of it the target row it stands for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final

import polars as pl

from etl.sync.plan import SyncTable
from etl.sync.reverse.checked import differ, staged_form
from etl.sync.reverse.counters import Takers, find_takers, with_gains
from etl.sync.reverse.decide import Columns, Decision
from etl.sync.reverse.fits import find_misfits
from etl.sync.reverse.images import Images, Tools, read_images
from etl.sync.reverse.inverse import MASK, WANTED
from etl.sync.reverse.model import CLOCK
from etl.sync.reverse.places import Place
from etl.sync.reverse.proof import Dead, Reason, find_lost, prove
from etl.sync.reverse.tidy import Tidying, with_values

UPDATED_AT: Final = "updated_at"
NOTHING: Final = Decimal(0)

MemberKeys = Mapping[tuple[str, int], str]
"""Legacy id by (system, member), for rows that refer to members."""


@dataclass(frozen=True)
class Written:
    """Rows of one place as they are to be: `frame` in the extract's columns; `slots`: which of them are written, by name."""

    place: Place
    frame: pl.DataFrame
    slots: pl.DataFrame


@dataclass
class Composition:
    """What is to be written, and the rows of the batch that are not, with the reason."""

    written: list[Written] = field(default_factory=list)
    takers: Takers = field(default_factory=list)
    dead: Dead = field(default_factory=dict)


@dataclass(frozen=True)
class Batch:
    """Rows of one table: `rows` as DirtyRows has them, `members` of a table of members, keys for references to members."""

    table: SyncTable
    rows: pl.DataFrame
    members: pl.Series | None
    keys: MemberKeys
    tools: Tools


def compose(
    batch: Batch,
    places: Sequence[Place],
    images: Images,
    decisions: Mapping[int, Decision],
    columns: Mapping[int, Columns],
) -> Composition:
    """Legacy rows that hold what `decisions` send; `images` are those of the first places, that are there already. Where writing
    one column moves another (a golden record that takes the most recent value, say), that one is written too, in a second pass,
    and so is a text in its tidy form, and a change of one record that writing to another would hide. Decisions learn their
    echoes."""
    nows = [seen.rows for seen in images.seen] + [None] * (len(places) - len(images.seen))
    takers = find_takers(batch.table.rules.counters, batch.members, places)
    made = Composition()
    for last in (False, True):
        made = Composition(takers=takers)
        for number, (place, now) in enumerate(zip(places, nows, strict=True)):
            target = batch.rows[place.at] if now is not None else with_pending(batch, place, images, decisions)
            made.written.append(write_place(batch, place, target, now, decisions, takers[number], made.dead))
        frames = [written.frame for written in made.written]
        before = [*images.seen, *([None] * (len(places) - len(images.seen)))]
        known = [seen if is_untouched(one) else None for one, seen in zip(made.written, before, strict=True)]
        after = read_images(batch.table.plan, places, frames, batch.members, batch.tools, known)
        for place, seen in zip(places, after.seen, strict=True):
            for row, why in seen.reasons.items():
                made.dead.setdefault(int(place.at[row]), Reason("refused_by_mapping", why))
        tidy = Tidying(batch.table.plan.key, places, [written.slots for written in made.written], after.seen)
        if not prove(batch.rows, images, after, decisions, columns, made.dead, tidy=tidy.form, last=last):
            break
        kept = {(at, name): value for at, one in decisions.items() for name, value in one.kept.items()}
        batch = replace(batch, rows=with_values(batch.rows, tidy.found | kept))
    return made


def is_untouched(written: Written) -> bool:
    """Whether nothing at all is written to a place: then it is to the mapping what it was."""
    return not any(written.slots[name].any() for name in written.slots.columns)


def with_pending(batch: Batch, place: Place, images: Images, decisions: Mapping[int, Decision]) -> pl.DataFrame:
    """What new rows are to say: where the member has other records, and forward has a change of theirs still to come, that."""
    target = batch.rows[place.at]
    if not any(int(at) in images.rows for at in place.at):
        return target
    rows = target.to_dicts()
    for at, row in zip(place.at, rows, strict=True):
        before, decision = images.rows.get(int(at)), decisions.get(int(at))
        if before is not None and decision is not None:
            row.update({name: value for name, value in before.items() if name not in decision.send})
    return pl.DataFrame(rows, schema=target.schema)


def write_place(
    batch: Batch,
    place: Place,
    target: pl.DataFrame,
    now: pl.DataFrame | None,
    decisions: Mapping[int, Decision],
    takers: Mapping[str, frozenset[int]],
    dead: Dead,
) -> Written:
    """One place's rows with the values that are sent, and whatever of them does not fit. `now`: what they are to the mapping."""
    inverse = place.inverse
    wanted: dict[str, pl.Series] = {}
    masks: dict[str, pl.Series] = {}
    touched = pl.Series([place.new] * len(place.at), dtype=pl.Boolean)
    for column in inverse.writes:
        if column == CLOCK:
            continue
        if column in batch.table.rules.counters:
            taking = takers.get(column, frozenset())
            gains = [
                decisions[at].gains.get(column, NOTHING) if at in decisions and row in taking else NOTHING
                for row, at in enumerate(place.at)
            ]
            wanted[column] = with_gains(target[column], None if now is None else now[column], gains)
            masks[column] = touched | pl.Series([gain != 0 for gain in gains], dtype=pl.Boolean) if now is not None else touched
            continue
        wanted[column] = wanted_values(batch, place, column, target)
        if now is None:
            masks[column] = touched
        else:
            sent = [at in decisions and (column in decisions[at].send or column in decisions[at].kept) for at in place.at]
            masks[column] = pl.Series(sent, dtype=pl.Boolean) & differ(now[column], target[column])
    for column, flags in masks.items():
        # Points that were added say nothing of the record's other values: it is no more recent than it was.
        touched = touched if column in batch.table.rules.counters else touched | flags
    if CLOCK in inverse.writes:
        wanted[CLOCK], masks[CLOCK] = target[UPDATED_AT], touched
    work = place.frame.with_columns(
        *(series.alias(WANTED + column) for column, series in wanted.items()),
        *(series.alias(MASK + column) for column, series in masks.items()),
    )
    rows = inverse.legacy_rows(work)
    slots = pl.DataFrame({name: masks[column] for column, names in inverse.writes.items() for name in names})
    slots = slots.drop([name for name in inverse.identity if name in slots.columns])
    find_lost(place, wanted, masks, rows, dead)
    for misfit in find_misfits(rows, dict(inverse.slots), slots):
        dead.setdefault(int(place.at[misfit.row]), Reason(misfit.reason, misfit.detail))
    return Written(place, staged_form(place.part, rows), slots)


def wanted_values(batch: Batch, place: Place, column: str, target: pl.DataFrame) -> pl.Series:
    """What a place should hold of a column: the target's value, a reference to a member as the legacy id."""
    mapping, part = place.part.part.column(column), place.part.part
    if mapping.member is None:
        return target[column]
    if part.defines_member is not None and column in part.target_key:
        return place.ids
    names = [None if member is None else batch.keys.get((mapping.member, member)) for member in target[column]]
    return pl.Series(names, dtype=pl.String)
