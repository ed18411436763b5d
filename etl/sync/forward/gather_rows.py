"""What changed rows of a table without members of its own ask of the target: each legacy row is one target row."""

from __future__ import annotations

import polars as pl

from etl.sync.forward.later_changes import read_from
from etl.sync.forward.records import returned_of
from etl.sync.forward.transform import LEGACY, Ensure, born_keys, target_keys, transform
from etl.sync.forward.wanted import Wanted
from etl.sync.forward.work import Work
from etl.sync.model import DELETED, KEY, DeadLetter


def gather_rows(work: Work, changes: pl.DataFrame, ensure: Ensure | None) -> Wanted:
    """Transform the rows that changed, our own writes too: beside ours, somebody else's change may stand in the same row."""
    born = born_keys(work.session, work.part, changes[KEY], there=work.head.born)
    frame = changes.filter(~pl.col(DELETED)).drop(KEY)
    made = transform(work.plan, work.part, frame, work.lookup, work.beside, born=born, ensure=ensure)
    rows = made.rows.unique(KEY, keep="first", maintain_order=True)
    gone_legacy = changes.filter(DELETED)[KEY]
    gone = target_keys(work.plan, work.part, gone_legacy, work.lookup, born)
    name = work.part.part.name
    totals = returned_of(work, rows[LEGACY])
    returned = {key: totals[name, legacy] for key, legacy in rows.select(KEY, LEGACY).iter_rows() if (name, legacy) in totals}
    source = read_from(work, rows)
    return Wanted(
        made=made,
        rows=rows.select(*work.plan.schema.names(), KEY),
        returned=returned,
        gone=gone.join(rows, on=KEY, how="anti").select(*work.plan.key, KEY),
        gone_legacy=gone_legacy,
        sources=() if source is None else (source,),
        origins=rows.select(KEY, pl.lit(name).alias("part"), pl.col(LEGACY).alias("legacy")),
        changed=changes[KEY],
        letters=tuple(
            DeadLetter("forward", name, key, "duplicate_key", "another legacy row makes the same target row")
            for key in made.rows.join(rows, on=LEGACY, how="anti")[LEGACY]
        ),
    )
