"""What a kind of file holds: which of its columns, by whatever name, is which legacy column, and how its text is read.

Profiles that come with the program are in etl/load/import_profiles; `--as ./partner.toml` takes one of yours, of the same form.
"""

from __future__ import annotations

import tomllib
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from etl.errors import ConfigurationError, UsageError
from etl.masking import PERSONAL_KINDS

TYPES: Final[dict[str, pa.DataType]] = {
    "text": pa.large_string(),
    "code": pa.large_string(),
    "date_text": pa.large_string(),
    "integer": pa.int64(),
    "money": pa.decimal128(19, 4),
    "quantity": pa.decimal128(12, 3),
    "area": pa.decimal128(9, 2),
    "number": pa.float64(),
    "date": pa.date32(),
    "time": pa.timestamp("us"),
    "boolean": pa.bool_(),
}
"""How a cell is read, and the staged type it becomes. `code`: digits and letters that are no quantity (card, phone, id card);
`date_text`: a date that the legacy table keeps as text; `time`: local date and time."""

KEYS: Final = frozenset({"type", "required", "names", "personal", "default"})


@dataclass(frozen=True)
class ProfileColumn:
    """One legacy column. `names` are further headers it may stand under; `default` is the text of an empty cell."""

    name: str
    type: str
    names: tuple[str, ...]
    required: bool = False
    personal: str | None = None
    default: str | None = None


@dataclass(frozen=True)
class Profile:
    """A kind of file, for one part of the mapping."""

    name: str
    part: str
    columns: tuple[ProfileColumn, ...]

    @property
    def schema(self) -> pa.Schema:
        """The staged form of the file's rows."""
        return pa.schema([(column.name, TYPES[column.type]) for column in self.columns])

    def by_header(self) -> dict[str, ProfileColumn]:
        """Columns by every header they may have, as `plain_header` writes it."""
        return {plain_header(name): column for column in self.columns for name in (column.name, *column.names)}

    def column(self, name: str) -> ProfileColumn:
        """A column by its legacy name."""
        return next(column for column in self.columns if column.name == name)


@dataclass(frozen=True)
class HeaderMatch:
    """Which cell of a header row is which column; cells that are none are `ignored`."""

    columns: tuple[tuple[int, ProfileColumn], ...]
    ignored: tuple[str, ...]


def known_profiles() -> tuple[str, ...]:
    """Names of the profiles that come with the program."""
    folder = resources.files("etl.load").joinpath("import_profiles")
    return tuple(sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml")))


def load_profile(name: str) -> Profile:
    """A profile by its name, or by the path of a .toml file. Raises UsageError, ConfigurationError for a file that is wrong."""
    if name.endswith(".toml"):
        path = Path(name)
        if not path.is_file():
            raise UsageError(f"{name} does not exist.", f"Give a profile's file or one of: {', '.join(known_profiles())}.")
        return read_profile(path.stem, path.read_bytes(), name)
    if name not in known_profiles():
        raise UsageError(
            f"No kind of file is called {name!r}.", f"Use --as with one of: {', '.join(known_profiles())}; or a .toml file."
        )
    content = resources.files("etl.load").joinpath("import_profiles", f"{name}.toml").read_bytes()
    return read_profile(name, content, f"{name}.toml")


def read_profile(name: str, content: bytes, place: str) -> Profile:
    """Read and check a profile."""
    try:
        data = tomllib.loads(content.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{place} is not TOML: {error}.", "Correct the file.") from error
    columns = data.get("columns")
    if set(data) != {"part", "columns"} or not isinstance(data["part"], str) or not isinstance(columns, dict) or not columns:
        raise ConfigurationError(f"{place} must have `part` and [columns.NAME] tables, and nothing else.", "See docs/import.md.")
    return Profile(name, data["part"], tuple(read_column(place, column, table) for column, table in columns.items()))


def read_column(place: str, name: str, table: Any) -> ProfileColumn:
    """Read one [columns.NAME]."""
    if not isinstance(table, dict) or not set(table) <= KEYS:
        raise ConfigurationError(f"{place}: [columns.{name}] takes only {', '.join(sorted(KEYS))}.", "Correct the file.")
    kind, personal = table.get("type"), table.get("personal")
    if kind not in TYPES:
        raise ConfigurationError(f"{place}: [columns.{name}] has no valid type.", f"Use one of: {', '.join(TYPES)}.")
    if personal is not None and personal not in PERSONAL_KINDS:
        raise ConfigurationError(f"{place}: [columns.{name}] personal is wrong.", f"Use one of: {', '.join(PERSONAL_KINDS)}.")
    return ProfileColumn(
        name, kind, tuple(table.get("names", ())), bool(table.get("required", False)), personal, table.get("default")
    )


def plain_header(text: str) -> str:
    """A header without what people vary: width, case, blanks, punctuation.

    >>> plain_header(" Card_No. "), plain_header("ＣａｒｄＮｏ"), plain_header("手机号（必填）")
    ('cardno', 'cardno', '手机号必填')
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(character for character in folded if character.isalnum())


def match_header(profile: Profile, cells: Sequence[str]) -> HeaderMatch:
    """Which cells of a header row are columns of the profile; a column that stands twice counts once."""
    by_header = profile.by_header()
    taken: set[str] = set()
    found: list[tuple[int, ProfileColumn]] = []
    ignored: list[str] = []
    for place, cell in enumerate(cells):
        column = by_header.get(plain_header(cell)) or by_header.get(plain_header(cell.split("(")[0].split("（")[0]))
        if column is None or column.name in taken:
            ignored.append(cell)
        else:
            taken.add(column.name)
            found.append((place, column))
    return HeaderMatch(tuple(found), tuple(ignored))


def require_columns(profile: Profile, match: HeaderMatch, file: str) -> None:
    """Raise UsageError when a required column has no header."""
    there = {column.name for _, column in match.columns}
    missing = [column for column in profile.columns if column.required and column.name not in there]
    if missing:
        wanted = "; ".join(f"{column.name} ({', '.join(column.names[:3])})" for column in missing)
        raise UsageError(
            f"{file} has no column for {', '.join(column.name for column in missing)}.",
            f"Add or rename the columns, such as: {wanted}. Or check that --as {profile.name} is the right kind.",
        )
