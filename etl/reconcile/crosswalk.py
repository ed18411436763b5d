"""Crosswalk entries without a legacy row."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from etl.load.crosswalk import ENTRY_SCHEMA
from etl.names import backtick
from etl.reconcile.expected import Expectation
from etl.reconcile.match import Matcher
from etl.reconcile.plan import LINK, PartPlan
from etl.reconcile.rows import Comparison, Limits, Sides, read_part
from etl.reconcile.spill import Spill


def find_extra_entries(sides: Sides, comparison: Comparison, sizes: dict[str, int], limits: Limits) -> dict[str, pl.DataFrame]:
    """Entries (source_id, member_id) by system that no legacy row stands behind.

    `sizes` are the numbers of entries. Where as many were met as there are, nothing is read; else the system's legacy rows are
    read once more.
    """
    extra: dict[str, pl.DataFrame] = {}
    for part in comparison.plan.parts:
        system = part.part.defines_member
        if system is None or comparison.tally.links_present.get(system.name, 0) == sizes.get(system.name, 0):
            continue
        entries = unmatched_entries(sides, comparison, part, system.name, limits)
        if not entries.is_empty():
            extra[system.name] = entries
    return extra


def unmatched_entries(sides: Sides, comparison: Comparison, part: PartPlan, system: str, limits: Limits) -> pl.DataFrame:
    """Compare the ids of one system with its legacy rows."""
    left = [pl.DataFrame(schema=ENTRY_SCHEMA)]
    with Spill(limits.folder, [LINK]) as spill:
        matcher = Matcher([LINK], [], spill)
        for entries in read_entries(sides, system, limits.batch_rows):
            matcher.add("actual", entries)
        for batch in read_part(sides, Expectation(comparison.plan, sides.crosswalk), part, limits.batch_rows):
            matcher.add("expected", batch.rows.select(LINK))
        rests = (unmatched.actual for unmatched in matcher.finish())
        left.extend(rest.select(pl.col(LINK).alias("source_id"), "member_id") for rest in rests if not rest.is_empty())
    return pl.concat(left).head(limits.kept)


def read_entries(sides: Sides, system: str, batch_rows: int) -> Iterator[pl.DataFrame]:
    """All entries of a system, in no order."""
    table = f"{backtick(sides.schema)}.member_source"
    sql = " ".join(("SELECT source_id, member_id FROM", table, "WHERE source = %s"))
    for frame in sides.stream.read_frame(sql, dict(ENTRY_SCHEMA), (system,), batch_rows=batch_rows):
        yield frame.rename({"source_id": LINK})
