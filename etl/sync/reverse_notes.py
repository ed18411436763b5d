"""What reverse notes on the target of a page that it has sent: marks, values as the legacy side holds them, bases, letters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import polars as pl

from etl.load.sql import name_list, places, sql
from etl.names import backtick
from etl.reconcile.plan import decode_keys
from etl.sync.base import RowBase, read_bases, write_bases
from etl.sync.capture.marks import mark_in_step, marking
from etl.sync.capture.rows import UPDATED_AT, key_types
from etl.sync.dead_letters import parts_with_letters, settle_dead_letters, write_dead_letters
from etl.sync.digest import digest
from etl.sync.model import KEY, DirtyRows
from etl.sync.plan import SyncPlan, SyncTable
from etl.sync.reverse.model import Reversed
from etl.target.bulk import BulkConnection

ECHOES_A_STATEMENT: Final = 100
"""Each row of a statement is held against all of its keys, one after the other."""


def note_sent(
    connection: BulkConnection,
    plan: SyncPlan,
    table: SyncTable,
    page: DirtyRows,
    bases: Mapping[str, RowBase],
    result: Reversed,
) -> list[str]:
    """One target transaction: marks, values that the legacy side holds more coarsely, bases, dead letters. Rows are locked before
    their bases, as forward does. Returns the keys that were marked."""
    state = plan.state_schema
    done = page.rows.filter(pl.col(KEY).is_in(list(result.done)))
    marked: list[str] = []
    with marking(connection):
        if not done.is_empty():
            marked = mark_in_step(connection, plan.schema, table, done.select(KEY, UPDATED_AT))
        taken = take_echoes(connection, plan.schema, table, page, result, set(marked))
        if table.rules.mode == "both":
            note_bases(connection, state, table, page, bases, result, taken)
        write_dead_letters(connection, state, result.dead)
        if result.done:
            for part in parts_with_letters(connection, state, "reverse") & {part.part.name for part in table.plan.parts}:
                settle_dead_letters(connection, state, "reverse", part, result.done)
    return marked


def take_echoes(
    connection: BulkConnection, schema: str, table: SyncTable, page: DirtyRows, result: Reversed, marked: set[str]
) -> set[str]:
    """Write what the legacy type made of values back to the rows they came from, unless a row changed since. Returns the keys.

    Rows that were `marked` are locked, and as they were read; any other is asked for its time.
    """
    if not result.echoes:
        return set()
    rows = page.rows.filter(pl.col(KEY).is_in(list(result.echoes)))
    keys = decode_keys(rows[KEY], key_types(table)).rows()
    groups: dict[tuple[str, ...], list[tuple[tuple[Any, ...], tuple[Any, ...]]]] = {}
    taken = set(rows[KEY]) & marked
    for key, updated_at, values in zip(rows[KEY], rows[UPDATED_AT], keys, strict=True):
        echo = result.echoes[key]
        if key in marked:
            groups.setdefault(tuple(echo), []).append((values, tuple(echo.values())))
        elif take_echo(connection, schema, table, values, updated_at, echo):
            taken.add(key)
    for columns, some in groups.items():
        for first in range(0, len(some), ECHOES_A_STATEMENT):
            write_echoes(connection, schema, table, columns, some[first : first + ECHOES_A_STATEMENT])
    return taken


def write_echoes(
    connection: BulkConnection,
    schema: str,
    table: SyncTable,
    columns: Sequence[str],
    rows: Sequence[tuple[tuple[Any, ...], tuple[Any, ...]]],
) -> None:
    """Set the same columns of several rows that are locked, each given as its key and its values."""
    same_row = same_key(table)
    values = [value for at in range(len(columns)) for key, echo in rows for value in (*key, echo[at])]
    statement = sql(
        "UPDATE {schema}.{table} SET {columns}, updated_at = updated_at WHERE ({key}) IN ({keys})",
        {"schema": schema, "table": table.name},
        columns=", ".join(f"{backtick(name)} = CASE {f'WHEN {same_row} THEN %s ' * len(rows)}END" for name in columns),
        key=name_list(table.plan.key),
        keys=", ".join([f"({places(len(table.plan.key))})"] * len(rows)),
    )
    connection.execute(statement, (*values, *(value for key, _ in rows for value in key)))


def take_echo(
    connection: BulkConnection, schema: str, table: SyncTable, key: tuple[Any, ...], updated_at: object, echo: Mapping[str, Any]
) -> bool:
    """The same for one row that is not locked. Whether it still has its time: an UPDATE that changes nothing counts no row."""
    names = {"schema": schema, "table": table.name}
    statement = sql(
        "UPDATE {schema}.{table} SET {columns}, updated_at = updated_at WHERE {same_row} AND updated_at = %s",
        names,
        columns=", ".join(f"{backtick(name)} = %s" for name in echo),
        same_row=same_key(table),
    )
    connection.execute(statement, (*echo.values(), *key, updated_at))
    question = sql("SELECT 1 FROM {schema}.{table} WHERE {same_row} AND updated_at = %s", names, same_row=same_key(table))
    return bool(connection.query(question, (*key, updated_at)))


def same_key(table: SyncTable) -> str:
    """The condition of one key."""
    return " AND ".join(f"{backtick(name)} = %s" for name in table.plan.key)


def note_bases(
    connection: BulkConnection,
    state: str,
    table: SyncTable,
    page: DirtyRows,
    bases: Mapping[str, RowBase],
    result: Reversed,
    taken: set[str],
) -> None:
    """What both sides have in common now, unless forward has moved it since the page was read: then forward knows better."""
    keys = set(result.settled)
    now = read_bases(connection, state, table.name, table.kept, keys, lock=True)
    changed: dict[str, RowBase] = {}
    for row in page.rows.filter(pl.col(KEY).is_in(list(keys))).iter_rows(named=True):
        key = row[KEY]
        read, standing = bases.get(key, RowBase({})), now.get(key, RowBase({}))
        hashes = dict(standing.hashes)
        # What was sent is there as the legacy type holds it, also where the target's row changed meanwhile and could not take it.
        echo = {name: value for name, value in result.echoes.get(key, {}).items() if key in taken or name in result.settled[key]}
        unplaced = result.unplaced.get(key, {})
        for column in {*result.settled[key], *echo, *unplaced}:
            if column in table.kept and standing.hashes.get(column) == read.hashes.get(column):
                hashes[column] = digest({**row, **unplaced, **echo}[column])
        if hashes != standing.hashes or key not in now:
            changed[key] = replace(standing, hashes=hashes)
    write_bases(connection, state, table.name, table.kept, changed)
