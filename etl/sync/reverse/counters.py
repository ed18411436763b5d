"""Counters of members with several records: which record takes a gain, and what it becomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

import polars as pl

from etl.sync.reverse.places import Place

Takers = list[Mapping[str, frozenset[int]]]
"""For each place, by counter: the rows that take its gain."""


def find_takers(counters: Sequence[str], members: pl.Series | None, places: Sequence[Place]) -> Takers:
    """Of several records of a member, one takes what counters gain: the one whose id is the member's own, else the first. For
    each place and counter, the rows that do."""
    best: dict[tuple[int, str], tuple[tuple[bool, int, str], int, int]] = {}
    for number, place in enumerate(places):
        for column in counters:
            if column not in place.inverse.writes:
                continue
            for row, (at, one) in enumerate(zip(place.at, place.ids, strict=True)):
                own = members is not None and one == str(members[at])
                merit = (not own, len(one or ""), one or "")
                if (at, column) not in best or merit < best[at, column][0]:
                    best[at, column] = (merit, number, row)
    takers: list[dict[str, set[int]]] = [{} for _ in places]
    for (_, column), (_, number, row) in best.items():
        takers[number].setdefault(column, set()).add(row)
    return [{column: frozenset(rows) for column, rows in one.items()} for one in takers]


def with_gains(like: pl.Series, now: pl.Series | None, gains: Sequence[Decimal]) -> pl.Series:
    """What a counter of legacy rows becomes: what it is, and its gain."""
    wide = pl.Decimal(38, 6)
    gained = pl.Series(gains, dtype=wide)
    total = gained if now is None else now.cast(wide).fill_null(0) + gained
    return total.cast(like.dtype)
