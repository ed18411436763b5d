"""Dead letters of reverse beside the rows that they are about: some of them have nothing left to send."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import polars as pl

from etl.reconcile.plan import decode_keys
from etl.sync.capture.rows import SYNCED_AT, UPDATED_AT, key_types, read_types, select_by_key, with_keys
from etl.sync.dead_letters import DELETE_REFUSED, KeptLetter, list_dead_letters, settle_dead_letters
from etl.sync.model import KEY
from etl.sync.plan import SyncTable
from etl.target.bulk import BulkConnection

MOST: Final = 100_000
KEYS_A_PAGE: Final = 500


def letters_of(table: SyncTable, letters: Sequence[KeptLetter]) -> list[KeptLetter]:
    """Letters about rows of a table that are there; one about a table as a whole names no part."""
    return [one for one in letters if one.part.startswith(f"{table.name}/") and one.reason != DELETE_REFUSED]


def dirty_rows(connection: BulkConnection, schema: str, table: SyncTable, letters: Sequence[KeptLetter]) -> pl.DataFrame:
    """The rows of these letters that have something to send."""
    keys = pl.Series(KEY, [letter.key for letter in letters])
    values = [value for row in decode_keys(keys, key_types(table)).iter_rows() for value in row]
    statement, types = select_by_key(schema, table, len(letters)), read_types(table)
    rows = pl.concat([pl.DataFrame(schema=types), *connection.read_frame(statement, types, tuple(values))])
    return with_keys(table, rows).filter(pl.col(SYNCED_AT).is_null() | (pl.col(UPDATED_AT) != pl.col(SYNCED_AT)))


def settle_moot(connection: BulkConnection, schema: str, state_schema: str, tables: Iterable[SyncTable]) -> None:
    """Settle letters whose rows are in step by now, or gone: forward brought something else, or they were deleted. Those of rows
    that are sent are settled with them."""
    found = [letter for letter in list_dead_letters(connection, state_schema, limit=MOST) if letter.direction == "reverse"]
    for table in tables:
        of_table = letters_of(table, found)
        for first in range(0, len(of_table), KEYS_A_PAGE):
            some = of_table[first : first + KEYS_A_PAGE]
            there = set(dirty_rows(connection, schema, table, some)[KEY])
            moot = [letter for letter in some if letter.key not in there]
            with connection.transaction():
                for part in {letter.part for letter in moot}:
                    keys = [letter.key for letter in moot if letter.part == part]
                    settle_dead_letters(connection, state_schema, "reverse", part, keys)
