"""What a mapping says, as data: nothing here reads a file or a row.

A mapping is a folder of TOML files, one for each target table, and mapping.toml for what they share (docs/mappings.md).
"""

from __future__ import annotations

from collections.abc import Mapping as MappingType
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from etl.mapping.sync_rules import SyncRules
from etl.names import SourceTable

Argument = str | int | float | bool | tuple[str, ...] | MappingType[str, str]
"""Value of an argument of a transform, as written in the file; lists become tuples."""

OnBad = Literal["reject", "null"]


@dataclass(frozen=True)
class Place:
    """Where something is written, for messages."""

    file: Path
    line: int

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}"


@dataclass(frozen=True)
class MemberSystem:
    """One source of member ids, as named in mapping.toml: [members.crm].

    `table` and `key` hold a member's legacy id; `canonical` names the transform that writes it as text in member_source, so that
    spellings the legacy collation takes as equal are one id. `ids`: "keep" takes the legacy id as the member id, "allocate"
    takes a new one from the allocator. `since` is the target column, of the part that defines these members, that says since
    when the id is known.
    """

    name: str
    table: SourceTable
    key: str
    canonical: str
    ids: Literal["keep", "allocate"]
    since: str
    place: Place
    new_key: str | None = None


@dataclass(frozen=True)
class ColumnMapping:
    """One target column: `transform` of the source columns `sources` with `args`.

    `member`: the column holds the member id that `sources[0]`, an id of that system, stands for. `default` replaces a missing
    value. `required`: a missing value is refused even where the target column would take NULL. `on_bad`: what to do with a value
    that cannot be read: reject the row, or load NULL (or the default) and note it. `personal` is a kind of
    etl.masking.PERSONAL_KINDS.
    """

    target: str
    sources: tuple[str, ...]
    transform: str
    args: MappingType[str, Argument]
    place: Place
    personal: str | None = None
    required: bool = False
    default: str | int | float | bool | None = None
    on_bad: OnBad = "reject"
    member: str | None = None


@dataclass(frozen=True)
class RejectRule:
    """Rows not to be loaded: those for which `expression`, SQL over source columns, is true. `code` becomes the reason."""

    code: str
    column: str
    expression: str
    place: Place


@dataclass(frozen=True)
class Lookup:
    """A small staged table read beside each row, one to one: its columns are named `<name>.<Column>` in `from`.

    `on` pairs columns of the part's source with the lookup's key columns.
    """

    name: str
    table: SourceTable
    on: tuple[tuple[str, str], ...]
    place: Place


@dataclass(frozen=True)
class Part:
    """Rows of one source table that become rows of one target table. `name` is "<target>/<part>", such as "member/crm".

    `key` is the source's key, `target_key` the target's. `defines_member`: the system whose members these rows are.
    """

    name: str
    target: str
    source: SourceTable
    key: tuple[str, ...]
    target_key: tuple[str, ...]
    columns: tuple[ColumnMapping, ...]
    place: Place
    rejects: tuple[RejectRule, ...] = ()
    lookups: tuple[Lookup, ...] = ()
    defines_member: MemberSystem | None = None

    def column(self, target: str) -> ColumnMapping:
        """The mapping of one target column. Raises KeyError."""
        for column in self.columns:
            if column.target == target:
                return column
        raise KeyError(target)

    @property
    def personal(self) -> dict[str, str]:
        """Kind of each personal target column."""
        return {column.target: column.personal for column in self.columns if column.personal is not None}


@dataclass(frozen=True)
class TableMapping:
    """All parts that fill one target table. `sync`: how it is kept in step while both sides take writes."""

    target: str
    parts: tuple[Part, ...]
    sync: SyncRules = field(default_factory=SyncRules)


@dataclass(frozen=True)
class Mapping:
    """A whole mapping; `tables` stand parents first. `sentinels` are dates that mean "none" (ISO text)."""

    name: str
    folder: Path
    time_zone: str
    sentinels: tuple[str, ...]
    systems: MappingType[str, MemberSystem]
    tables: tuple[TableMapping, ...]
    fingerprint: str = field(default="")

    @property
    def parts(self) -> tuple[Part, ...]:
        """Every part, in load order."""
        return tuple(part for table in self.tables for part in table.parts)

    def part(self, name: str) -> Part:
        """The part called "<target>/<part>". Raises KeyError."""
        for part in self.parts:
            if part.name == name:
                return part
        raise KeyError(name)

    def source_tables(self) -> tuple[SourceTable, ...]:
        """Source tables any part reads, lookups included, each once."""
        found = dict.fromkeys(part.source for part in self.parts)
        found.update(dict.fromkeys(lookup.table for part in self.parts for lookup in part.lookups))
        return tuple(found)
