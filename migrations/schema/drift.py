"""Where the live tables differ from what the revisions made: somebody changed them by hand."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from etl.target.bulk import BulkConnection
from etl.target.columns import text_of
from migrations.schema.model import ColumnModel, TableModel
from migrations.schema.names import Role, SchemaNames
from migrations.schema.tables import TABLES

COLUMNS_QUERY: Final = """\
SELECT table_schema, table_name, column_name, data_type, column_type, is_nullable, column_default, extra
FROM information_schema.columns
WHERE table_schema IN (%s, %s)
ORDER BY table_schema, table_name, ordinal_position"""
KEYS_QUERY: Final = """\
SELECT table_schema, table_name, index_name, non_unique, column_name
FROM information_schema.statistics
WHERE table_schema IN (%s, %s)
ORDER BY table_schema, table_name, index_name, seq_in_index"""

INTEGERS: Final = frozenset({"tinyint", "smallint", "mediumint", "int", "bigint"})


@dataclass(frozen=True)
class Drift:
    """One difference. `expected` and `found` describe the column or key, "" where there is none."""

    table: str
    kind: Literal["table", "column", "key", "index"]
    name: str
    expected: str
    found: str


@dataclass(frozen=True)
class LiveTable:
    """A table as the target's catalog has it; indexes by name, with whether they are unique."""

    columns: dict[str, ColumnModel]
    indexes: dict[str, tuple[bool, tuple[str, ...]]]


def read_live(connection: BulkConnection, names: SchemaNames) -> dict[tuple[str, str], LiveTable]:
    """All tables of both schemas, by (schema, table)."""
    live: dict[tuple[str, str], LiveTable] = {}
    for schema, table, *column in connection.query(COLUMNS_QUERY, (names.business, names.state)):
        found = live.setdefault((text_of(schema), text_of(table)), LiveTable({}, {}))
        described = live_column(column)
        found.columns[described.name] = described
    for schema, table, index, non_unique, name in connection.query(KEYS_QUERY, (names.business, names.state)):
        indexes = live[text_of(schema), text_of(table)].indexes
        unique, members = indexes.get(text_of(index), (not int(non_unique), ()))
        indexes[text_of(index)] = (unique, (*members, text_of(name)))
    return live


def live_column(row: Sequence[Any]) -> ColumnModel:
    """A row of COLUMNS_QUERY without its table. The two servers write widths, defaults and extras each in their own way.

    >>> live_column(("a", "bigint", "bigint(20)", "YES", "NULL", "")).type_name
    'bigint'
    >>> live_column(("a", "timestamp", "timestamp(6)", "NO", "CURRENT_TIMESTAMP(6)", "DEFAULT_GENERATED")).default
    'current_timestamp(6)'
    """
    name, data_type, column_type, nullable, default, extra = (text_of(value) for value in row)
    bare = column_type.lower()
    if data_type.lower() in INTEGERS:
        bare = data_type.lower() + (" unsigned" if "unsigned" in bare else "")
    default = "" if default == "NULL" else default.lower()
    _, on_update, moment = extra.lower().partition("on update ")
    return ColumnModel(name, bare, nullable == "YES", f"{default} {on_update}{moment}".strip())


def find_drift(
    live: Mapping[tuple[str, str], LiveTable],
    names: SchemaNames,
    indexes: Mapping[str, Mapping[str, str]],
    created: Collection[tuple[Role, str]],
) -> tuple[Drift, ...]:
    """Compare the live tables with the model, those that the revisions so far have `created`; `indexes` are the secondary ones
    that must be there, by business table.

    Tables and indexes beyond the model are nobody's mistake; a column beyond it is, because loads would leave it empty.
    """
    drifts: list[Drift] = []
    for model in (model for model in TABLES if (model.role, model.name) in created):
        found = live.get((names.of(model.role), model.name))
        label = f"{names.of(model.role)}.{model.name}"
        if found is None:
            drifts.append(Drift(label, "table", model.name, "a table", ""))
            continue
        drifts += column_drift(label, model, found)
        drifts += key_drift(label, model, found)
        if model.role == "business":
            drifts += index_drift(label, indexes.get(model.name, {}), found)
    return tuple(drifts)


def column_drift(label: str, model: TableModel, found: LiveTable) -> list[Drift]:
    """Columns that are missing, changed, or more than there should be."""
    expected = {column.name: column for column in model.columns}
    every = [*expected, *(name for name in found.columns if name not in expected)]
    return [
        Drift(label, "column", name, describe(expected.get(name)), describe(found.columns.get(name)))
        for name in every
        if expected.get(name) != found.columns.get(name)
    ]


def key_drift(label: str, model: TableModel, found: LiveTable) -> list[Drift]:
    """The primary key and the unique keys that writing depends on."""
    primary = found.indexes.get("PRIMARY", (True, ()))[1]
    unique = {members for is_unique, members in found.indexes.values() if is_unique}
    wrong = [] if primary == model.key else [Drift(label, "key", "PRIMARY", ", ".join(model.key), ", ".join(primary))]
    return wrong + [Drift(label, "key", "unique", ", ".join(key), "") for key in model.unique if key not in unique]


def index_drift(label: str, expected: Mapping[str, str], found: LiveTable) -> list[Drift]:
    """Secondary indexes that are missing or on other columns."""
    live = {name: f"({', '.join(members)})" for name, (_, members) in found.indexes.items()}
    return [
        Drift(label, "index", name, columns, live.get(name, ""))
        for name, columns in expected.items()
        if live.get(name) != columns
    ]


def describe(column: ColumnModel | None) -> str:
    """A column for reading.

    >>> describe(ColumnModel("a", "bigint", False)), describe(None)
    ('bigint not null', '')
    """
    if column is None:
        return ""
    return f"{column.type_name}{'' if column.nullable else ' not null'}{f' default {column.default}' if column.default else ''}"
