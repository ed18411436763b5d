"""A table moved as it is loses nothing: what is staged of each type fits the type it gets."""

from __future__ import annotations

import polars as pl
import pytest

from etl.mapping.compile import polars_schema
from etl.mapping.fit import fit
from etl.mapping.types import target_type_for
from etl.names import SourceTable
from etl.source.catalog import Column, Table
from etl.source.extract import canonical_schema
from tests.unit.mapping.schemas import target_column

COLUMNS = [
    Column("c", "bit", 1, 1, 0, True),
    Column("c", "tinyint", 1, 3, 0, True),
    Column("c", "smallint", 2, 5, 0, True),
    Column("c", "int", 4, 10, 0, True),
    Column("c", "int", 4, 10, 0, False, is_identity=True),
    Column("c", "bigint", 8, 19, 0, True),
    Column("c", "decimal", 17, 38, 30, True),
    Column("c", "decimal", 13, 20, 0, False, is_identity=True),
    Column("c", "numeric", 5, 5, 0, True),
    Column("c", "money", 8, 19, 4, True),
    Column("c", "smallmoney", 4, 10, 4, True),
    Column("c", "real", 4, 24, 0, True),
    Column("c", "float", 8, 53, 0, True),
    Column("c", "date", 3, 10, 0, True),
    Column("c", "time", 5, 16, 7, True),
    Column("c", "smalldatetime", 4, 16, 0, True),
    Column("c", "datetime2", 8, 27, 7, True),
    Column("c", "datetimeoffset", 10, 34, 7, True),
    Column("c", "char", 10, 0, 0, True),
    Column("c", "varchar", -1, 0, 0, True),
    Column("c", "nvarchar", 200, 0, 0, True),
    Column("c", "ntext", 16, 0, 0, True),
    Column("c", "xml", -1, 0, 0, True),
    Column("c", "uniqueidentifier", 16, 0, 0, True),
    Column("c", "binary", 8, 0, 0, True),
    Column("c", "varbinary", -1, 0, 0, True),
    Column("c", "image", 16, 0, 0, True),
    Column("c", "hierarchyid", 892, 0, 0, True),
    Column("c", "geography", -1, 0, 0, True),
]


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.type_name)
def test_what_is_staged_fits_the_type_it_gets(column: Column) -> None:
    found = target_type_for(column)
    assert found.ddl is not None
    staged = polars_schema(canonical_schema(Table(SourceTable("d", "dbo", "t"), (column,), ())))
    checks = fit(pl.col("c"), staged["c"], target_column("c", found.ddl.replace("TINYINT(1)", "TINYINT"))).checks
    # Only what no type of TiDB could hold, or the source's own limits, may be left to check value by value.
    assert {check.reason for check in checks} <= {"out_of_range", "too_long", "not_exact"}
    if column.type_name in ("tinyint", "smallint", "int", "bigint", "decimal", "numeric", "money", "smallmoney"):
        assert checks == ()
    for name, ddl in found.beside:
        assert fit(pl.col(name), staged[name], target_column(name, ddl)).checks == ()


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        (Column("c", "sql_variant", 8016, 0, 0, True), "sql_variant"),
        (Column("c", "timestamp", 8, 0, 0, False, is_rowversion=True), "rowversion"),
        (Column("c", "int", 4, 10, 0, True, is_computed=True), "computed"),
        (Column("c", "decimal", 17, 38, 38, True), "30 fractional digits"),
    ],
)
def test_what_cannot_be_held_is_refused_with_its_reason(column: Column, reason: str) -> None:
    found = target_type_for(column)
    assert found.ddl is None
    assert reason in found.refusal
