"""Legacy keys of rows in quarantine, in the types of the source, to ask the source about exactly these rows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from etl.mapping.compile import polars_schema
from etl.mapping.model import Mapping as TableMappings
from etl.reconcile.by_key import KEYS_PER_QUERY, key_condition, key_literal
from etl.reconcile.plan import KEY_END, split_keys
from etl.reconcile.quarantine import Asks, quarantined_keys
from etl.source.catalog import Catalog, Table
from etl.source.extract import canonical_schema

SEPARATOR: Final = re.compile(r"(?<!\\)((?:\\\\)*)\|")


@dataclass
class QuarantinedKeys:
    """Keys of rows that are not on the target because load put them aside, by part."""

    connection: Asks
    state_schema: str
    mapping: TableMappings
    catalog: Catalog
    _keys: dict[str, pl.DataFrame] = field(default_factory=dict)

    def of(self, part: str) -> pl.DataFrame:
        """The key columns of a part's quarantined rows, each row once."""
        if part not in self._keys:
            names = self.mapping.part(part).key
            staged = polars_schema(canonical_schema(self.table(part)))
            self._keys[part] = parse_keys(self.texts(part), {name: staged[name] for name in names})
        return self._keys[part]

    def texts(self, part: str) -> list[str]:
        """The keys as rejects name them."""
        return quarantined_keys(self.connection, self.state_schema, part)

    def table(self, part: str) -> Table:
        """The source table of a part."""
        return self.catalog.tables[self.mapping.part(part).source]

    def conditions(self, part: str) -> Iterator[str]:
        """T-SQL conditions that together select a part's quarantined rows, each once."""
        for some in self.of(part).iter_slices(KEYS_PER_QUERY):
            yield key_condition(self.table(part), some)

    def typed(self, part: str, keys: list[str]) -> pl.Series:
        """Keys of a part with one key column, from text to the source's type."""
        (name,) = self.mapping.part(part).key
        staged = polars_schema(canonical_schema(self.table(part)))
        return parse_keys(keys, {name: staged[name]})[name]

    def in_list(self, part: str, values: pl.Series) -> str:
        """Values of the part's only key column as T-SQL literals."""
        (name,) = self.mapping.part(part).key
        column = self.table(part).by_name[name]
        return ", ".join(key_literal(column, value) for value in values)


def parse_keys(texts: list[str], schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """Keys written by etl.mapping.findings.key_text, in their own types.

    >>> parse_keys(["x\\\\|y|1"], {"a": pl.String(), "b": pl.Int16()}).row(0)
    ('x|y', 1)
    """
    if len(schema) > 1:
        parts = (SEPARATOR.sub(lambda found: f"{found[1]}{KEY_END}", key).split(KEY_END) for key in texts)
        texts = [KEY_END.join(re.sub(r"\\(.)", r"\1", one) for one in key) for key in parts]
    split = split_keys(pl.Series(texts, dtype=pl.String), list(schema))
    return split.select(typed(name, dtype) for name, dtype in schema.items())


def typed(name: str, dtype: pl.DataType) -> pl.Expr:
    """A key column as rejects write it, in its own type."""
    match dtype:
        case pl.Date():
            return pl.col(name).str.to_date()
        case pl.Datetime():
            return pl.col(name).str.to_datetime(time_unit="us")
        case pl.Time():
            return pl.col(name).str.to_time()
        case _:
            return pl.col(name).cast(dtype)
