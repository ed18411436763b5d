"""Local times as UTC, exact through every change of a zone's clock, and fast where the clock no longer changes."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import polars as pl

from etl.mapping.transforms.base import put_back

STEP: Final = timedelta(days=7)
# Longer than any gap that a change of clock has ever made on one side of the world.
BEFORE_GAP: Final = timedelta(hours=3)


def known_zone(name: str) -> bool:
    """Is `name` a zone of the tz database?"""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


@cache
def settled_since(zone: str) -> tuple[datetime, timedelta]:
    """From when on the zone's offset never changes again, to within a week on the safe side, and that offset.

    >>> settled_since("Asia/Shanghai")
    (datetime.datetime(1991, 9, 16, 0, 0), datetime.timedelta(seconds=28800))
    """
    where = ZoneInfo(zone)
    moment = datetime(2099, 12, 28)
    final = where.utcoffset(moment) or timedelta(0)
    while moment.year >= 1900 and where.utcoffset(moment) == final:
        moment -= STEP
    return moment + STEP, final


def to_utc(local: pl.Expr, zone: str, *, ambiguous: str = "earliest", non_existent: str = "shift") -> pl.Expr:
    """Naive local times of `zone` as naive UTC.

    A time the clock showed twice is taken as its first showing ("earliest") or its second ("latest"); with "reject" it is NULL.
    A time the clock skipped is read by the offset before the change ("shift"), so it moves on by what was skipped; with
    "reject" it is NULL.

    >>> times = [datetime(2024, 11, 11), datetime(1988, 7, 1), datetime(1986, 5, 4, 2, 30)]
    >>> pl.DataFrame({"t": times}).select(to_utc(pl.col("t"), "Asia/Shanghai")).to_series().to_list() == [
    ...     datetime(2024, 11, 10, 16), datetime(1988, 6, 30, 15), datetime(1986, 5, 3, 18, 30)]
    True
    """
    since, offset = settled_since(zone)

    def exact(column: pl.Expr) -> pl.Expr:
        which = "null" if ambiguous == "reject" else ambiguous
        utc = utc_of(column, zone, which)
        return utc if non_existent == "reject" else pl.coalesce(utc, skipped(column, zone))

    def work(values: pl.Series) -> pl.Series:
        frame = values.to_frame("value")
        quick = frame.select(pl.col("value") - offset).to_series()
        odd = frame.select(pl.col("value") < since).to_series().fill_null(value=False)
        return put_back(quick, odd, frame.filter(odd).select(exact(pl.col("value"))).to_series()) if odd.any() else quick

    return local.cast(pl.Datetime("us")).map_batches(work, return_dtype=pl.Datetime("us"), is_elementwise=True)


def utc_of(column: pl.Expr, zone: str, ambiguous: str) -> pl.Expr:
    """The whole calendar of the zone; a skipped time is NULL."""
    # polars wants the literal names of `ambiguous` in the type; ours come from a mapping that was checked.
    at = column.dt.replace_time_zone(zone, ambiguous=ambiguous, non_existent="null")  # type: ignore[arg-type]  # as above
    return at.dt.convert_time_zone("UTC").dt.replace_time_zone(None)


def skipped(column: pl.Expr, zone: str) -> pl.Expr:
    """A time the clock skipped, read by the offset before the change; NULL for any other time."""
    exists = utc_of(column, zone, "earliest").is_not_null()
    return pl.when(~exists).then(utc_of(column - BEFORE_GAP, zone, "earliest") + BEFORE_GAP)


def clock_changed(local: pl.Expr, zone: str) -> pl.Expr:
    """Times before the zone settled: only these can have been shown twice or skipped."""
    return local.cast(pl.Datetime("us")) < settled_since(zone)[0]


def clock_remark(local: pl.Expr, zone: str) -> pl.Expr:
    """`ambiguous_time` or `nonexistent_time` for local times that are so, else NULL."""
    column = local.cast(pl.Datetime("us"))
    first, second = utc_of(column, zone, "earliest"), utc_of(column, zone, "latest")
    return (
        pl.when(column.is_not_null() & first.is_null())
        .then(pl.lit("nonexistent_time"))
        .when(first != second)
        .then(pl.lit("ambiguous_time"))
    )
