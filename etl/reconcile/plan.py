"""Which tables are compared, by which columns, and from which legacy rows they are made."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final

import polars as pl

from etl.errors import TargetError, UsageError
from etl.mapping.compile import CompiledPart, compile_part, polars_schema
from etl.mapping.model import Mapping as TableMappings
from etl.mapping.model import Part, TableMapping
from etl.names import SourceTable
from etl.source.catalog import Catalog, Table
from etl.source.extract import canonical_schema, select_list
from etl.target.columns import TargetColumn

if TYPE_CHECKING:
    from etl.reconcile.born import Born

PART: Final = "__part"
"""Column of expected rows: the number of the part they come from."""

SOURCE: Final = "__source"
"""Column of expected rows: the legacy row's key, written by `encode_keys`."""

LINK: Final = "__link"
"""Column of expected members: the legacy id as the crosswalk writes it."""

KEY_END: Final = "\x1f"
"""Stands between the columns of an encoded key."""

REDIRECT: Final = "merged_into"
"""Column of a member table: another member that this one became part of. Such a row only redirects."""

MAINTAINED: Final = frozenset({"updated_at", "synced_at"})
"""Columns the target keeps itself: the source has nothing to compare them with."""


@dataclass(frozen=True)
class PartPlan:
    """A part of a mapping, ready to transform rows read anew from `table`. `number` is its place within the target table."""

    number: int
    compiled: CompiledPart
    table: Table
    lookups: tuple[tuple[str, Table], ...]

    @property
    def part(self) -> Part:
        """The part as the mapping has it."""
        return self.compiled.part

    @cached_property
    def key_schema(self) -> dict[str, pl.DataType]:
        """The source key's columns with their types."""
        schema = polars_schema(canonical_schema(self.table))
        return {name: schema[name] for name in self.part.key}


@dataclass(frozen=True)
class TablePlan:
    """One target table to compare. `columns` are those that any part maps, `key` first in meaning, not in order. `redirects`: it
    holds rows of members that ended in others (REDIRECT), which no legacy row stands for. `born`: rows that were made on the
    target and carried back to the legacy side."""

    target: str
    key: tuple[str, ...]
    columns: tuple[TargetColumn, ...]
    parts: tuple[PartPlan, ...]
    left_out: tuple[str, ...]
    redirects: bool = False
    born: Born | None = None

    @cached_property
    def schema(self) -> pl.Schema:
        """Names and types of the rows of both sides."""
        return pl.Schema({column.name: column.polars_type() for column in self.columns})

    @cached_property
    def compared(self) -> tuple[str, ...]:
        """Columns outside the key."""
        return tuple(column.name for column in self.columns if column.name not in self.key)

    @cached_property
    def personal(self) -> dict[str, str]:
        """Kind of each personal column, from whichever part marks it."""
        marks: dict[str, str] = {}
        for plan in self.parts:
            marks.update(plan.part.personal)
        return marks

    @property
    def defines_members(self) -> bool:
        """Whether rows of this table are members, found by the crosswalk."""
        return any(plan.part.defines_member is not None for plan in self.parts)


def plan_tables(
    mapping: TableMappings, catalog: Catalog, targets: Mapping[str, Sequence[TargetColumn]], wanted: Sequence[str]
) -> tuple[TablePlan, ...]:
    """The tables of `wanted` (target tables; all when empty) in the mapping's order.

    Raises UsageError for a table the mapping does not fill, TargetError for one that the target does not have.
    """
    chosen = choose_tables(mapping, wanted)
    return tuple(plan_table(table, catalog, targets) for table in chosen)


def choose_tables(mapping: TableMappings, wanted: Sequence[str]) -> tuple[TableMapping, ...]:
    """The tables asked for, by the name of the target table or of one of its parts."""
    names = {table.target: table for table in mapping.tables}
    chosen: set[str] = set()
    for name in wanted:
        target = name.split("/", 1)[0]
        if target not in names:
            near = difflib.get_close_matches(target, names, n=1)
            hint = f"Did you mean {near[0]}? " if near else ""
            raise UsageError(
                f"The mapping {mapping.name!r} fills no target table {name!r}.", f"{hint}It fills: {', '.join(names)}."
            )
        chosen.add(target)
    return tuple(table for table in mapping.tables if not wanted or table.target in chosen)


def plan_table(table: TableMapping, catalog: Catalog, targets: Mapping[str, Sequence[TargetColumn]]) -> TablePlan:
    """One table, its parts compiled against both sides as they are now."""
    live = targets.get(table.target)
    if live is None:
        raise TargetError(
            f"The target has no table {table.target}.", "Create it with `membershift schema up --execute`, then load it."
        )
    parts = tuple(plan_part(number, part, catalog, live) for number, part in enumerate(table.parts))
    mapped = {column.name for plan in parts for column in plan.compiled.target_columns}
    columns = tuple(column for column in live if column.name in mapped and column.name not in MAINTAINED)
    left_out = tuple(column.name for column in live if column.name not in mapped or column.name in MAINTAINED)
    return TablePlan(table.target, parts[0].part.target_key, columns, parts, left_out)


def plan_part(number: int, part: Part, catalog: Catalog, live: Sequence[TargetColumn]) -> PartPlan:
    """One part, with only those source columns that it reads."""
    table = catalog.tables[part.source]
    lookups = {lookup.name: catalog.tables[lookup.table] for lookup in part.lookups}
    schemas = {name: canonical_schema(looked_up) for name, looked_up in lookups.items()}
    compiled = compile_part(part, canonical_schema(table), live, schemas)
    beside = tuple((name, with_columns(looked_up, compiled.lookup_columns[name])) for name, looked_up in lookups.items())
    return PartPlan(number, compiled, with_columns(table, compiled.source_columns), beside)


def with_columns(table: Table, items: Sequence[str]) -> Table:
    """A table as if it had only the columns that the named items of its select list come from."""
    needed = {item.column for item in select_list(table) if item.name in items} | set(table.key)
    return replace(table, columns=tuple(column for column in table.columns if column.name in needed))


def source_tables(tables: Sequence[TableMapping]) -> tuple[SourceTable, ...]:
    """Every source table these read, lookups included."""
    found = [part.source for table in tables for part in table.parts]
    found += [lookup.table for table in tables for part in table.parts for lookup in part.lookups]
    return tuple(dict.fromkeys(found))


def provenance(plan: TablePlan) -> frozenset[str]:
    """Columns that say where a row was born, which no legacy row can say of one born on the target: those that every part fills
    with a constant, and those made of nothing but an identity column. The target keeps its own."""
    born: list[set[str]] = []
    for part in plan.parts:
        identity = {column.name for column in part.table.columns if column.is_identity}
        own = {
            column.mapping.target
            for column in part.compiled.plans
            if column.mapping.transform == "constant"
            or (column.mapping.sources and identity.issuperset(column.mapping.sources) and column.mapping.member is None)
        }
        born.append(own)
    return frozenset(set.intersection(*born)) if born else frozenset()


def encode_keys(keys: pl.DataFrame) -> pl.Series:
    """Keys of any types as one text each, to be read back by `decode_keys`.

    >>> encode_keys(pl.DataFrame({"a": ["S|1"], "b": [2]})).to_list()
    ['S|1\\x1f2']
    """
    texts = [encoded(name, dtype) for name, dtype in keys.schema.items()]
    if len(texts) == 1:
        return keys.select(texts[0].alias(SOURCE)).to_series()
    return keys.select(pl.concat_str(texts, separator=KEY_END).alias(SOURCE)).to_series()


def encoded(name: str, dtype: pl.DataType) -> pl.Expr:
    """A key column as text: times as numbers, bytes as hexadecimal."""
    if dtype == pl.Binary:
        return pl.col(name).bin.encode("hex")
    return (pl.col(name).to_physical() if dtype.is_temporal() else pl.col(name)).cast(pl.String)


def decoded(name: str, dtype: pl.DataType) -> pl.Expr:
    """The reverse."""
    if dtype == pl.Binary:
        return pl.col(name).str.decode("hex")
    return pl.col(name).cast(pl.Int64).cast(dtype) if dtype.is_temporal() else pl.col(name).cast(dtype)


def decode_keys(texts: pl.Series, schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """The keys that `encode_keys` wrote, in their own types."""
    return split_keys(texts, list(schema)).select(decoded(name, dtype) for name, dtype in schema.items())


def split_keys(texts: pl.Series, names: Sequence[str]) -> pl.DataFrame:
    """The columns of encoded keys, as text."""
    if len(names) == 1:
        return texts.to_frame(names[0])
    return texts.str.split_exact(KEY_END, len(names) - 1).struct.rename_fields(list(names)).struct.unnest()
