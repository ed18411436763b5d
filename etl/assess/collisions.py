"""Keys that would not be unique any more under a collation of the target, and values that would become equal there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import polars as pl

from etl.assess.collation_keys import COLLATIONS, collation_key
from etl.assess.column_checks import TEXT
from etl.assess.model import Finding
from etl.assess.personal_names import personal_kind
from etl.assess.spill import KeySpill
from etl.source.catalog import Table

NAMING: Final = re.compile(r"(code|no|key|login|user_?name|account|编号|编码|账号)$", re.IGNORECASE)
"""Columns that name something without being declared unique: programs look rows up by them."""


@dataclass(frozen=True)
class TextKey:
    """Columns with text among them by which rows are told apart. `unique` when the source says so."""

    table: Table
    columns: tuple[str, ...]
    unique: bool

    def gathering(self, collation: str) -> str:
        """The name under which its hashes are gathered."""
        return f"{self.table.name}|{'|'.join(self.columns)}|{collation}"


def text_keys(table: Table, staged: frozenset[str], pointing: frozenset[str]) -> tuple[TextKey, ...]:
    """The unique keys of a table that hold text, each set of columns once, and the columns that name something without being
    unique. `pointing` columns name rows of other tables and are looked at there. The target has no filtered indexes."""
    found: dict[frozenset[str], TextKey] = {}
    for columns in (table.key, *(index.columns for index in table.indexes if index.unique and not index.filtered)):
        has_text = any(table.by_name[name].type_name in TEXT for name in columns)
        if has_text and staged.issuperset(columns):
            found.setdefault(frozenset(columns), TextKey(table, columns, unique=True))
    for column in table.columns:
        naming = NAMING.search(column.name) or personal_kind(column.name) == "email"
        if naming and column.type_name in TEXT and column.name in staged and column.name not in pointing:
            found.setdefault(frozenset({column.name}), TextKey(table, (column.name,), unique=False))
    return tuple(found.values())


def gather_keys(spill: KeySpill, keys: tuple[TextKey, ...], frame: pl.DataFrame, row_keys: pl.Series) -> None:
    """Note the hash of each row's key, as it is and under each collation. Rows with a NULL in the key never collide."""
    for key in keys:
        rows = frame.select(*key.columns, row_keys.alias("row")).drop_nulls(list(key.columns))
        if not key.unique:
            rows = rows.unique(list(key.columns), keep="first")
        exact = spill.hash_of(rows.select(key.columns)).alias("exact")
        for collation in COLLATIONS:
            folded = rows.select(
                collation_key(rows[name], collation) if rows.schema[name] == pl.String else rows[name] for name in key.columns
            )
            spill.add(key.gathering(collation), rows.select(spill.hash_of(folded), exact, "row"))


def find_collisions(spill: KeySpill, key: TextKey, *, sampled: bool) -> Iterator[Finding]:
    """For each collation: how many rows a unique key would refuse, or how many values would become equal to another."""
    for collation in COLLATIONS:
        merged, looked_at, examples = 0, 0, ""
        for frame in spill.partitions(key.gathering(collation)):
            looked_at += frame.height
            values = frame if key.unique else frame.unique("exact", keep="first")
            groups = values.group_by("hash").agg(pl.len(), pl.col("row").sort().head(2)).filter(pl.col("len") > 1)
            if groups.height:
                merged += int(groups["len"].sum()) - groups.height
                first = str(groups.select(pl.col("row").list.join(" = ").min()).item())
                examples = min(examples, first) if examples else first
        if merged:
            ours = collation == COLLATIONS[0]
            yield Finding(
                "collation_collision" if key.unique else "collation_twin",
                "bad" if ours and key.unique else "warn" if key.unique else "info",
                key.table.name,
                ", ".join(key.columns),
                count=merged,
                looked_at=looked_at,
                sampled=sampled,
                sample_key=examples,
                values=(("collation", collation),),
            )
