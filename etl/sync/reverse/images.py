"""What the legacy rows of target rows make of them: one row by the mapping, several records of a member by golden rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from etl.dedupe.golden import golden_where_sums_fit
from etl.reconcile.expected import SYSTEM, Lookup
from etl.reconcile.merged import Survive, as_records
from etl.reconcile.plan import LINK, TablePlan
from etl.sync.reverse.checked import Seen, see
from etl.sync.reverse.places import AT, Place

Beside = Mapping[str, Mapping[str, pl.DataFrame]]
"""Lookup tables of each part, by the part's name."""

RECORD: Final = "__record"


@dataclass(frozen=True)
class Images:
    """`rows`: by row of the batch, what the legacy side makes of it; rows it makes nothing of are not there. `seen`: what the
    mapping makes of each place's rows."""

    rows: Mapping[int, dict[str, Any]]
    frame: pl.DataFrame
    seen: tuple[Seen, ...]


def read_images(
    plan: TablePlan,
    places: Sequence[Place],
    frames: Sequence[pl.DataFrame],
    members: pl.Series | None,
    tools: Tools,
    known: Sequence[Seen | None] | None = None,
) -> Images:
    """Images of `places`, whose legacy rows are `frames`. `members`: for a table of members, the id of each row of the batch.
    `known`: what the mapping makes of a place's rows, where that is known already."""
    seen: list[Seen] = []
    records: list[pl.DataFrame] = []
    for place, frame, before in zip(places, frames, known or [None] * len(places), strict=True):
        own = None if members is None else members.gather(place.at)
        beside = tools.beside.get(place.part.part.name, {})
        one = see(plan, place.inverse, frame, own, tools.lookup, beside) if before is None else before
        seen.append(one)
        system = place.part.part.defines_member
        records.append(
            one.rows.with_columns(
                place.at.alias(AT),
                pl.lit(None if system is None else system.name, pl.String).alias(SYSTEM),
                place.ids.alias(LINK),
            ).filter(one.kept)
        )
    together = pl.concat(records) if records else pl.DataFrame(schema={**plan.schema, AT: pl.Int64()})
    frame = fold(plan, together, tools.survive) if members is not None and together.height else together
    columns = frame.select(AT, *plan.schema.names())
    return Images({int(row.pop(AT)): row for row in columns.to_dicts()}, columns, tuple(seen))


def fold(plan: TablePlan, records: pl.DataFrame, survive: Survive) -> pl.DataFrame:
    """One row a member: golden where it has several records, none where a sum of theirs does not fit."""
    several = records[AT].is_duplicated()
    single = records.filter(~several).select(AT, *plan.schema.names())
    if not several.any():
        return single
    aside = records.filter(several)
    (member_id,) = plan.key
    rows = golden_where_sums_fit(survive, as_records(plan, aside))[0].rows
    golden = rows.join(aside.select(member_id, AT).unique(), on=member_id)
    return pl.concat([single, golden.select(AT, *plan.schema.names())])


@dataclass(frozen=True)
class Tools:
    """What making images takes."""

    lookup: Lookup
    beside: Beside
    survive: Survive
