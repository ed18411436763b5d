"""The table of lunar months is what the almanac computes."""

from __future__ import annotations

import polars as pl

from etl.dedupe.standardise_lunar import YEARS, known_months, lunar_months


def test_the_table_is_what_is_computed() -> None:
    computed = [month for year in YEARS[::9] for month in lunar_months(year)]
    known = known_months()
    assert known.filter(pl.col("year").is_in(list(YEARS[::9]))).rows() == computed
    assert known["year"].unique().to_list() == list(YEARS)
