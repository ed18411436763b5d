"""Arrivals for a stage that was deduplicated already: strangers, new cards and accounts of known people, and changed records.

They are put into the staged tables as staging them again would: in order of the key, in as many chunks as before.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path
from typing import Final
from uuid import UUID

import polars as pl

from etl.settings import Settings
from etl.stage.manifest import ChunkRange, chunk_file, open_manifest
from etl.stage.read import StagedTable, open_stage
from etl.stage.write import write_chunk
from fixtures.data.generate import generate
from fixtures.data.member_frames import COLUMNS, KEY

STRANGERS, KNOWN, CHANGED = 0.5, 0.4, 0.1
IDS_OF_A_MEMBER: Final = 1.75
NOTHING_YET: Final = ("Points", "Balance")
"""What somebody who just came has none of."""
NEW_PHONES: Final = 0.3
"""The share of known people who come with another phone."""


def stage_arrivals(settings: Settings, folder: Path, count: int, seed: int) -> None:
    """Put `count` arrivals into the staged member tables: half of them strangers, four of ten people already known by another id,
    one of ten a known record that changed."""
    strangers = generate(round(count / IDS_OF_A_MEMBER), seed, folder)
    with open_stage(settings) as stage:
        tables = {str(table.name): (table, whole(stage.read(chunk) for chunk in table.chunks)) for table in stage.tables()}
    wanted = {name: tables[name] for name, _ in COLUMNS.values()}
    rows = sum(frame.height for _, frame in wanted.values())
    for name, columns in COLUMNS.values():
        table, frame = wanted[name]
        key = next(ours for ours, theirs in columns.items() if theirs == KEY)
        share = count * frame.height / rows
        identity = [ours for ours, theirs in columns.items() if theirs != KEY]
        known = another_phone(frame.sample(round(KNOWN * share), seed=seed), NEW_PHONES, seed)
        places = frame.sample(round(STRANGERS * share), seed=seed + 2)
        unknown = as_strangers(places, strangers.frame(name).sample(fraction=1, shuffle=True, seed=seed), identity)
        changed = another_phone(frame.sample(round(CHANGED * share), seed=seed + 1), 1.0, seed + 1)
        new = with_new_keys(pl.concat([known, unknown]), frame, key, seed)
        new = new.with_columns(pl.lit(0).cast(frame.schema[name]).alias(name) for name in NOTHING_YET if name in frame.columns)
        stayed = frame.join(changed.select(key), on=key, how="anti", maintain_order="left")
        stage_again(settings, table, pl.concat([stayed, changed, new]).sort(key))


def whole(chunks: Iterable[Iterable[pl.DataFrame]]) -> pl.DataFrame:
    """The rows of all chunks."""
    return pl.concat([frame for chunk in chunks for frame in chunk])


def as_strangers(frame: pl.DataFrame, strangers: pl.DataFrame, names: Iterable[str]) -> pl.DataFrame:
    """Staged rows with what `strangers` (generated rows) are known by in the columns `names`."""
    people = strangers.select(names).head(frame.height)
    told = [in_type(people[name], frame.schema[name]) for name in names]
    return frame.head(people.height).with_columns(told)


def in_type(values: pl.Series, kind: pl.DataType) -> pl.Series:
    """Generated values as they are staged."""
    if kind.is_temporal() and values.dtype == pl.String:
        return values.str.to_datetime(strict=False).cast(kind)
    return values.cast(kind)


def another_phone(frame: pl.DataFrame, share: float, seed: int) -> pl.DataFrame:
    """Rows of which a share has a new phone, and all a later change."""
    chance = random.Random(seed)
    phones = [f"13{chance.randrange(10**9):09}" if chance.random() < share else None for _ in range(frame.height)]
    later = pl.col("UpdatedAt").dt.offset_by("1d")
    return frame.with_columns(pl.coalesce(pl.Series(phones, dtype=pl.String), "Phone").alias("Phone"), later)


def with_new_keys(frame: pl.DataFrame, known: pl.DataFrame, key: str, seed: int) -> pl.DataFrame:
    """Rows under keys that nobody has."""
    chance = random.Random(seed)
    kind = known.schema[key]
    if kind.is_integer():
        first = int(str(known[key].max())) + 1
        keys = pl.Series(key, range(first, first + frame.height), dtype=kind)
    elif key == "AccountId":
        keys = pl.Series(key, [str(UUID(int=chance.getrandbits(128), version=4)) for _ in range(frame.height)])
    else:
        keys = pl.Series(key, [f"N{seed}{number:07}" for number in range(frame.height)])
    return frame.with_columns(keys)


def stage_again(settings: Settings, table: StagedTable, frame: pl.DataFrame) -> None:
    """Replace the staged rows of a table."""
    size = -(-frame.height // len(table.chunks))
    with open_manifest(settings.stage_dir) as manifest:
        entry = manifest.table(table.name)
        assert entry is not None
        manifest.forget_table(table.name)
        manifest.begin_table(entry, [ChunkRange(index, None, None) for index in range(len(table.chunks))])
        for index, part in enumerate(frame.iter_slices(size)):
            batches = part.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(entry.schema).to_batches()
            written = write_chunk(settings.stage_dir / chunk_file(table.name, index), entry.schema, batches, lambda _: None)
            manifest.finish_chunk(table.name, index, rows=written.rows, size=written.bytes, sha256=written.sha256)
        manifest.finish_table(table.name, changed=False)
