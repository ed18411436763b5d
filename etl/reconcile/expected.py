"""What the target should hold: legacy rows, read anew from SQL Server, through the mapping and the crosswalk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import polars as pl
import pyarrow as pa

from etl.reconcile.plan import PART, SOURCE, PartPlan, TablePlan, encode_keys
from etl.source.extract import canonical_schema, select_statement


class ReadsArrow(Protocol):
    """The side of SQL Server that a comparison reads."""

    def arrow_batches(self, sql: str, batch_rows: int) -> Iterator[pa.RecordBatch]: ...


Lookup = Callable[[str, pl.Series], pl.Series]
"""From a system and its ids (String) to member ids (Int64), NULL where unknown: Crosswalk.lookup."""


@dataclass(frozen=True)
class ExpectedBatch:
    """Rows of one read of one part.

    `rows`: the table's columns, PART and SOURCE. `refused`: rows that the mapping makes no target row of, as
    (source_key, SOURCE, reason). `links`: for members, the crosswalk entry each row should have (source_id, member_id) and its
    SOURCE. `read`: source rows read.
    """

    part: PartPlan
    read: int
    rows: pl.DataFrame
    refused: pl.DataFrame
    links: pl.DataFrame | None


def read_expected(
    source: ReadsArrow,
    plan: TablePlan,
    part: PartPlan,
    lookup: Lookup,
    batch_rows: int,
    where: str = "",
    lookups: Mapping[str, pl.DataFrame] | None = None,
) -> Iterator[ExpectedBatch]:
    """Every row of a part, or those that `where` (T-SQL) selects, in the order of the source's key."""
    beside = read_lookups(source, part, batch_rows) if lookups is None else lookups
    sql = select_statement(part.table, where)
    for batch in source.arrow_batches(sql, batch_rows):
        yield expect(plan, part, pl.DataFrame(pl.from_arrow(batch)), lookup, beside)


def read_lookups(source: ReadsArrow, part: PartPlan, batch_rows: int) -> dict[str, pl.DataFrame]:
    """The small tables that a part reads beside each row."""
    frames: dict[str, pl.DataFrame] = {}
    for name, table in part.lookups:
        batches = list(source.arrow_batches(select_statement(table), batch_rows))
        frames[name] = pl.DataFrame(pl.from_arrow(pa.Table.from_batches(batches, canonical_schema(table))))
    return frames


def expect(
    plan: TablePlan, part: PartPlan, frame: pl.DataFrame, lookup: Lookup, lookups: Mapping[str, pl.DataFrame]
) -> ExpectedBatch:
    """Transform one frame of legacy rows."""
    compiled = part.compiled
    keys = compiled.member_keys(frame)
    members = {
        reference.target_column: lookup(reference.system, keys[reference.target_column])
        for reference in compiled.member_references
    }
    outcome = compiled.apply(frame, members, lookups)
    encoded = encode_keys(frame.select(part.part.key))
    kept = encoded if outcome.kept is None else encoded.filter(outcome.kept)
    rows = with_all_columns(outcome.rows, plan).with_columns(pl.lit(part.number, pl.UInt8).alias(PART), kept.alias(SOURCE))
    return ExpectedBatch(
        part=part,
        read=frame.height,
        rows=rows,
        refused=refused_rows(part, frame, encoded, outcome.kept, outcome.rejects),
        links=None if outcome.links is None else outcome.links.select("source_id", "member_id").with_columns(kept.alias(SOURCE)),
    )


def with_all_columns(rows: pl.DataFrame, plan: TablePlan) -> pl.DataFrame:
    """The table's columns in their order and exact types; a column that only other parts fill is NULL.

    A cast that could change a value is a bug of the mapping's types, and is refused.
    """
    columns: list[pl.Expr] = []
    for name, dtype in plan.schema.items():
        if name not in rows.columns:
            columns.append(pl.lit(None, dtype).alias(name))
        elif rows.schema[name] == dtype:
            columns.append(pl.col(name))
        elif is_exact_cast(rows.schema[name], dtype):
            columns.append(pl.col(name).cast(dtype, strict=True))
        else:
            raise TypeError(f"{plan.target}.{name}: the mapping makes {rows.schema[name]}, the target holds {dtype}")
    return rows.select(columns)


def is_exact_cast(given: pl.DataType, wanted: pl.DataType) -> bool:
    """Whether a strict cast either keeps every value as it is or fails.

    >>> is_exact_cast(pl.Boolean(), pl.Int8()), is_exact_cast(pl.Decimal(19, 4), pl.Decimal(12, 3))
    (True, False)
    """
    if wanted.is_integer():
        return given.is_integer() or given == pl.Boolean
    if isinstance(wanted, pl.Decimal):
        return given.is_integer() or (isinstance(given, pl.Decimal) and given.scale <= wanted.scale)
    return given == pl.Null or (given == pl.Float32 and wanted == pl.Float64)


def refused_rows(
    part: PartPlan, frame: pl.DataFrame, encoded: pl.Series, kept: pl.Series | None, rejects: pl.DataFrame
) -> pl.DataFrame:
    """Rows left out, each once, with its first reason."""
    schema = {"source_key": pl.String, SOURCE: pl.String, "reason": pl.String}
    if kept is None or rejects.is_empty():
        return pl.DataFrame(schema=schema)
    left_out = frame.filter(~kept)
    keys = pl.DataFrame({"source_key": part.compiled.source_keys(left_out), SOURCE: encoded.filter(~kept)})
    reasons = rejects.select("source_key", pl.format("{} ({})", "reason", pl.col("column_name").fill_null("")).alias("reason"))
    return keys.join(reasons.unique("source_key", keep="first"), on="source_key", how="left").select(list(schema))
