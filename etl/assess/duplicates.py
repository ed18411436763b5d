"""How many legacy ids stand for a person already known, by exact phone, id card and union id, within and across databases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from etl.assess.column_checks import TEXT
from etl.assess.model import DuplicateEstimate, IdentifierUse, SharedIdentifier
from etl.assess.personal_names import personal_kind
from etl.assess.relations import Relation
from etl.assess.spill import KeySpill
from etl.names import SourceTable
from etl.source.catalog import Table

KINDS: Final = ("phone", "id_card", "union_id")
PLACEHOLDER_LIMIT: Final = 20
"""More rows than this under one value share a placeholder (13800000000), not a person."""

MOBILE: Final = r"^(?:1[3-9][0-9]{9}|(?:\+|00)[1-9][0-9]{7,14})$"
"""A mobile phone of mainland China, or a number of another country with its code."""
ID_CARD: Final = r"^(?:[0-9]{17}[0-9Xx]|[0-9]{15})$"
LEAST_UNION_ID: Final = 6

TABLE_BITS: Final = 40  # a row is known by its table's number, then its place in the read


@dataclass(frozen=True)
class Identifier:
    """A column of a table of persons that identifies one."""

    table: SourceTable
    number: int
    column: str
    kind: str


def find_identifiers(tables: Mapping[SourceTable, Table], relations: Sequence[Relation]) -> tuple[Identifier, ...]:
    """Identifier columns, by name, of tables whose rows are persons: those with one, that do not point at another such table."""
    columns = {
        name: [(column.name, kind) for column in table.columns if (kind := identifier_kind(column.name, column.type_name))]
        for name, table in tables.items()
        if table.key
    }
    with_identifier = {name for name, found in columns.items() if found}
    facts_about_others = {relation.child for relation in relations if relation.parent in with_identifier}
    persons = sorted(with_identifier - facts_about_others)
    return tuple(
        Identifier(table, number, column, kind) for number, table in enumerate(persons) for column, kind in columns[table]
    )


def identifier_kind(column: str, type_name: str) -> str | None:
    """The kind of identifier a column holds, None for every other column."""
    kind = personal_kind(column) if type_name in TEXT else None
    return kind if kind in KINDS else None


def gather_identifiers(spill: KeySpill, identifiers: Sequence[Identifier], frame: pl.DataFrame, offset: int) -> None:
    """Note which row holds which identifier. `offset` is how many rows of the table were read before this frame."""
    for identifier in identifiers:
        base = (identifier.number << TABLE_BITS) + offset
        rows = frame.select(
            canonical(identifier.kind, pl.col(identifier.column)).alias("value"),
            pl.int_range(pl.len(), dtype=pl.UInt64).alias("row") + base,
        ).filter(pl.col("value").str.len_bytes() > 0)
        spill.add(
            identifier.kind,
            rows.select(
                spill.hash_of(rows.select("value")), "row", pl.lit(identifier.column).cast(pl.Categorical).alias("column")
            ),
        )


def canonical(kind: str, value: pl.Expr) -> pl.Expr:
    """What "exact" means: the same digits of a mobile phone, with or without the country code 86; the same text otherwise.

    NULL where the value identifies nobody: a landline (a household's or a shop's), a number cut short, a card of another length.
    """
    text = value.str.normalize("NFKC").str.strip_chars()
    match kind:
        case "phone":
            digits = text.str.replace_all(r"[\s().\-]", "").str.replace(r"^(?:\+|00)?86(1[0-9]{10})$", "$1")
            return pl.when(digits.str.contains(MOBILE)).then(digits.str.replace(r"^00", "+"))
        case "id_card":
            return pl.when(text.str.contains(ID_CARD)).then(text.str.to_uppercase())
        case _:
            return pl.when(text.str.len_chars() >= LEAST_UNION_ID).then(text)


def estimate_duplicates(
    spill: KeySpill, identifiers: Sequence[Identifier], rows: Mapping[SourceTable, int], *, sampled: Mapping[SourceTable, bool]
) -> DuplicateEstimate | None:
    """Count repeats of each identifier and follow the rows that share one. None where no table has an identifier."""
    if not identifiers:
        return None
    uses: list[IdentifierUse] = []
    shared: list[SharedIdentifier] = []
    links: list[pl.DataFrame] = []
    placeholders = 0
    for kind in dict.fromkeys(identifier.kind for identifier in identifiers):
        mine = [identifier for identifier in identifiers if identifier.kind == kind]
        counted = [count_kind(frame) for frame in spill.partitions(kind)]
        uses += [sum_uses(identifier, counted, sampled=sampled[identifier.table]) for identifier in mine]
        shared.append(
            SharedIdentifier(kind, sum(part.distinct for part in counted), sum(part.in_several_tables for part in counted))
        )
        placeholders += sum(part.placeholders for part in counted)
        links += [part.links for part in counted]
    ids = sum(rows[table] for table in dict.fromkeys(identifier.table for identifier in identifiers))
    surplus = count_surplus(pl.concat(links)) if links else 0
    return DuplicateEstimate(
        ids=ids,
        persons=ids - surplus,
        surplus=surplus,
        placeholders=placeholders,
        placeholder_limit=PLACEHOLDER_LIMIT,
        sampled=any(sampled[identifier.table] for identifier in identifiers),
        uses=tuple(uses),
        shared=tuple(shared),
    )


@dataclass(frozen=True)
class KindCount:
    """One partition of one kind: `by_column` has table, column, filled, distinct; `links` has hash and row of shared values."""

    distinct: int
    in_several_tables: int
    placeholders: int
    by_column: pl.DataFrame
    links: pl.DataFrame


def count_kind(frame: pl.DataFrame) -> KindCount:
    """Count the values of one partition."""
    rows = frame.with_columns((pl.col("row") // (1 << TABLE_BITS)).alias("table"), pl.col("column").cast(pl.String))
    groups = rows.group_by("hash").agg(pl.col("row").n_unique().alias("rows"), pl.col("table").n_unique().alias("tables"))
    followed = groups.filter((pl.col("rows") > 1) & (pl.col("rows") <= PLACEHOLDER_LIMIT))
    return KindCount(
        distinct=groups.height,
        in_several_tables=int((groups["tables"] > 1).sum()),
        placeholders=int((groups["rows"] > PLACEHOLDER_LIMIT).sum()),
        by_column=rows.group_by("table", "column").agg(pl.len().alias("filled"), pl.col("hash").n_unique().alias("distinct")),
        links=rows.join(followed, on="hash", how="semi").select("hash", "row"),
    )


def sum_uses(identifier: Identifier, counted: Sequence[KindCount], *, sampled: bool) -> IdentifierUse:
    """One column's figures over all partitions; equal values stand in one, so distinct counts add up."""
    here = (pl.col("table") == identifier.number) & (pl.col("column") == identifier.column)
    found = [part.by_column.filter(here) for part in counted]
    filled = sum(int(part["filled"].sum()) for part in found)
    distinct = sum(int(part["distinct"].sum()) for part in found)
    return IdentifierUse(identifier.kind, identifier.table, identifier.column, filled, distinct, filled - distinct, sampled)


def count_surplus(links: pl.DataFrame) -> int:
    """Rows that share a value, however long the chain, are one person: rows minus persons.

    Each row takes the least label of the rows it shares a value with, until none changes.

    >>> count_surplus(pl.DataFrame({"hash": [1, 1, 2, 2, 9, 9], "row": [10, 11, 11, 12, 20, 21]}))
    3
    """
    if links.is_empty():
        return 0
    edges = links.unique()
    labels = edges.select("row").unique().with_columns(pl.col("row").alias("label"))
    while True:
        by_value = edges.join(labels, on="row").with_columns(pl.col("label").min().over("hash"))
        better = by_value.group_by("row").agg(pl.col("label").min())
        if int((better.sort("row")["label"] != labels.sort("row")["label"]).sum()) == 0:
            return labels.height - better["label"].n_unique()
        labels = better
