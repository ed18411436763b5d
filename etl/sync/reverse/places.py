"""Where on the legacy side a target row lives: rows that are there, locked until the transaction ends, and rows to insert."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import polars as pl
import pyarrow as pa

from etl.mapping.column_plan import system_key
from etl.mapping.compile import polars_schema
from etl.names import bracket
from etl.reconcile.by_key import key_condition
from etl.reconcile.plan import PartPlan, encode_keys
from etl.source.catalog import Table
from etl.source.extract import canonical_schema, select_list
from etl.source.session import PlainSession
from etl.sync.reverse.checked import staged_form
from etl.sync.reverse.inverse import PartInverse

AT: Final = "__at"
"""Which row of the batch: its place in the frame."""

LOCKED: Final = "WITH (UPDLOCK, READPAST, READCOMMITTEDLOCK)"
"""Rows that somebody else holds are passed over, and left for later: one that is held for minutes stops no other. Where a
database reads committed snapshots, READPAST is refused without READCOMMITTEDLOCK, and that is refused beside ROWLOCK: a table
takes one hint of granularity ("Table Hints", Remarks)."""


@dataclass(frozen=True)
class Place:
    """Legacy rows of one part, each of one row of the batch. `at`: that row's number. `ids`: of members, the legacy id as the
    crosswalk writes it; of other rows, the encoded key; NULL where the server gives it. `frame`: the rows as they are now
    (extract columns, all NULL for one to be inserted). `new`: to be inserted."""

    inverse: PartInverse
    at: pl.Series
    ids: pl.Series
    frame: pl.DataFrame
    new: bool

    @property
    def part(self) -> PartPlan:
        """The part."""
        return self.inverse.part

    def only(self, kept: pl.Series) -> Place:
        """Some of the rows."""
        return replace(self, at=self.at.filter(kept), ids=self.ids.filter(kept), frame=self.frame.filter(kept))


def new_place(inverse: PartInverse, at: Sequence[int], ids: Sequence[str | None]) -> Place:
    """Rows that are to be inserted."""
    empty = staged_form(inverse.part, pl.DataFrame({AT: pl.Series(list(at), dtype=pl.Int64)}))
    return Place(inverse, pl.Series(AT, list(at), dtype=pl.Int64), pl.Series(list(ids), dtype=pl.String), empty, new=True)


def lock_rows(session: PlainSession, part: PartPlan, keys: pl.DataFrame) -> pl.DataFrame:
    """The legacy rows with these values of some columns, as the extract reads them, locked; those that are gone or held by
    somebody else are left out. Raises ServerError."""
    if keys.is_empty():
        return pl.DataFrame(schema=polars_schema(canonical_schema(part.table)))
    condition = key_condition(part.table, keys.unique().sort(keys.columns))
    schema = canonical_schema(part.table)
    batches = list(session.arrow_batches(locking_select(part.table, condition), schema))
    frames = [pl.DataFrame(pl.from_arrow(batch)) for batch in batches]
    return pl.concat(frames) if frames else pl.DataFrame(schema=polars_schema(schema))


def locking_select(table: Table, condition: str) -> str:
    """SELECT of the extract's columns under lock, in the order of the key."""
    items = ", ".join(f"{item.expression} AS {bracket(item.name)}" for item in select_list(table))
    order = ", ".join(f"t.{bracket(name)}" for name in table.key)
    return " ".join(("SELECT", items, f"FROM {table.name.quoted} AS t {LOCKED} WHERE", condition, "ORDER BY", order))


def ids_of(part: PartPlan, frame: pl.DataFrame) -> pl.Series:
    """What the rows are called: members as the crosswalk writes them, others by their encoded key."""
    system = part.part.defines_member
    if system is None:
        return encode_keys(frame.select(part.part.key))
    return frame.select(system_key(system, frame.schema[system.key])).to_series()


def key_frame(part: PartPlan, ids: Iterable[str]) -> pl.DataFrame:
    """The column that the crosswalk's ids stand in, for a condition."""
    system = part.part.defines_member
    assert system is not None, "only members are found by the crosswalk"
    dtype = polars_schema(canonical_schema(part.table))[system.key]
    return pl.DataFrame({system.key: pl.Series(list(ids), dtype=pl.String).cast(dtype, strict=False)}).drop_nulls()


def still_there(session: PlainSession, part: PartPlan, keys: pl.DataFrame) -> pl.DataFrame:
    """Of rows that could not be locked, those that are there: somebody holds them. Read without waiting, committed or not."""
    schema = pa.schema([field for field in canonical_schema(part.table) if field.name in keys.columns])
    if keys.is_empty():
        return pl.DataFrame(schema=polars_schema(schema))
    names = ", ".join(
        f"{item.expression} AS {bracket(item.name)}" for item in select_list(part.table) if item.name in keys.columns
    )
    source = f"FROM {part.table.name.quoted} AS t WITH (NOLOCK) WHERE {key_condition(part.table, keys)}"
    batches = list(session.arrow_batches(f"SELECT {names} {source}", schema))
    return pl.DataFrame(pl.from_arrow(pa.Table.from_batches(batches, schema)))
