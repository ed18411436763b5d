"""What comes out of transforming one frame of staged rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import polars as pl

FINDING_SCHEMA: Final = pl.Schema(
    [(name, pl.String()) for name in ("source_key", "column_name", "reason", "masked_value", "detail")]
)
LINK_SCHEMA: Final = pl.Schema([("source_id", pl.String()), ("member_id", pl.Int64()), ("valid_from", pl.Datetime("us"))])


@dataclass(frozen=True)
class TransformOutcome:
    """The rows of one frame, sorted out.

    `rows`: what can be loaded, columns in the order of `CompiledPart.target_columns`, in types that match the target's.
    `rejects`: one line for each reason a row was left out (FINDING_SCHEMA), so a row may have several.
    `notes`: the row is loaded, but a value was nulled or changed beyond its spelling (FINDING_SCHEMA).
    `kept`: which rows of the given frame are in `rows`, in order; None when all are.
    `links`: for a part that defines members, the crosswalk entry of each row of `rows` (LINK_SCHEMA), in order; else None.
    `merged`: rows left out because deduplication joined their member with others (etl/load/merged.py).
    """

    rows: pl.DataFrame
    rejects: pl.DataFrame
    notes: pl.DataFrame
    kept: pl.Series | None = None
    links: pl.DataFrame | None = None
    merged: int = 0
