"""Reading the canary back: every row of it that the transform lets through must be on the target, value for value."""

from __future__ import annotations

from collections import Counter

import polars as pl

from etl.load.existing import as_compared, fetch_existing, those_that_fit
from etl.load.model import CanaryPart, CanaryResult
from etl.load.part import LoadPart
from etl.load.prepare import Prepared
from etl.load.ranges import cut
from etl.load.work import canary_work


def check_canary(prepared: Prepared, share: float) -> CanaryResult:
    """Compare the canary of every part with the target."""
    parts = tuple(check_part(prepared, part, share) for part in prepared.parts)
    return CanaryResult(share, prepared.settings.load.error_limit, parts)


def check_part(prepared: Prepared, part: LoadPart, share: float) -> CanaryPart:
    """One part. Without a key its rows cannot be found again: then only the rejects count."""
    rows = rejected = missing = changed = merged = 0
    columns: Counter[str] = Counter()
    batch_rows = prepared.settings.load.batch_rows
    for work in canary_work(part, share, batch_rows):
        for _, frame in cut(work.chunk.read(part.transform.source_columns), work.wanted, batch_rows):
            outcome = part.transform.apply(frame)
            expected = outcome.rows
            rows += frame.height
            merged += outcome.merged
            rejected += frame.height - expected.height - outcome.merged
            if part.keys and not expected.is_empty():
                lost, differing = compare_rows(prepared, part, expected)
                missing += lost
                changed += differing.pop("", 0)
                columns.update(differing)
    return CanaryPart(part.name, rows, rejected, missing, changed, tuple(name for name, _ in columns.most_common()), merged)


def compare_rows(prepared: Prepared, part: LoadPart, expected: pl.DataFrame) -> tuple[int, dict[str, int]]:
    """(rows that are not there, differing rows by column); "" counts each differing row once."""
    key = part.keys[0]
    there = fetch_existing(prepared.connection, part, expected.select(key))
    wanted = those_that_fit(part, expected)
    names = [f"__key_{number}" for number in range(len(key))]
    join_on = [as_compared(wanted, name).alias(alias) for name, alias in zip(key, names, strict=True)]
    both = wanted.with_columns(join_on).join(
        there.with_columns(pl.lit(True).alias("__found"), *join_on), on=names, how="left", suffix="__there"
    )
    found = both.filter(pl.col("__found"))
    differs = {name: int((~found[name].eq_missing(found[f"{name}__there"])).sum()) for name in part.column_names}
    any_differs = pl.any_horizontal(~pl.col(name).eq_missing(pl.col(f"{name}__there")) for name in part.column_names)
    counts = {name: count for name, count in differs.items() if count}
    counts[""] = int(found.select(any_differs.sum()).item())
    return expected.height - found.height, counts
