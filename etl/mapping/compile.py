"""A part of a mapping made ready to run: staged rows in, target rows out, and every bad row with its true reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl
import pyarrow as pa

from etl.mapping.column_plan import ColumnPlan, plan_column
from etl.mapping.findings import key_text
from etl.mapping.lookups import join_lookups, lookup_schema
from etl.mapping.mistakes import mistake, unknown
from etl.mapping.model import Part, RejectRule
from etl.mapping.outcome import TransformOutcome
from etl.mapping.sort_out import sort_out
from etl.target.columns import TargetColumn


@dataclass(frozen=True)
class MemberReference:
    """`target_column` takes the member id that `system` knows under `key_column` of the source."""

    target_column: str
    system: str
    key_column: str


@dataclass(frozen=True)
class CompiledPart:
    """A part, checked against its source and its target.

    `source_columns` are the staged columns to read, `target_columns` those that `apply` returns, in its order.
    `lookup_columns`: for each lookup, by name, the columns its frame must have.
    """

    part: Part
    source_columns: tuple[str, ...]
    target_columns: tuple[TargetColumn, ...]
    member_references: tuple[MemberReference, ...]
    lookup_columns: Mapping[str, tuple[str, ...]]
    plans: tuple[ColumnPlan, ...]
    rules: tuple[tuple[RejectRule, pl.Expr], ...]

    def member_keys(self, frame: pl.DataFrame) -> dict[str, pl.Series]:
        """For each member reference, by target column: the ids to look up in the crosswalk, as it writes them (String)."""
        wanted = {reference.target_column for reference in self.member_references}
        keys = frame.select(plan.value.alias(plan.mapping.target) for plan in self.plans if plan.mapping.target in wanted)
        return {name: keys[name] for name in keys.columns}

    def source_keys(self, frame: pl.DataFrame) -> pl.Series:
        """The key of each row as rejects name it: its columns joined by "|"."""
        return key_text(frame, self.part.key)

    def apply(
        self,
        frame: pl.DataFrame,
        members: Mapping[str, pl.Series],
        lookups: Mapping[str, pl.DataFrame] | None = None,
    ) -> TransformOutcome:
        """Transform staged rows.

        `members`: for the target column of each of `member_references`, member ids (Int64, NULL where unknown) in the order of
        `frame`. `lookups`: the frames of the part's lookups, by name, with one row for a key.
        """
        staged = join_lookups(frame, self.part.lookups, lookups or {})
        values = staged.select(
            (members[plan.mapping.target] if plan.mapping.member else plan.value).alias(plan.name) for plan in self.plans
        )
        return sort_out(self.part, self.plans, self.rules, staged, values)


def compile_part(
    part: Part,
    source_schema: pa.Schema,
    target: Sequence[TargetColumn],
    lookups: Mapping[str, pa.Schema] | None = None,
) -> CompiledPart:
    """Check a part against staged and target columns and make it ready.

    `source_schema` is the staged table's, `target` the live table's columns, `lookups` the staged schemas of the part's lookups
    by name. Target columns the part does not map are left to the server, and must be able to do without.
    Raises ConfigurationError for a missing column or a type that cannot fit, with the mapping's file and line.
    """
    lookups = lookups or {}
    own = polars_schema(source_schema)
    staged = pl.Schema({**own, **lookup_schema(part, own, {name: polars_schema(schema) for name, schema in lookups.items()})})
    check_keys(part, own)
    plans = plan_columns(part, staged, target)
    rules = tuple((rule, read_rule(rule, staged)) for rule in part.rejects)
    used = used_columns(part, plans, rules, staged)
    return CompiledPart(
        part=part,
        source_columns=tuple(name for name in own if name in used),
        target_columns=tuple(plan.target for plan in plans),
        member_references=tuple(
            MemberReference(plan.mapping.target, plan.mapping.member, plan.mapping.sources[0])
            for plan in plans
            if plan.mapping.member
        ),
        lookup_columns={
            lookup.name: tuple(dict.fromkeys([*(there for _, there in lookup.on), *columns_of(lookup.name, used)]))
            for lookup in part.lookups
        },
        plans=plans,
        rules=rules,
    )


def polars_schema(schema: pa.Schema) -> pl.Schema:
    """An Arrow schema as polars reads it."""
    return pl.Schema(schema)  # not by way of an empty table: pyarrow would import pandas for it, a second of each start


def check_keys(part: Part, staged: pl.Schema) -> None:
    """The source's key columns are there."""
    for name in part.key:
        if name not in staged:
            raise unknown(part.place, "key column", name, staged, f" in {part.source}")


def plan_columns(part: Part, staged: pl.Schema, target: Sequence[TargetColumn]) -> tuple[ColumnPlan, ...]:
    """A plan for each mapped column, in the target's order."""
    by_name = {column.name: column for column in target}
    for mapping in part.columns:
        if mapping.target not in by_name:
            raise unknown(mapping.place, "target column", mapping.target, by_name, f" of {part.target}")
    mapped = {mapping.target: mapping for mapping in part.columns}
    for column in target:
        # A bigint key may be AUTO_RANDOM, which no catalog tells.
        server_fills = column.nullable or column.has_default or column.generated or (column.name,) == part.target_key
        if column.name not in mapped and not server_fills:
            raise mistake(
                part.place,
                f"{part.name} does not map {column.name}, which {part.target} must have.",
                f'Add {column.name} = {{ from = "..." }} or {{ value = ... }}.',
            )
    return tuple(plan_column(mapped[column.name], column, staged) for column in target if column.name in mapped)


def read_rule(rule: RejectRule, staged: pl.Schema) -> pl.Expr:
    """The condition of a reject rule. Raises ConfigurationError when it is no SQL over the source columns."""
    try:
        condition = pl.sql_expr(rule.expression)
        for name in condition.meta.root_names():
            if name not in staged:
                raise unknown(rule.place, "source column", name, staged, " in the reject rule")
        kind = pl.DataFrame(schema=staged).select(condition.alias("rule")).schema["rule"]
    except pl.exceptions.PolarsError as error:
        raise mistake(
            rule.place,
            f"the reject rule {rule.code!r} cannot be read: {str(error).splitlines()[0]}.",
            "Write SQL over source columns.",
        ) from error
    if kind != pl.Boolean:
        raise mistake(rule.place, f"the reject rule {rule.code!r} gives {kind}, not true or false.", "Compare it with something.")
    return condition


def used_columns(
    part: Part, plans: Sequence[ColumnPlan], rules: Sequence[tuple[RejectRule, pl.Expr]], staged: pl.Schema
) -> set[str]:
    """Every staged or looked-up column that is read for anything."""
    used = set(part.key)
    for plan in plans:
        used.update(plan.mapping.sources)
        used.update(flag for _, flag in plan.flags)
    for _, condition in rules:
        used.update(condition.meta.root_names())
    for lookup in part.lookups:
        used.update(here for here, _ in lookup.on)
    return used & set(staged)


def columns_of(lookup: str, used: set[str]) -> list[str]:
    """Columns of a lookup among `used`, by their own names."""
    return sorted(name.removeprefix(f"{lookup}.") for name in used if name.startswith(f"{lookup}."))
