"""Which value of several survives, by column: read from dedupe/golden.toml beside the mapping."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from etl.errors import ConfigurationError
from etl.mapping.load_mapping import find_folder, read_text
from etl.settings import Settings

RULES: Final = (
    "most_recent",
    "most_recent_verified",
    "most_frequent",
    "longest",
    "source_priority",
    "earliest",
    "latest",
    "sum",
)
KEYS: Final = ("source_priority", "recency", "verified", "default", "columns")


@dataclass(frozen=True)
class ColumnRule:
    """How a column's value is chosen among those that are not NULL. `order`: for "best", values from best to worst. `follows`:
    the value is that of the record which the named column's value comes from."""

    rule: str
    order: tuple[str, ...] = ()
    follows: str | None = None


@dataclass(frozen=True)
class GoldenRules:
    """The rules of all columns. `source_priority`: systems, the most trusted first; `recency`: columns that say how recent a
    record is, the first with a value counts; `verified`: systems that checked their values."""

    columns: Mapping[str, ColumnRule] = field(default_factory=dict)
    default: str = "most_recent"
    source_priority: tuple[str, ...] = ()
    recency: tuple[str, ...] = ()
    verified: tuple[str, ...] = ()

    def rule_for(self, column: str) -> ColumnRule:
        """The rule of a column."""
        return self.columns.get(column, ColumnRule(self.default))


def read_golden_rules(settings: Settings) -> GoldenRules:
    """The rules of the mapping that the settings name; without a file, the most recent value of every column.

    Raises ConfigurationError.
    """
    path = find_folder(settings.mapping.path, settings.config_dir) / "dedupe" / "golden.toml"
    return parse_golden_rules(path, read_text(path)) if path.exists() else GoldenRules()


def parse_golden_rules(path: Path, text: str) -> GoldenRules:
    """The rules in a file's text. Raises ConfigurationError with the nearest valid name."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: {error}.", "Correct the file; docs/registry.md shows one.") from None
    for key in content:
        check_name(path, "key", key, KEYS)
    default = str(content.get("default", "most_recent"))
    check_name(path, "rule", default, RULES)
    columns = {name: parse_rule(path, name, value) for name, value in content.get("columns", {}).items()}
    for name, rule in columns.items():
        if rule.follows is not None and columns.get(rule.follows, ColumnRule(default)).follows is not None:
            raise ConfigurationError(
                f"{path}: {name} follows {rule.follows}, which itself follows.", "Name the column that leads."
            )
    lists = {key: names(path, key, content.get(key, ())) for key in ("source_priority", "recency", "verified")}
    return GoldenRules(columns, default, **lists)


def parse_rule(path: Path, column: str, value: Any) -> ColumnRule:
    """One column's rule: its name, { best = [...] } or { follows = "..." }."""
    if isinstance(value, str):
        check_name(path, "rule", value, RULES)
        return ColumnRule(value)
    if isinstance(value, dict) and list(value) == ["best"]:
        return ColumnRule("best", names(path, column, value["best"]))
    if isinstance(value, dict) and list(value) == ["follows"] and isinstance(value["follows"], str):
        return ColumnRule("follows", follows=value["follows"])
    raise ConfigurationError(
        f"{path}: the rule of {column} cannot be read.",
        f'Write one of {", ".join(RULES)}, or {{ best = ["...", "..."] }}, or {{ follows = "column" }}.',
    )


def names(path: Path, key: str, value: Sequence[Any]) -> tuple[str, ...]:
    """A list of texts."""
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise ConfigurationError(f"{path}: {key} must be a list of texts.", f'Write {key} = ["...", "..."].')
    return tuple(value)


def check_name(path: Path, kind: str, name: str, valid: Sequence[str]) -> None:
    """Refuse a name that means nothing."""
    if name not in valid:
        near = difflib.get_close_matches(name, valid, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"Valid are: {', '.join(valid)}."
        raise ConfigurationError(f"{path}: unknown {kind} {name!r}.", hint)
