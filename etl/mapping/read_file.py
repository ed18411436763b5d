"""One TOML file of a mapping, read with the line of everything in it, and its values checked one at a time."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from etl.errors import ConfigurationError, UsageError
from etl.mapping.mistakes import mistake, unknown
from etl.mapping.model import Place
from etl.mapping.toml_lines import find_lines
from etl.names import SourceTable


@dataclass(frozen=True)
class Table:
    """A table of the file: its values, and where it and they stand."""

    values: Mapping[str, Any]
    path: tuple[str, ...]
    file: Path
    lines: Mapping[tuple[str, ...], int]

    def place(self, key: str | None = None) -> Place:
        """Where `key` is set, or the table itself; what stands inside a line is placed by that line."""
        path = self.path if key is None else (*self.path, key)
        while path and path not in self.lines:
            path = path[:-1]
        return Place(self.file, self.lines.get(path, 1))

    def allow(self, kind: str, keys: Iterable[str]) -> None:
        """Refuse keys that mean nothing here."""
        valid = list(keys)
        for key in self.values:
            if key not in valid:
                raise unknown(self.place(key), "key", key, valid, f" in {kind}")

    def text(self, key: str, default: str | None = None) -> str:
        """A text that must be there, unless it has a default."""
        value = self.values.get(key, default)
        if value is None:
            raise mistake(self.place(), f"{key} is missing.", f'Add {key} = "...".')
        if not isinstance(value, str) or not value:
            raise mistake(self.place(key), f"{key} must be a text.", f'Write {key} = "...".')
        return value

    def texts(self, key: str, default: tuple[str, ...] | None = None) -> tuple[str, ...]:
        """A list of texts; a single text is a list of one."""
        value = self.values.get(key, default)
        if value is None:
            raise mistake(self.place(), f"{key} is missing.", f'Add {key} = ["..."].')
        listed = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list | tuple) else ()
        if (not listed and default is None) or not all(isinstance(item, str) and item for item in listed):
            raise mistake(self.place(key), f"{key} must be a list of texts.", f'Write {key} = ["...", "..."].')
        return listed

    def one_of(self, key: str, choices: tuple[str, ...], default: str | None = None) -> str:
        """A text that is one of `choices`."""
        value = self.text(key, default)
        if value not in choices:
            raise unknown(self.place(key), f"value of {key}", value, choices)
        return value

    def flag(self, key: str) -> bool:
        """True or false; false when left out."""
        value = self.values.get(key, False)
        if not isinstance(value, bool):
            raise mistake(self.place(key), f"{key} must be true or false.", f"Write {key} = true, without quotes.")
        return value

    def source_table(self, key: str) -> SourceTable:
        """A table of the source, as database.schema.table."""
        try:
            return SourceTable.parse(self.text(key))
        except UsageError as error:
            raise mistake(self.place(key), error.message, error.remedy) from error

    def table(self, key: str) -> Table:
        """A table within this one; empty when it is not there."""
        value = self.values.get(key, {})
        if not isinstance(value, dict):
            raise mistake(
                self.place(key), f"{key} must be a table.", f"Write [{'.'.join((*self.path, key))}] and its keys below."
            )
        return Table(value, (*self.path, key), self.file, self.lines)

    def tables(self, key: str) -> list[Table]:
        """The elements of an array of tables."""
        value = self.values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise mistake(self.place(key), f"{key} must be an array of tables.", f"Write [[{key}]] and its keys below.")
        return [Table(item, (*self.path, key, str(at)), self.file, self.lines) for at, item in enumerate(value)]


def read_file(path: Path, text: str) -> Table:
    """The whole file as a table. Raises ConfigurationError when it is not TOML."""
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path} is not valid TOML: {error}.", "Correct the line it names.") from error
    return Table(values, (), path, find_lines(text))
