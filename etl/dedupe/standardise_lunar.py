"""The day that a birthday stands for when it was given by the lunar calendar, as many people born before 1980 do."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Final

import polars as pl

JULIAN_DAY_OF_1970: Final = 2_440_588
YEARS: Final = range(1901, 2101)


def solar_of_lunar(dates: pl.Series) -> pl.Series:
    """Each date, read as a lunar year, month and day, as the solar day it is; null where that month has no such day.

    Spring festival of 1988 was on 17 February:

    >>> from datetime import date
    >>> solar_of_lunar(pl.Series([date(1988, 1, 1), date(1988, 1, 31), None])).to_list()
    [datetime.date(1988, 2, 17), None, None]
    """
    frame = (
        dates.cast(pl.Date).alias("date").to_frame().with_columns(year=pl.col("date").dt.year(), month=pl.col("date").dt.month())
    )
    joined = frame.join(known_months(), on=["year", "month"], how="left", maintain_order="left")
    day = pl.col("date").dt.day().cast(pl.Int32)
    return joined.select(pl.when(day <= pl.col("days")).then((pl.col("first") + day - 1).cast(pl.Date))).to_series()


@cache
def known_months() -> pl.DataFrame:
    """year, month, days, first of the regular months of every year of YEARS, as `lunar_months` has computed them once for all:
    computing them costs half a second of every run."""
    text = (resources.files("etl.dedupe") / "lunar_months.csv").read_bytes()
    return pl.read_csv(text, schema={"year": pl.Int32, "month": pl.Int8, "days": pl.Int32, "first": pl.Int32})


def lunar_months(year: int) -> list[tuple[int, int, int, int]]:
    """(year, month, days, first day since 1970) of the regular months of a lunar year; leap months are left out."""
    from lunar_python import LunarYear

    months = [
        (month.getYear(), month.getMonth(), month.getDayCount(), int(month.getFirstJulianDay()) - JULIAN_DAY_OF_1970)
        for month in LunarYear.fromYear(year).getMonths()
    ]
    return [month for month in months if month[0] == year and month[1] > 0]
