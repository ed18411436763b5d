"""Crosswalk entries without a legacy row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from etl.load.crosswalk import ENTRY_SCHEMA
from etl.names import backtick
from etl.reconcile.expected import Expectation
from etl.reconcile.match import Matcher
from etl.reconcile.plan import LINK, PartPlan
from etl.reconcile.rows import Comparison, Limits, Sides, read_part
from etl.reconcile.spill import Spill


@dataclass(frozen=True)
class ExtraEntries:
    """Entries (source_id, member_id) by system that no legacy row stands behind; `imported` counts those of imported members,
    which are not among them."""

    extra: dict[str, pl.DataFrame]
    imported: int = 0


def find_extra_entries(sides: Sides, comparison: Comparison, sizes: dict[str, int], limits: Limits) -> ExtraEntries:
    """Look for entries without a legacy row.

    `sizes` are the numbers of entries. Where as many were met as there are, nothing is read; else the system's legacy rows are
    read once more.
    """
    extra: dict[str, pl.DataFrame] = {}
    imported = 0
    for part in comparison.plan.parts:
        system = part.part.defines_member
        if system is None or comparison.tally.links_present.get(system.name, 0) == sizes.get(system.name, 0):
            continue
        entries, from_files = unmatched_entries(sides, comparison, part, system.name, limits)
        imported += from_files
        if not entries.is_empty():
            extra[system.name] = entries
    return ExtraEntries(extra, imported)


def unmatched_entries(
    sides: Sides, comparison: Comparison, part: PartPlan, system: str, limits: Limits
) -> tuple[pl.DataFrame, int]:
    """Compare the ids of one system with its legacy rows: entries that are extra, and how many more came from files."""
    left = [pl.DataFrame(schema=ENTRY_SCHEMA)]
    with Spill(limits.folder, [LINK]) as spill:
        matcher = Matcher([LINK], [], spill)
        for entries in read_entries(sides, system, limits.batch_rows):
            matcher.add("actual", entries)
        home = None if sides.merged is None else sides.merged.registry.home
        for batch in read_part(sides, Expectation(comparison.plan, sides.crosswalk, home=home), part, limits.batch_rows):
            matcher.add("expected", batch.rows.select(LINK))
            if batch.aside is not None:
                matcher.add("expected", batch.aside.select(LINK))
        rests = (unmatched.actual for unmatched in matcher.finish())
        left.extend(rest.select(pl.col(LINK).alias("source_id"), "member_id") for rest in rests if not rest.is_empty())
    entries = pl.concat(left)
    from_files = sides.imported(comparison.plan).linked(entries["source_id"])
    return entries.filter(~from_files).head(limits.kept), int(from_files.sum())


def read_entries(sides: Sides, system: str, batch_rows: int) -> Iterator[pl.DataFrame]:
    """All entries of a system, in no order."""
    table = f"{backtick(sides.schema)}.member_source"
    sql = " ".join(("SELECT source_id, member_id FROM", table, "WHERE source = %s"))
    for frame in sides.stream.read_frame(sql, dict(ENTRY_SCHEMA), (system,), batch_rows=batch_rows):
        yield frame.rename({"source_id": LINK})
