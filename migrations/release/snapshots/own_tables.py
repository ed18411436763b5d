"""Which rows of the target are a store's own: asked of its catalog, so that tables of one's own are taken along.

Own are the rows that name the store (store_code), and those that belong to one of its sales (sale_no). Members and their
crosswalk are shared by all stores, and the list of stores is master data: they are in no snapshot of a store.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from etl.errors import RefusedError
from etl.load.sql import name_list
from etl.names import backtick
from etl.target.columns import TargetColumn, read_target_columns, text_of

STORE: Final = "store_code"
SALE: Final = "sale"
SALE_KEY: Final = "sale_no"
SHARED: Final = frozenset({"member", "store"})
"""Tables that name a store without being its own."""

SYNC_PAIR: Final = frozenset({"updated_at", "synced_at"})
"""Bookkeeping of change capture: kept in the file, and never written back."""

KEYS_QUERY: Final = """\
SELECT table_name, column_name FROM information_schema.key_column_usage
WHERE table_schema = %s AND constraint_name = 'PRIMARY' ORDER BY table_name, ordinal_position"""


class Queries(Protocol):
    """What asking needs of a connection; BulkConnection has it."""

    def query(self, sql: str, params: Sequence[object] | None = None) -> list[tuple[Any, ...]]: ...


@dataclass(frozen=True)
class OwnTable:
    """A table with rows of stores. `columns` without those that the server computes; `through_sale`: its rows are found by the
    sale that they belong to."""

    name: str
    key: tuple[str, ...]
    columns: tuple[TargetColumn, ...]
    through_sale: bool

    @property
    def names(self) -> tuple[str, ...]:
        """All columns, in order."""
        return tuple(column.name for column in self.columns)

    @property
    def compared(self) -> tuple[str, ...]:
        """What makes a row of it what it is, beside its key."""
        return tuple(name for name in self.names if name not in SYNC_PAIR and name not in self.key)

    @property
    def shape(self) -> tuple[tuple[str, str], ...]:
        """Columns with their types, for the manifest."""
        return tuple((column.name, column.type_name) for column in self.columns)

    def select(self, schema: str) -> str:
        """SELECT of a store's rows, in the order of their key; its place is the store."""
        join = f" JOIN {backtick(schema)}.{SALE} AS p ON p.{SALE_KEY} = t.{SALE_KEY}" if self.through_sale else ""
        owner = "p" if self.through_sale else "t"
        order = ", ".join(f"t.{backtick(name)}" for name in self.key)
        return f"{self.select_from(schema)}{join} WHERE {owner}.{STORE} = %s ORDER BY {order}"

    def select_from(self, schema: str) -> str:
        """SELECT of all columns without a condition. FLOAT is read as DOUBLE, since servers print six digits of it."""
        items = (
            f"CAST(t.{backtick(column.name)} AS DOUBLE)" if column.type_name.startswith("float") else f"t.{backtick(column.name)}"
            for column in self.columns
        )
        return " ".join(("SELECT", ", ".join(items), "FROM", f"{backtick(schema)}.{backtick(self.name)} AS t"))

    def select_keys(self, schema: str, rows: int, *, lock: bool = False) -> str:
        """SELECT of that many rows by key."""
        one = f"({', '.join(['%s'] * len(self.key))})"
        where = f"({name_list(self.key)}) IN ({', '.join([one] * rows)})"
        return f"{self.select_from(schema)} WHERE {where}{' FOR UPDATE' if lock else ''}"


def read_own_tables(connection: Queries, schema: str) -> tuple[OwnTable, ...]:
    """The tables with rows of stores, sales first, what belongs to sales after them. Raises RefusedError where there are none, or
    one has no primary key."""
    columns = read_target_columns(connection, schema)
    keys: dict[str, list[str]] = {}
    for table, column in connection.query(KEYS_QUERY, (schema,)):
        keys.setdefault(text_of(table), []).append(text_of(column))
    found = []
    for name, every in columns.items():
        there = {column.name for column in every}
        through_sale = STORE not in there and SALE_KEY in there and SALE in columns
        if name in SHARED or not (STORE in there or through_sale):
            continue
        if name not in keys:
            raise RefusedError(
                f"{schema}.{name} has rows of stores and no primary key: they could not be brought back one by one.",
                "Give it a primary key.",
            )
        found.append(OwnTable(name, tuple(keys[name]), tuple(one for one in every if not one.generated), through_sale))
    if not found:
        raise RefusedError(f"No table of {schema} says whose its rows are.", "Create the tables: membershift schema up --execute")
    return tuple(sorted(found, key=lambda table: (table.through_sale, table.name != SALE, table.name)))
