"""Which member ids rows will get, decided before the rows of the part that defines them are loaded."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from etl.load.allocate import Block, plan_allocated
from etl.load.crosswalk import DEDUPE, keep_ids
from etl.load.key_index import KeyIndexBuilder, longest_key
from etl.load.part import LoadPart
from etl.load.prepare import Prepared
from etl.load.runs import RunRecord, newest_detail
from etl.load.sql import places, sql
from etl.mapping.column_plan import system_key


def plan_members(prepared: Prepared, part: LoadPart, record: RunRecord) -> None:
    """Settle the ids of all members that `part` defines."""
    assert part.system is not None
    crosswalk = prepared.crosswalk
    if part.system.ids == "keep":
        crosswalk.plan(part.system.name, keep_ids)
        return
    numbered, _ = plan_allocated(
        prepared.connection,
        prepared.state_schema,
        prepared.folder / f"plan-{part.system.name}",
        lambda: read_member_keys(part),
        crosswalk.known(part.system.name),
        system=part.system.name,
        noted=noted_block(prepared, part.system.name),
        largest_kept=largest_kept(prepared),
        record=record,
    )
    crosswalk.plan(part.system.name, numbered.index.lookup)


def plan_accepted(prepared: Prepared, part: LoadPart) -> None:
    """Let only members that the mapping accepts count as planned: a row of a canary must not find one that will be refused.

    Costs one more pass over the part's rows, without writing any.
    """
    assert part.system is not None
    width = longest_key(read_member_keys(part))
    with KeyIndexBuilder(prepared.folder / f"accepted-{part.system.name}", width) as builder:
        for chunk in part.chunks:
            for frame in chunk.read(part.transform.source_columns):
                links = part.transform.apply(frame).links
                if links is not None:
                    builder.add(links["source_id"], links["member_id"])
        index = builder.finish()
    prepared.crosswalk.plan(part.system.name, index.lookup)


def plan_members_dry(prepared: Prepared, part: LoadPart) -> None:
    """For a dry run: every staged member counts as known, without an id being taken."""
    assert part.system is not None
    width = longest_key(read_member_keys(part))
    with KeyIndexBuilder(prepared.folder / f"dry-{part.system.name}", width) as builder:
        for keys in read_member_keys(part):
            known = keys.drop_nulls()
            ids = keep_ids(known) if part.system.ids == "keep" else pl.Series([0] * len(known), dtype=pl.Int64)
            builder.add(known.filter(ids.is_not_null()), ids.drop_nulls())
        index = builder.finish()
    prepared.crosswalk.plan(part.system.name, index.lookup)


def read_member_keys(part: LoadPart) -> Iterator[pl.Series]:
    """The legacy ids of all members that a part defines, as the crosswalk writes them."""
    assert part.system is not None
    for chunk in part.chunks:
        for frame in chunk.read((part.system.key,)):
            yield frame.select(system_key(part.system, frame.schema[part.system.key])).to_series()


def noted_block(prepared: Prepared, system: str) -> Block | None:
    """The block of ids an earlier run reserved for a system."""
    noted = newest_detail(prepared.runs, "blocks", system)
    return None if noted is None else Block(int(noted[0]), int(noted[1]))


def largest_kept(prepared: Prepared) -> int:
    """The largest id that any system keeps, staged or on the target; 0 when there is none. A merged member that keeps its id may
    lead to one with an allocated id, which is not kept."""
    largest = 0
    for part in prepared.parts:
        if part.system is not None and part.system.ids == "keep":
            for keys in read_member_keys(part):
                largest = max(largest, int(keep_ids(keys).max() or 0))  # type: ignore[arg-type]  # polars types max() of any dtype
    systems = {} if prepared.mapping is None else prepared.mapping.systems
    kept = [system.name for system in systems.values() if system.ids == "keep"]
    if kept:
        rows = prepared.connection.query(
            sql(
                "SELECT MAX(member_id) FROM {schema}.member_source "
                "WHERE source IN ({systems}) AND (linked_by <> %s OR source_id = CAST(member_id AS CHAR))",
                {"schema": prepared.schema},
                systems=places(len(kept)),
            ),
            (*kept, DEDUPE),
        )
        largest = max(largest, int(rows[0][0] or 0))
    return largest
