"""What came into the stage, changed in it, or left it since the last run: found by the hash of each staged row.

A table that was staged again has other chunks, but nearly the same rows. Only rows that no kept record has are standardised.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from etl.dedupe.kept import ROW, Kept
from etl.dedupe.model import StagedState
from etl.dedupe.staged_members import PartReader
from etl.stage.read import Stage


@dataclass(frozen=True)
class Arrived:
    """`rows`: standardised records without a number, new or changed. `unseen`: numbers of kept records that no staged row stands
    for as they were: changed, when `rows` has their key, else gone. `held`: chunks that were read, by content hash."""

    rows: pl.DataFrame
    unseen: pl.Series
    held: Mapping[str, pl.DataFrame]


NOBODY: Final = pl.Series("record", [], dtype=pl.Int64)


def read_arrived(stage: Stage, readers: Sequence[PartReader], kept: Kept, staged: StagedState) -> Arrived | None:
    """The difference between the stage and what was kept. None when rows cannot be told apart: then everything has to be read.

    Raises RefusedError when a staged file was changed on disk.
    """
    found = [
        read_part(stage, reader, kept)
        for reader in readers
        if list(staged.chunks.get(reader.part.name, ())) != [chunk.sha256 for chunk in reader.table.chunks]
    ]
    if any(part is None for part in found):
        return None
    told = [part for part in found if part is not None]
    rows = [part.rows for part in told if part.rows.height]
    unseen = pl.concat([NOBODY, *(part.unseen for part in told)])
    held = {sha256: frame for part in told for sha256, frame in part.held.items()}
    return Arrived(pl.concat(rows) if rows else nothing_of(kept), unseen, held)


def read_part(stage: Stage, reader: PartReader, kept: Kept) -> Arrived | None:
    """The difference of one table. None when the same row stands twice in it."""
    known = kept.staged_rows(reader.system.name)
    frames = [stage.read_chunk(chunk, reader.columns) for chunk in reader.table.chunks]
    seen = pl.concat([frame.hash_rows().alias(ROW) for frame in frames])
    is_known = seen.is_in(known[ROW].implode())
    places = pl.Series([0, *(frame.height for frame in frames)]).cum_sum()
    rows = pl.concat(
        frame.filter(~is_known.slice(first, frame.height)) for frame, first in zip(frames, places.to_list(), strict=False)
    )
    unseen = known.filter(~pl.col(ROW).is_in(seen.filter(is_known).implode()))["record"]
    if is_known.sum() != known.height - unseen.len():
        return None
    held = {chunk.sha256: frame for chunk, frame in zip(reader.table.chunks, frames, strict=True)}
    return Arrived(reader.standardise(rows) if rows.height else nothing_of(kept), unseen, held)


def nothing_of(kept: Kept) -> pl.DataFrame:
    """No standardised record at all."""
    columns = [column for column in (*kept.comparison_set.columns, ROW) if column != "record"]
    derived = {name for name, _, _ in kept.comparison_set.derived}
    return kept.fresh.clear().select(column for column in columns if column not in derived)
