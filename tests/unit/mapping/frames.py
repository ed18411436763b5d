"""Staged frames for tests: what a row does not say is NULL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from etl.mapping.compile import CompiledPart, polars_schema
from etl.mapping.outcome import TransformOutcome
from tests.unit.mapping.schemas import compiled, source_schema

Row = Mapping[str, object]

MEMBER: dict[str, object] = {
    "MemberId": 7,
    "Name": "王小明",
    "Gender": "男",
    "Phone": "13912345678",
    "Email": "wang@example.com",
    "IdCard": "11010519491231002X",
    "Tier": 1,
    "Points": 120,
    "Balance": "12.3400",
    "StoreCode": "S0001",
    "CreatedAt": "2015-06-01T09:30:00",
    "UpdatedAt": "2016-01-01T00:00:00",
}


def staged(part: CompiledPart, rows: Sequence[Row]) -> pl.DataFrame:
    """A frame as the stage gives it: the part's source columns, times and decimals written as text."""
    schema = polars_schema(source_schema(part.part.source))
    columns = []
    for name in part.source_columns:
        values = [row.get(name) for row in rows]
        as_text = any(isinstance(value, str) for value in values) and schema[name] != pl.String
        series = pl.Series(name, values, dtype=pl.String if as_text else schema[name])
        if isinstance(schema[name], pl.Datetime) and as_text:
            series = series.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", time_unit="us")
        columns.append(
            series.str.to_time("%H:%M:%S") if isinstance(schema[name], pl.Time) and as_text else series.cast(schema[name])
        )
    return pl.DataFrame(columns)


def apply(name: str, rows: Sequence[Row], members: Mapping[str, Sequence[int | None]] | None = None) -> TransformOutcome:
    """Run a part of the retailer's mapping. `members`: ids for each member reference; every one is 1 when left out."""
    part = compiled(name)
    frame = staged(part, rows)
    given = members or {reference.target_column: [1] * len(rows) for reference in part.member_references}
    return part.apply(frame, {column: pl.Series(column, ids, dtype=pl.Int64) for column, ids in given.items()})


def reasons(findings: pl.DataFrame) -> list[tuple[str, str, str]]:
    """(key, column, reason) of findings, sorted."""
    return sorted(findings.select("source_key", "column_name", "reason").rows())
