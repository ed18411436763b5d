"""Members for legacy ids that the crosswalk does not know: a person already known, the id that is kept, or a new one."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from etl.load.crosswalk import DEDUPE, keep_ids
from etl.reconcile.expected import ids_are_kept
from etl.sync.forward.crosswalk import ENTRY_SCHEMA, LINKED_BY, take_ids
from etl.sync.forward.transform import LEGACY, LINK, SINCE
from etl.sync.forward.work import Work
from etl.sync.model import KEY


def new_entries(work: Work, legacy: pl.DataFrame, rows: pl.DataFrame, born: Mapping[str, int]) -> pl.DataFrame:
    """Crosswalk entries (ENTRY_SCHEMA) for accepted rows of members (transform.py) that have none, each legacy id once. `legacy`:
    the rows that they were made of, with KEY.

    `born`: members that are on the target already, since reverse made their legacy rows, by legacy id. Matched ones are linked by
    'dedupe'. Ids are taken from the allocator for good.
    """
    system = work.part.part.defines_member
    assert system is not None, "only parts that define members have newcomers"
    arrived = rows.unique(LINK, keep="first", maintain_order=True)
    if arrived.is_empty():
        return pl.DataFrame(schema=ENTRY_SCHEMA)
    context = work.context
    made_here = arrived[LINK].replace_strict(born, default=None, return_dtype=pl.Int64)
    theirs = arrived.select(pl.col(LEGACY).alias(KEY)).join(legacy.unique(KEY, keep="last"), on=KEY, maintain_order="left")
    known = context.match(work.part.part.name, theirs.drop(KEY)).cast(pl.Int64)
    members = pl.select(pl.coalesce(made_here, known)).to_series()
    if ids_are_kept(work.part):
        members = pl.select(pl.coalesce(members, keep_ids(arrived[LINK]))).to_series()
    else:
        lacking = members.is_null()
        taken = take_ids(context.target, context.plan.schema, context.plan.state_schema, work.plan.target, int(lacking.sum()))
        numbers = lacking.cum_sum().cast(pl.Int64) - 1 + taken.start
        members = pl.select(pl.coalesce(members, numbers)).to_series()
    matched = known.is_not_null() & made_here.is_null()
    return pl.DataFrame(
        {
            "system": [system.name] * arrived.height,
            "source_id": arrived[LINK],
            "member_id": members,
            "valid_from": arrived[SINCE].cast(pl.Datetime("us")),
            "linked_by": pl.select(pl.when(matched).then(pl.lit(DEDUPE)).otherwise(pl.lit(LINKED_BY))).to_series(),
        },
        schema=ENTRY_SCHEMA,
    )
