"""Deletes found by comparing keys, brought to the target as if they had been told."""

from __future__ import annotations

from typing import Final

import polars as pl

from etl.mapping.compile import polars_schema
from etl.mapping.outcome import FINDING_SCHEMA
from etl.source.extract import canonical_schema
from etl.sync.forward.append import Page, apply_page
from etl.sync.forward.apply import add
from etl.sync.forward.both import apply_both, apply_wanted
from etl.sync.forward.compare_keys import gone_records, gone_rows
from etl.sync.forward.transform import LEGACY, Transformed
from etl.sync.forward.wanted import Wanted
from etl.sync.forward.work import Work
from etl.sync.model import DELETED, KEY, OURS, VERSION, Counts

NO_KEYS: Final = pl.Series(KEY, [], dtype=pl.String)


def delete_missing(work: Work) -> Counts:
    """Compare all keys of a part's table on both sides; delete what no legacy row stands for any more."""
    total = Counts()
    if work.part.part.defines_member is not None:
        for some in gone_records(work).to_frame(KEY).iter_slices(work.page_rows):
            total = add(total, apply_both(work, deleted_changes(work, some[KEY]), None, None, None))
        return total
    nothing = nothing_made(work)
    for some in gone_rows(work).iter_slices(work.page_rows):
        if work.is_merged:
            counts = apply_wanted(work, Wanted(nothing, nothing.rows.drop(LEGACY), {}, some, NO_KEYS), None, None)
        else:
            counts = apply_page(work, Page(nothing, nothing.rows, some, NO_KEYS, (), 0), None, None)
        total = add(total, counts)
    return total


def nothing_made(work: Work) -> Transformed:
    """No row at all."""
    rows = pl.DataFrame(schema={**work.plan.schema, LEGACY: pl.String, KEY: pl.String})
    return Transformed(rows, pl.DataFrame(schema=FINDING_SCHEMA), NO_KEYS)


def deleted_changes(work: Work, keys: pl.Series) -> pl.DataFrame:
    """Legacy rows of these keys, as changes (read_changes.py) that say that they are gone."""
    gone = pl.DataFrame({KEY: keys, DELETED: [True] * len(keys), OURS: [False] * len(keys), VERSION: [0] * len(keys)})
    types = polars_schema(canonical_schema(work.part.table))
    return gone.with_columns(pl.lit(None, dtype).alias(name) for name, dtype in types.items())
