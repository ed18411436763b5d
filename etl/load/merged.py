"""Members that deduplication joined with others: their one row on the target is a golden record, which load does not touch.

`membershift dedupe run` writes the golden record and a crosswalk entry, linked by 'dedupe', for each legacy record behind it.
Load settles such a record without writing anything: neither a member of its own nor a crosswalk entry.
"""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from etl.load.key_index import KeyIndex
from etl.mapping.outcome import TransformOutcome


def leave_merged(outcome: TransformOutcome, merged: KeyIndex) -> TransformOutcome:
    """`outcome` of a part that defines members, without the rows of members that are `merged`; these are counted."""
    if not merged.size or outcome.links is None or outcome.links.is_empty():
        return outcome
    alone = merged.lookup(outcome.links["source_id"]).is_null()
    if alone.all():
        return outcome
    return replace(
        outcome,
        rows=outcome.rows.filter(alone),
        links=outcome.links.filter(alone),
        kept=alone if outcome.kept is None else with_some(outcome.kept, alone),
        merged=outcome.merged + int((~alone).sum()),
    )


def with_some(kept: pl.Series, some: pl.Series) -> pl.Series:
    """`kept`, of whose true places only those stay true where `some`, one for each of them, is true.

    >>> with_some(pl.Series([True, False, True]), pl.Series([False, True])).to_list()
    [False, False, True]
    """
    return pl.repeat(False, len(kept), dtype=pl.Boolean, eager=True).scatter(kept.arg_true().filter(some), True)
