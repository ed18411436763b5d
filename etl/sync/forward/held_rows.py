"""Rows of the target that an application holds a lock on: told apart, so that the others of their page need not wait for them."""

from __future__ import annotations

from typing import Final

import polars as pl

from etl.load.sql import name_list, sql
from etl.reconcile.plan import encode_keys
from etl.sync.capture.marks import LOCKED, NOWAIT, SKIP
from etl.sync.forward.upsert import key_lists
from etl.sync.forward.work import Work
from etl.sync.model import KEY
from etl.target.errors import ServerError

HELD: Final = 1205
"""What a row that is left for later counts as refused with: the lock was waited for in vain."""


class RowHeldError(Exception):
    """Somebody holds a row of the page: do it again without the rows that are held."""


def held_keys(work: Work, rows: pl.DataFrame) -> set[str]:
    """KEY of those of `rows` that are on the target and locked by somebody else; the others are locked now, in the caller's
    transaction. Waits for nobody. Raises ServerError."""
    keys = rows.select(KEY, *work.plan.key)
    if work.context.target.is_tidb:
        return held_halves(work, keys)
    return set(keys_there(work, keys, "")) - set(keys_there(work, keys, f" FOR UPDATE {SKIP}"))


def held_halves(work: Work, keys: pl.DataFrame) -> set[str]:
    """TiDB cannot skip locked rows: what cannot be locked at once is looked for by halves."""
    try:
        keys_there(work, keys, f" FOR UPDATE {NOWAIT}")
    except ServerError as error:
        if error.number not in LOCKED:
            raise
        if keys.height == 1:
            return set(keys[KEY])
        middle = keys.height // 2
        return held_halves(work, keys[:middle]) | held_halves(work, keys[middle:])
    return set()


def keys_there(work: Work, keys: pl.DataFrame, how: str) -> list[str]:
    """Keys that the target has, read in this way."""
    plan, found = work.plan, [pl.DataFrame(schema={name: work.plan.schema[name] for name in work.plan.key})]
    for listed in key_lists(plan, keys.select(plan.key).unique()):
        statement = sql(
            "SELECT {key} FROM {schema}.{table} WHERE ({key}) IN ({listed}){how}",
            {"schema": work.context.plan.schema, "table": plan.target},
            key=name_list(plan.key),
            listed=listed,
            how=how,
        )
        found += work.context.target.read_frame(statement, found[0].schema)
    return encode_keys(pl.concat(found)).to_list()
