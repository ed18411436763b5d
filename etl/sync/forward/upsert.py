"""Guarded writes of the target: a row that changed there since it was last in step is never overwritten.

The order of assignments matters: each sees what those before it have set (shared CAPTURE protocol, point 8).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import polars as pl

from etl.load.sql import name_list, sql
from etl.names import backtick
from etl.reconcile.actual import select
from etl.reconcile.plan import REDIRECT, TablePlan, encode_keys
from etl.sync.forward.literals import in_statements, row_literals
from etl.sync.model import KEY
from etl.target.bulk import BulkConnection

UPDATED, SYNCED = "updated_at", "synced_at"
IN_STEP: Final = "synced_at <=> updated_at"
KEYS_A_QUERY: Final = 1_000
MOMENT: Final = pl.Datetime("us")


def upsert_statement(schema: str, table: str, key: Sequence[str], columns: Sequence[str], rows: str, *, guarded: bool) -> str:
    """INSERT of rows that are in step; where a row is there already, it is overwritten if it is in step too, or always.

    >>> print(upsert_statement("m", "t", ["k"], ["k", "c"], "(1,2,NOW(6),NOW(6))", guarded=True))
    INSERT INTO `m`.`t` (`k`, `c`, `updated_at`, `synced_at`) VALUES (1,2,NOW(6),NOW(6)) ON DUPLICATE KEY UPDATE \
`c` = IF(synced_at <=> updated_at, VALUES(`c`), `c`), \
updated_at = IF(synced_at <=> updated_at, VALUES(updated_at), updated_at), \
synced_at = IF(updated_at = VALUES(updated_at), updated_at, synced_at)
    """
    changes = [name for name in columns if name not in key]
    if guarded:
        sets = [f"{backtick(name)} = IF({IN_STEP}, VALUES({backtick(name)}), {backtick(name)})" for name in changes]
        sets.append(f"{UPDATED} = IF({IN_STEP}, VALUES({UPDATED}), {UPDATED})")
        sets.append(f"{SYNCED} = IF({UPDATED} = VALUES({UPDATED}), {UPDATED}, {SYNCED})")
    else:
        sets = [f"{backtick(name)} = VALUES({backtick(name)})" for name in (*changes, UPDATED, SYNCED)]
    return sql(
        "INSERT INTO {schema}.{table} ({columns}) VALUES {rows} ON DUPLICATE KEY UPDATE {sets}",
        {"schema": schema, "table": table},
        columns=name_list((*columns, UPDATED, SYNCED)),
        rows=rows,
        sets=", ".join(sets),
    )


def upsert(connection: BulkConnection, schema: str, plan: TablePlan, rows: pl.DataFrame, *, guarded: bool) -> None:
    """Write rows in key order, inside the caller's transaction. Raises ServerError."""
    columns = [column.name for column in plan.columns]
    for values in in_statements(stepped(rows.sort(plan.key), columns)):
        connection.execute(upsert_statement(schema, plan.target, plan.key, columns, values, guarded=guarded))


def upsert_dirty(connection: BulkConnection, schema: str, plan: TablePlan, rows: pl.DataFrame) -> None:
    """Overwrite rows, locked by the caller, that reverse still has something to send of: they stay out of step."""
    columns = [column.name for column in plan.columns]
    changes = [name for name in columns if name not in plan.key]
    sets = [f"{backtick(name)} = VALUES({backtick(name)})" for name in (*changes, UPDATED)]
    for values in in_statements(stepped(rows.sort(plan.key), columns, synced="NULL")):
        statement = sql(
            "INSERT INTO {schema}.{table} ({columns}) VALUES {rows} ON DUPLICATE KEY UPDATE {sets}",
            {"schema": schema, "table": plan.target},
            columns=name_list((*columns, UPDATED, SYNCED)),
            rows=values,
            sets=", ".join(sets),
        )
        connection.execute(statement)


def insert(connection: BulkConnection, schema: str, plan: TablePlan, rows: pl.DataFrame) -> None:
    """Add rows that are in step, inside the caller's transaction. Raises ServerError, 1062 for a key that is taken."""
    columns = [column.name for column in plan.columns]
    for values in in_statements(stepped(rows.sort(plan.key), columns)):
        statement = sql(
            "INSERT INTO {schema}.{table} ({columns}) VALUES {rows}",
            {"schema": schema, "table": plan.target},
            columns=name_list((*columns, UPDATED, SYNCED)),
            rows=values,
        )
        connection.execute(statement)


def stepped(rows: pl.DataFrame, columns: Sequence[str], *, synced: str = "NOW(6)") -> pl.Series:
    """Rows as text, with the time of the statement as updated_at and synced_at."""
    if rows.is_empty():
        return pl.Series([], dtype=pl.String)
    return row_literals(rows, columns).str.strip_suffix(")") + f",NOW(6),{synced})"


def read_rows(
    connection: BulkConnection, schema: str, plan: TablePlan, keys: pl.DataFrame, *, dirty: bool = False, lock: bool = True
) -> pl.DataFrame:
    """Rows with these keys: the table's columns, `updated_at`, `synced_at` and KEY. `dirty`: only those that are not in step.
    `lock`: FOR UPDATE, which also reads what is committed rather than what was when the transaction began."""
    wanted = keys.select(plan.key).unique()
    types = pl.Schema({**plan.schema, UPDATED: MOMENT, SYNCED: MOMENT})
    frames = [pl.DataFrame(schema=types)]
    head = select(schema, plan).replace(" FROM ", f", {UPDATED}, {SYNCED} FROM ", 1)
    only = f"{f' AND NOT ({IN_STEP})' if dirty else ''}{f' AND {backtick(REDIRECT)} IS NULL' if plan.redirects else ''}"
    for listed in key_lists(plan, wanted):
        statement = f"{head} WHERE ({name_list(plan.key)}) IN ({listed}){only}{' FOR UPDATE' if lock else ''}"
        frames += connection.read_frame(statement, types)
    found = pl.concat(frames).join(wanted, on=list(plan.key), how="semi")
    return found.with_columns(encode_keys(found.select(plan.key)).alias(KEY))


def count_rows(connection: BulkConnection, schema: str, plan: TablePlan, keys: pl.DataFrame) -> int:
    """How many of these keys the table has, as this transaction sees it."""
    count = 0
    for listed in key_lists(plan, keys.select(plan.key).unique()):
        statement = sql(
            "SELECT COUNT(*) FROM {schema}.{table} WHERE ({key}) IN ({listed})",
            {"schema": schema, "table": plan.target},
            key=name_list(plan.key),
            listed=listed,
        )
        count += int(connection.scalar(statement))
    return count


def delete_rows(connection: BulkConnection, schema: str, plan: TablePlan, keys: pl.DataFrame, *, guarded: bool) -> int:
    """Delete rows by key, only those that are in step when `guarded`; how many went. Inside the caller's transaction."""
    gone = 0
    for listed in key_lists(plan, keys.select(plan.key).unique().sort(plan.key)):
        statement = sql(
            "DELETE FROM {schema}.{table} WHERE ({key}) IN ({listed}){guard}",
            {"schema": schema, "table": plan.target},
            key=name_list(plan.key),
            listed=listed,
            guard=f" AND {IN_STEP}" if guarded else "",
        )
        gone += connection.execute(statement)
    return gone


def key_lists(plan: TablePlan, keys: pl.DataFrame) -> Iterator[str]:
    """Keys as literals, so many at a time."""
    for some in keys.iter_slices(KEYS_A_QUERY):
        yield ",".join(row_literals(some, plan.key).to_list())
