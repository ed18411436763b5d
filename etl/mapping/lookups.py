"""Small staged tables read beside each row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from etl.errors import ConfigurationError
from etl.mapping.mistakes import mistake, unknown
from etl.mapping.model import Lookup, Part


def lookup_schema(part: Part, staged: pl.Schema, lookups: Mapping[str, pl.Schema]) -> dict[str, pl.DataType]:
    """The columns that a part's lookups add, as "<lookup>.<Column>". Raises ConfigurationError for one that cannot be joined."""
    added: dict[str, pl.DataType] = {}
    for lookup in part.lookups:
        schema = lookups.get(lookup.name)
        if schema is None:
            raise mistake(lookup.place, f"{lookup.table} is not staged.", f"Run: membershift stage --table {lookup.table}")
        for here, there in lookup.on:
            if here not in staged:
                raise unknown(lookup.place, "source column", here, staged, f" in {part.source}")
            if there not in schema:
                raise unknown(lookup.place, "source column", there, schema, f" in {lookup.table}")
            if staged[here] != schema[there]:
                raise mistake(
                    lookup.place,
                    f"{here} is {staged[here]} and {lookup.table}.{there} is {schema[there]}: they cannot be compared.",
                    "Pair columns of one type in `on`.",
                )
        added |= {f"{lookup.name}.{name}": dtype for name, dtype in schema.items()}
    return added


def join_lookups(frame: pl.DataFrame, lookups: Sequence[Lookup], tables: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """`frame` with the columns of each lookup beside it, NULL where it has no row for the key. The order stays."""
    for lookup in lookups:
        table = tables[lookup.name]
        named = table.rename({name: f"{lookup.name}.{name}" for name in table.columns})
        try:
            frame = frame.join(
                named,
                left_on=[here for here, _ in lookup.on],
                right_on=[f"{lookup.name}.{there}" for _, there in lookup.on],
                how="left",
                coalesce=False,
                validate="m:1",
                maintain_order="left",
            )
        except pl.exceptions.ComputeError as error:
            keys = ", ".join(there for _, there in lookup.on)
            raise ConfigurationError(
                f"{lookup.place}: {lookup.table} has several rows for one {keys}.",
                "A lookup needs a key of the other table in `on`.",
            ) from error
    return frame
