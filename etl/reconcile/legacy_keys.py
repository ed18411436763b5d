"""Which legacy rows make target rows with given keys, without reading whole tables.

Where the mapping takes the key as a whole number, the legacy key is that number. Else the key columns of the source are read and
go through the mapping, and nothing else is: two spellings of a code may be one key of the target, and only the mapping knows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import polars as pl

from etl.mapping.column_plan import ColumnPlan
from etl.reconcile.by_key import read_expected_by_key
from etl.reconcile.expected import Expectation, ExpectedBatch, ReadsArrow
from etl.reconcile.plan import SOURCE, PartPlan, TablePlan, encode_keys, with_columns


def read_expected_of(
    source: ReadsArrow,
    expectation: Expectation,
    part: PartPlan,
    beside: Mapping[str, pl.DataFrame],
    keys: pl.DataFrame,
    batch_rows: int,
) -> Iterator[ExpectedBatch]:
    """Legacy rows of a part that may make target rows with these keys (the target's key columns), and few others."""
    encoded = whole_numbers(part, keys)
    if encoded is None:
        narrow = keys_alone(part)
        if narrow is None:  # a key that comes from a table beside the row
            yield from expectation.read(source, part, beside, batch_rows)
            return
        batches = expectation.read(source, narrow, {}, batch_rows)
        found = [batch.rows.join(keys, on=keys.columns, how="semi")[SOURCE] for batch in batches]
        encoded = pl.concat([pl.Series(SOURCE, [], dtype=pl.String), *found])
    encoded = pl.concat([encoded, born_rows(expectation.plan, part, keys)]).unique(maintain_order=True)
    if not encoded.is_empty():
        yield from read_expected_by_key(source, expectation, part, beside, encoded)


def born_rows(plan: TablePlan, part: PartPlan, keys: pl.DataFrame) -> pl.Series:
    """Legacy keys, encoded, of rows that were born on the target under these keys: the mapping cannot tell them."""
    known = None if plan.born is None else plan.born.keys.get(part.part.name)
    if known is None:
        return pl.Series(SOURCE, [], dtype=pl.String)
    return known.join(keys, on=keys.columns, how="semi")[SOURCE]


def key_plans(part: PartPlan) -> tuple[ColumnPlan, ...]:
    """How the mapping makes the target's key."""
    return tuple(plan for plan in part.compiled.plans if plan.mapping.target in part.part.target_key)


def whole_numbers(part: PartPlan, keys: pl.DataFrame) -> pl.Series | None:
    """The legacy keys, encoded; None when they are not whole numbers that the mapping leaves as they are."""
    names: dict[str, str] = {}
    for plan in key_plans(part):
        if plan.mapping.transform == "integer" and plan.mapping.member is None and not plan.mapping.args:
            names[plan.mapping.sources[0]] = plan.mapping.target
    types = part.key_schema
    if any(name not in names or not dtype.is_integer() for name, dtype in types.items()):
        return None
    # What does not fit the type of the legacy key cannot be one.
    legacy = keys.select(pl.col(names[name]).cast(dtype, strict=False).alias(name) for name, dtype in types.items())
    return encode_keys(legacy.drop_nulls().unique())


def keys_alone(part: PartPlan) -> PartPlan | None:
    """The part as if it made nothing but the target's key; None when that takes a lookup."""
    plans = key_plans(part)
    needed = {name for plan in plans for name in (*plan.mapping.sources, *(flag for _, flag in plan.flags))}
    if not needed <= set(part.compiled.source_columns):
        return None
    compiled = replace(
        part.compiled,
        part=replace(part.part, lookups=(), defines_member=None),
        target_columns=tuple(plan.target for plan in plans),
        member_references=tuple(
            reference for reference in part.compiled.member_references if reference.target_column in part.part.target_key
        ),
        lookup_columns={},
        plans=plans,
        rules=(),
    )
    return replace(part, compiled=compiled, table=with_columns(part.table, sorted(needed)), lookups=())
