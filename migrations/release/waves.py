"""Which stores move in which wave. Deterministic: the same plan and stores give the same waves, every store at most once.

A store that a wave names belongs to that wave, wherever it stands; `region` and `query` then take what is left of theirs, `count`
and `share` what is left of all, in the order of [stores].
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from etl.errors import ConfigurationError
from etl.load.sql import sql
from etl.settings import TargetSettings
from etl.target.bulk import BulkConnection
from etl.target.columns import text_of
from etl.target.connect import connect_bulk
from migrations.release.plan import Plan, StoresSettings, WaveSettings

READS: Final = re.compile(r"^\s*(select|with)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Store:
    """A store of the target, with what its region is ("" for none)."""

    code: str
    region: str = ""


@dataclass(frozen=True)
class Waves:
    """`waves`: the stores of each, in order. `left`: stores that the release leaves alone."""

    waves: tuple[tuple[str, ...], ...]
    left: tuple[str, ...] = field(default=())


def resolve_waves(plan: Plan, target: TargetSettings, moved: Collection[str] = ()) -> Waves:
    """The waves of a plan. `moved`: stores that are on TiDB already, which no wave gets.

    Raises ConfigurationError for a plan that does not fit the stores, TargetError where they cannot be read.
    """
    with connect_bulk(target) as connection:
        stores = read_stores(connection, plan.stores)
        asked = {
            number: ask_stores(connection, wave.query, wave.name)
            for number, wave in enumerate(plan.waves)
            if wave.query is not None
        }
    ours = "waves" not in plan.model_fields_set
    return assign_waves(plan.waves, stores, asked, moved, need_all=not ours)


def read_stores(connection: BulkConnection, settings: StoresSettings) -> tuple[Store, ...]:
    """All stores of the target, in the order in which `count` and `share` choose. Raises TargetError."""
    order = settings.order or settings.code
    names = {"code": settings.code, "region": settings.region, "table": settings.table, "order": order}
    rows = connection.query(sql("SELECT {code}, {region} FROM {table} ORDER BY {order}", names))
    stores = [Store(text_of(code).strip(), text_of(region).strip()) for code, region in rows]
    if settings.order:
        return tuple(stores)
    return tuple(sorted(stores, key=lambda store: natural(store.code)))


def ask_stores(connection: BulkConnection, query: str, wave: str) -> tuple[str, ...]:
    """The codes that a wave's query returns: it may only read. Raises ConfigurationError, TargetError."""
    statement = query.strip().rstrip(";").strip()
    if not READS.match(statement) or ";" in statement:
        raise ConfigurationError(
            f"The query of wave {wave!r} is not one SELECT.",
            "Write one statement that begins with SELECT or WITH and has no semicolon in it.",
        )
    connection.begin()
    try:
        rows: list[tuple[Any, ...]] = connection.query(statement)
    finally:
        connection.rollback()
    return tuple(dict.fromkeys(text_of(row[0]).strip() for row in rows))


def assign_waves(
    waves: Sequence[WaveSettings],
    stores: Sequence[Store],
    asked: Mapping[int, Sequence[str]],
    moved: Collection[str] = (),
    *,
    need_all: bool = True,
) -> Waves:
    """Stores to waves. `asked`: what the queries of waves returned, by the number of the wave. `need_all`: a wave for which no
    store is left is refused; else it and those after it are left out. Raises ConfigurationError."""
    known = {store.code: store for store in stores}
    named = named_stores(waves, known, moved)
    free = {code: store for code, store in known.items() if code not in named and code not in moved}
    chosen: list[tuple[str, ...]] = []
    for number, wave in enumerate(waves):
        mine = wave.stores or choose(wave, free, len(known), asked.get(number, ()), known)
        if not mine and chosen and not need_all:
            break
        if not mine:
            raise no_stores(wave, known)
        for code in mine:
            free.pop(code, None)
        chosen.append(tuple(mine))
    return Waves(tuple(chosen), tuple(free))


def named_stores(waves: Sequence[WaveSettings], known: Mapping[str, Store], moved: Collection[str]) -> dict[str, str]:
    """The wave of every store that is named. Raises ConfigurationError for one that is unknown, named twice or moved."""
    named: dict[str, str] = {}
    for wave in waves:
        for code in wave.stores:
            if code not in known:
                raise unknown_store(wave, code, known)
            if code in named:
                where = f"twice in wave {wave.name!r}" if named[code] == wave.name else f"in {named[code]!r} and in {wave.name!r}"
                raise ConfigurationError(
                    f"Store {code} is {where}.", f"Remove it from one place: a store moves once. Wave {wave.name!r} is the later."
                )
            if code in moved:
                raise ConfigurationError(f"Store {code} of wave {wave.name!r} is on TiDB already.", "Remove it from the plan.")
            named[code] = wave.name
    return named


def choose(
    wave: WaveSettings, free: Mapping[str, Store], total: int, asked: Sequence[str], known: Mapping[str, Store]
) -> tuple[str, ...]:
    """The stores of a wave that does not name them."""
    if wave.query is not None:
        unknown = next((code for code in asked if code not in known), None)
        if unknown is not None:
            raise unknown_store(wave, unknown, known)
        return tuple(code for code in asked if code in free)
    if wave.region is not None:
        return tuple(code for code, store in free.items() if store.region == wave.region)
    count = wave.count if wave.count is not None else share_of(total, wave.share or 0.0)
    return tuple(free)[:count]


def share_of(total: int, share: float) -> int:
    """A share of a number, as it is written in decimals, rounded up.

    >>> share_of(100, 0.07), share_of(30, 0.1), share_of(3, 0.1)
    (7, 3, 1)
    """
    return math.ceil(total * Decimal(str(share)))


def natural(code: str) -> tuple[tuple[str, int], ...]:
    """An order in which S2 comes before S10.

    >>> sorted(["S10", "S2", "B1"], key=natural)
    ['B1', 'S2', 'S10']
    """
    return tuple((part, -1) if number % 2 == 0 else ("", int(part)) for number, part in enumerate(re.split(r"([0-9]+)", code)))


def unknown_store(wave: WaveSettings, code: str, known: Mapping[str, Store]) -> ConfigurationError:
    """What to say of a store that the target does not have."""
    near = difflib.get_close_matches(code, known, n=1)
    hint = (
        f"Did you mean {near[0]!r}?" if near else f"The target has {len(known)} stores, such as {', '.join(sorted(known)[:3])}."
    )
    return ConfigurationError(f"Wave {wave.name!r} has a store {code!r} that the target does not.", hint)


def no_stores(wave: WaveSettings, known: Mapping[str, Store]) -> ConfigurationError:
    """What to say of a wave for which nothing is left."""
    regions = sorted({store.region for store in known.values() if store.region})
    if not known:
        return ConfigurationError("The target has no stores.", "Load them first: membershift load --table store")
    if wave.region is not None and wave.region not in regions:
        near = difflib.get_close_matches(wave.region, regions, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(regions[:10])}."
        return ConfigurationError(f"Wave {wave.name!r}: no store is in {wave.region!r}.", hint)
    return ConfigurationError(
        f"No store is left for wave {wave.name!r}.", "Remove the wave, or let an earlier one take fewer stores."
    )
