"""Inverses of dates and times: UTC back to the legacy clock, rounded as its type rounds, sentinels where NULL is refused."""

from __future__ import annotations

from datetime import date, datetime
from typing import Final

import polars as pl

from etl.mapping.transforms.base import list_argument, text_argument
from etl.sync.reverse.inverse_base import Inverse, Slot, Wanted

SECOND_US: Final = 1_000_000
MINUTE_US: Final = 60 * SECOND_US
DAY_US: Final = 86_400 * SECOND_US
TICK_US: Final = 3_334
"""datetime counts three-hundredths of a second."""

FIRST_DAY: Final = {"datetime": date(1753, 1, 1), "smalldatetime": date(1900, 1, 1)}
LAST_DAY: Final = {"smalldatetime": date(2079, 6, 6)}


def precision_us(slot: Slot) -> int:
    """How far apart two neighbouring values of a date or time type are, in microseconds, rounded up."""
    match slot.column.type_name:
        case "date":
            return DAY_US
        case "smalldatetime":
            return MINUTE_US
        case "datetime":
            return TICK_US
        case "datetime2" | "datetimeoffset" | "time":
            return int(10 ** max(0, 6 - slot.column.scale))
        case _:
            return 1


def rounded(value: pl.Expr, slot: Slot) -> pl.Expr:
    """A time as the slot's type rounds it, so that the server has nothing left to round.

    >>> from etl.source.catalog import Column
    >>> slot = Slot("t", Column("t", "datetime", 8, 23, 3, True), pl.Datetime("us"))
    >>> times = [datetime(2024, 1, 31, 8, 0, 0, 4_000), datetime(1960, 1, 1, 0, 0, 0, 9_999)]
    >>> [str(time)[17:] for time in pl.DataFrame({"t": times}).select(rounded(pl.col("t"), slot)).to_series()]
    ['00.003000', '00.010000']
    """
    us = value.cast(pl.Datetime("us")).to_physical()
    if slot.column.type_name == "datetime":
        ticks = (us * 3 + 5_000) // 10_000
        return ((ticks * 20 + 3) // 6 * 1_000).cast(pl.Datetime("us"))
    step = precision_us(slot)
    if step in (1, DAY_US):
        return value.cast(pl.Datetime("us"))
    return ((us + step // 2) // step * step).cast(pl.Datetime("us"))


def to_local(value: pl.Expr, zone: str) -> pl.Expr:
    """A UTC time on the clock of a zone.

    >>> pl.select(to_local(pl.lit(datetime(2024, 11, 10, 16)), "Asia/Shanghai")).item()
    datetime.datetime(2024, 11, 11, 0, 0)
    """
    utc = value.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    return utc.dt.convert_time_zone(zone).dt.replace_time_zone(None)


def offset_minutes(value: pl.Expr, zone: str) -> pl.Expr:
    """Minutes east of UTC that a zone's clock shows at a UTC time."""
    return (to_local(value, zone) - value.cast(pl.Datetime("us"))).dt.total_minutes().cast(pl.Int16)


def into(value: pl.Expr, slot: Slot) -> pl.Expr:
    """A date and time in the slot's type."""
    match slot.kind:
        case "datetime":
            return rounded(value, slot)
        case "date":
            return value.dt.date()
        case "time":
            return value.dt.time()
        case _:
            return time_text(value)


def time_text(value: pl.Expr) -> pl.Expr:
    """A date and time as text; a date alone at midnight."""
    midnight = value.cast(pl.Datetime("us")).to_physical() % DAY_US == 0
    return pl.when(midnight).then(value.dt.strftime("%Y-%m-%d")).otherwise(value.dt.strftime("%Y-%m-%d %H:%M:%S%.6f"))


def sentinel(wanted: Wanted, slot: Slot) -> pl.Expr | None:
    """The first day that means "none" and that the slot's type holds; None where the slot takes NULL or there is no such day."""
    if slot.column.nullable:
        return None
    for text in list_argument(wanted.args, "sentinels"):
        day = date.fromisoformat(text)
        if FIRST_DAY.get(slot.column.type_name, day) <= day <= LAST_DAY.get(slot.column.type_name, day):
            return into(pl.lit(datetime(day.year, day.month, day.day)), slot)
    return None


def filled(expr: pl.Expr, wanted: Wanted, slot: Slot) -> pl.Expr:
    """With the sentinel where there is no value."""
    none = sentinel(wanted, slot)
    return expr if none is None else pl.when(wanted.value.is_null()).then(none).otherwise(expr)


def local_time(wanted: Wanted) -> dict[str, pl.Expr]:
    """The time on the legacy clock, in one column or as a date and a time of day."""
    zone = text_argument(wanted.args, "zone") or wanted.zone
    local = to_local(wanted.value, zone)
    if len(wanted.slots) == 1:
        (slot,) = wanted.slots
        return {slot.name: filled(into(local, slot), wanted, slot)}
    day, clock = wanted.slots
    # Rounded before it is cut in two: 23:59:59.9 is midnight of the next day to a time(0).
    whole = rounded(local, clock)
    time_of_day = whole.dt.strftime("%H:%M:%S%.f") if clock.kind == "text" else whole.dt.time()
    date_of_day = whole.dt.strftime("%Y-%m-%d") if day.kind == "text" else into(whole.dt.truncate("1d"), day)
    return {day.name: filled(date_of_day, wanted, day), clock.name: time_of_day}


def utc_time(wanted: Wanted) -> dict[str, pl.Expr]:
    """The instant itself. The offset beside it is another column's, or stays."""
    (slot,) = wanted.slots
    return {slot.name: filled(into(wanted.value, slot), wanted, slot)}


def calendar_date(wanted: Wanted) -> dict[str, pl.Expr]:
    """The date, at midnight where the slot has a time too."""
    (slot,) = wanted.slots
    value = wanted.value.dt.strftime("%Y-%m-%d") if slot.kind == "text" else into(wanted.value.cast(pl.Datetime("us")), slot)
    return {slot.name: filled(value, wanted, slot)}


INVERSES: Final[dict[str, Inverse]] = {"local_time": local_time, "utc_time": utc_time, "date": calendar_date}
