"""Read single legacy rows again, by key, and member ids as they are now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import polars as pl

from etl.names import backtick, bracket
from etl.reconcile.expected import Expectation, ExpectedBatch, ReadsArrow
from etl.reconcile.plan import PartPlan, decode_keys
from etl.source.catalog import Column, Table
from etl.source.ranges import literal
from etl.target.bulk import BulkConnection
from etl.target.columns import text_of

KEYS_PER_QUERY: Final = 200
TEXT_TYPES: Final = frozenset({"char", "varchar", "nchar", "nvarchar"})


def read_expected_by_key(
    source: ReadsArrow, expectation: Expectation, part: PartPlan, beside: Mapping[str, pl.DataFrame], encoded: pl.Series
) -> Iterator[ExpectedBatch]:
    """Legacy rows with these keys (as `encode_keys` wrote them), transformed anew. Rows that are gone are left out."""
    keys = decode_keys(encoded.unique(), part.key_schema)
    for some in keys.iter_slices(KEYS_PER_QUERY):
        yield from expectation.read(source, part, beside, KEYS_PER_QUERY, key_condition(part.table, some))


def key_condition(table: Table, keys: pl.DataFrame) -> str:
    """T-SQL that selects rows by key, in literals of the columns' own types.

    >>> from etl.names import SourceTable
    >>> columns = (Column("N", "varchar", 9, 0, 0, False), Column("I", "int", 4, 10, 0, False))
    >>> key_condition(Table(SourceTable("pos", "dbo", "L"), columns, ("N", "I")), pl.DataFrame({"N": ["S'1"], "I": [2]}))
    "([N] = 'S''1' AND [I] = 2)"
    """
    columns = [table.by_name[name] for name in keys.columns]
    if len(columns) == 1:
        values = ", ".join(key_literal(columns[0], value) for (value,) in keys.iter_rows())
        return f"{bracket(columns[0].name)} IN ({values})"
    return " OR ".join(
        "("
        + " AND ".join(
            f"{bracket(column.name)} = {key_literal(column, value)}" for column, value in zip(columns, row, strict=True)
        )
        + ")"
        for row in keys.iter_rows()
    )


def key_literal(column: Column, value: object) -> str:
    """A staged key value as T-SQL."""
    if column.type_name in TEXT_TYPES and isinstance(value, str):
        return literal(column, value.encode("utf-16-le", "surrogatepass"))
    if column.type_name == "uniqueidentifier":
        return literal(column, UUID(str(value)))
    return literal(column, value)


@dataclass(frozen=True)
class LookupNow:
    """A crosswalk lookup for few ids: asks the target each time, and sees what is there now."""

    connection: BulkConnection
    schema: str

    def __call__(self, system: str, keys: pl.Series) -> pl.Series:
        """Member ids of legacy ids, NULL where unknown."""
        wanted = keys.drop_nulls().unique().sort().to_list()
        found: list[tuple[str, int]] = []
        for first in range(0, len(wanted), KEYS_PER_QUERY):
            some = wanted[first : first + KEYS_PER_QUERY]
            rows = self.connection.query(statement(self.schema, len(some)), (system, *some))
            found += [(text_of(source_id), int(member_id)) for source_id, member_id in rows]
        there = pl.DataFrame(found, schema={"k": pl.String, "id": pl.Int64}, orient="row")
        return keys.to_frame("k").join(there, on="k", how="left", maintain_order="left")["id"].alias(keys.name)


def statement(schema: str, keys: int) -> str:
    """SQL for the entries of some ids of one system."""
    places = ", ".join(["%s"] * keys)
    return " ".join(
        ("SELECT source_id, member_id FROM", f"{backtick(schema)}.member_source WHERE source = %s AND source_id IN ({places})")
    )
