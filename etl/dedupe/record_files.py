"""The records of the last run: records.parquet as a full run wrote it, and beside it the records that arrived since.

A full run numbers everybody and writes the base. A run of arrivals leaves the base alone: what is new, or superseded, or gone, it
writes whole to a small file beside it, under numbers that stay. Whoever reads records reads both, through `scan_records`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import polars as pl

BASE: Final = "records.parquet"
FRESH: Final = "records-fresh.parquet"
GONE: Final = "gone"
"""Column of the fresh records that is true where a record is no longer staged."""


def fresh_path(records: Path) -> Path:
    """Where the records that came after `records` (the path of records.parquet) are, or would be."""
    return records.with_name(FRESH)


def scan_records(records: Path) -> pl.LazyFrame:
    """Every record as it is now, those of the base in their order, then those that changed or came later.

    `records`: the path of records.parquet.
    """
    base = pl.scan_parquet(records)
    beside = fresh_path(records)
    if not beside.is_file():
        return base
    fresh = pl.scan_parquet(beside)
    kept = base.join(fresh.select("record"), on="record", how="anti", maintain_order="left")
    columns = base.collect_schema().names()
    return pl.concat([kept, fresh.filter(~pl.col(GONE)).select(columns)])
