"""How a table is described: its columns, its keys, and the schema it belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from migrations.schema.names import Role

SYNC_COLUMNS: Final = """
    updated_at timestamp(6) not null default current_timestamp(6) on update current_timestamp(6)
    synced_at timestamp(6)"""


@dataclass(frozen=True)
class ColumnModel:
    """A column: its type as the catalog writes it without display width, and its default in lower case ("" for none)."""

    name: str
    type_name: str
    nullable: bool
    default: str = ""


@dataclass(frozen=True)
class TableModel:
    """A table of one of the two schemas. `unique`: the columns of each unique key beside the primary `key`."""

    role: Role
    name: str
    columns: tuple[ColumnModel, ...]
    key: tuple[str, ...]
    unique: tuple[tuple[str, ...], ...] = ()


def table(role: Role, name: str, *, key: str, columns: str, unique: tuple[str, ...] = (), sync: bool) -> TableModel:
    """A table from its description, a column a line; `sync` adds the pair of columns that change capture lives on."""
    lines = (columns + (SYNC_COLUMNS if sync else "")).strip().splitlines()
    return TableModel(
        role=role,
        name=name,
        columns=tuple(column(line.strip()) for line in lines),
        key=split_names(key),
        unique=tuple(split_names(names) for names in unique),
    )


def column(line: str) -> ColumnModel:
    """A column from its line.

    >>> column("points bigint not null")
    ColumnModel(name='points', type_name='bigint', nullable=False, default='')
    """
    name, _, rest = line.partition(" ")
    rest, _, default = rest.partition(" default ")
    return ColumnModel(name, rest.removesuffix(" not null"), not rest.endswith(" not null"), default)


def split_names(text: str) -> tuple[str, ...]:
    """Names from a list with commas."""
    return tuple(name.strip() for name in text.split(","))
