"""What must hold, as data: the folder `invariants` beside the mapping, read and checked.

The retailer's are in etl/mapping/retailer/invariants; docs/reconcile.md explains every key.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping as Values
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from etl.errors import ConfigurationError
from etl.mapping.model import Mapping

When = Literal["always", "single", "merged"]
"""Which targets a rule is for: any, those on which each legacy member is a member, those on which deduplication joined some."""


@dataclass(frozen=True)
class PartSum:
    """Sums over the source rows of one part; `sql` has {only} where rows can be restricted."""

    part: str
    sql: str


@dataclass(frozen=True)
class SumsRule:
    """Sums by group that must be equal: each query gives the groups and then the values. Sources are added up."""

    name: str
    title: str
    groups: tuple[str, ...]
    values: tuple[str, ...]
    sources: tuple[PartSum, ...]
    target: str
    when: When = "always"


@dataclass(frozen=True)
class Except:
    """Rows of `part` that a rule's SQL can leave out at {except name}: `column` is the source key there, `owners` SQL that
    gives (source key, key of the rule) of rows selected by {only}."""

    name: str
    part: str
    column: str
    owners: str


@dataclass(frozen=True)
class RowRule:
    """A rule that each row of `part` must follow: the queries give (key, values) of rows that break it. `only` is the key in
    the source's SQL, `key_column` the part's key column.

    `merged` says what becomes of legacy members that are one on the target: their values are added up ("add"), or they are left
    out on both sides ("leave_out"), since what holds for one of them need not hold for the person.
    """

    name: str
    title: str
    key: str
    values: tuple[str, ...]
    part: str
    key_column: str
    source: str
    only: str
    target: str
    excepts: tuple[Except, ...]
    when: When = "always"
    merged: Literal["add", "leave_out"] = "leave_out"


@dataclass(frozen=True)
class OrphanRule:
    """Rows without a parent: the queries give (parent's key, how many rows refer to it). `parents` are the parts that the
    parents come from, `prefixes` what stands before their source key on the target."""

    name: str
    title: str
    source: str
    target: str
    parents: tuple[str, ...]
    prefixes: tuple[str, ...]


@dataclass(frozen=True)
class Invariants:
    """Every rule of a mapping. `as_of` is SQL for the source that gives the time of the last event, empty when no rule needs
    it."""

    sums: tuple[SumsRule, ...] = ()
    rules: tuple[RowRule, ...] = ()
    orphans: tuple[OrphanRule, ...] = ()
    as_of: str = ""


def load_invariants(mapping: Mapping) -> Invariants:
    """All files of the folder `invariants` beside the mapping; none when there is no such folder. Raises ConfigurationError."""
    folder = mapping.folder / "invariants"
    found = Invariants()
    for path in sorted(folder.glob("*.toml")) if folder.is_dir() else ():
        found = merge(found, read_rules(path, {part.name for part in mapping.parts}))
    return found


def merge(left: Invariants, right: Invariants) -> Invariants:
    """The rules of two files."""
    return Invariants(left.sums + right.sums, left.rules + right.rules, left.orphans + right.orphans, left.as_of or right.as_of)


def read_rules(path: Path, parts: set[str]) -> Invariants:
    """One file."""
    try:
        text = tomllib.loads(path.read_text("utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(
            f"{path} cannot be read: {error}.", "Correct the file; docs/reconcile.md explains it."
        ) from error
    try:
        rules = Invariants(
            sums=tuple(sums_rule(table) for table in text.get("sums", ())),
            rules=tuple(row_rule(table) for table in text.get("rules", ())),
            orphans=tuple(orphan_rule(table) for table in text.get("orphans", ())),
            as_of=str(text.get("as_of", {}).get("source", "")),
        )
    except KeyError as error:
        raise ConfigurationError(f"{path}: a rule lacks {error}.", "Add it; docs/reconcile.md explains every key.") from error
    check_parts(path, rules, parts)
    return rules


def sums_rule(table: Values[str, Any]) -> SumsRule:
    """A [[sums]] table."""
    return SumsRule(
        name=table["name"],
        title=table["title"],
        groups=tuple(table["groups"]),
        values=tuple(table["values"]),
        sources=tuple(PartSum(source["part"], source["sql"]) for source in table["source"]),
        target=table["target"],
        when=one_of(table, "when", ("always", "single", "merged")),
    )


def row_rule(table: Values[str, Any]) -> RowRule:
    """A [[rules]] table."""
    return RowRule(
        name=table["name"],
        title=table["title"],
        key=table["key"],
        values=tuple(table["values"]),
        part=table["part"],
        key_column=table["key_column"],
        source=table["source"],
        only=table["only"],
        target=table["target"],
        excepts=tuple(Except(one["name"], one["part"], one["column"], one["owners"]) for one in table.get("except", ())),
        when=one_of(table, "when", ("always", "single", "merged")),
        merged=one_of(table, "merged", ("leave_out", "add")),
    )


def one_of(table: Values[str, Any], key: str, valid: tuple[Any, ...]) -> Any:
    """A word of a rule, the first of `valid` when it is not given. Raises KeyError for another."""
    value = table.get(key, valid[0])
    if value not in valid:
        raise KeyError(f"{key} = one of {', '.join(valid)}")
    return value


def orphan_rule(table: Values[str, Any]) -> OrphanRule:
    """An [[orphans]] table."""
    parents = tuple(table.get("parents", ()))
    return OrphanRule(
        name=table["name"],
        title=table["title"],
        source=table.get("source", ""),
        target=table["target"],
        parents=parents,
        prefixes=tuple(table.get("prefixes", [""] * len(parents))),
    )


def check_parts(path: Path, rules: Invariants, parts: set[str]) -> None:
    """Every part that a rule names is one of the mapping."""
    named = [source.part for rule in rules.sums for source in rule.sources]
    named += [name for rule in rules.rules for name in (rule.part, *(one.part for one in rule.excepts))]
    named += [name for rule in rules.orphans for name in rule.parents]
    for name in named:
        if name not in parts:
            raise ConfigurationError(f"{path}: the mapping has no part {name!r}.", f"It has: {', '.join(sorted(parts))}.")
