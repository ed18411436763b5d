"""Rows that were loaded without their member, because it was in quarantine, get it once it is there.

A mapping may load a row whose member is unknown (on_bad = "null"); the quarantine then keeps a settled line that says so. These
lines are what is looked at here: their rows are read from the stage once more, and those whose member is known by now are
changed on the target, where it still has nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import polars as pl

from etl.load.existing import as_compared
from etl.load.part import LoadPart
from etl.load.prepare import Prepared
from etl.load.rejects import LIMITS, LINES_PER_STATEMENT
from etl.load.sql import name_list, places, sql
from etl.progress import Progress, Silent
from etl.target.bulk import BulkConnection
from etl.target.columns import text_of
from etl.target.retry import with_retries

UNKNOWN_MEMBER: Final = "unknown_member"
FILLED: Final = "loaded as NULL, filled in later"
"""Detail of a line whose row has its member by now: nothing is left to do about it."""

NOTED: Final = """\
SELECT DISTINCT source_key FROM {state}.reject
WHERE mapping_part = %s AND column_name = %s AND reason = %s AND settled_at IS NOT NULL AND detail <> %s"""
IMPORTED: Final = """\
SELECT source_table, COUNT(DISTINCT source_key) FROM {state}.reject
WHERE mapping_part LIKE %s AND reason = %s AND settled_at IS NOT NULL AND detail <> %s
GROUP BY source_table ORDER BY source_table"""
EMPTY_ROWS: Final = "SELECT {key} FROM {schema}.{table} WHERE {column} IS NULL AND ({key}) IN ({tuples}){lock}"
FILL: Final = "UPDATE {schema}.{table} SET {column} = %s WHERE {column} IS NULL AND ({key}) IN ({tuples})"
TELL_FILLED: Final = """\
UPDATE {state}.reject SET detail = %s
WHERE mapping_part = %s AND column_name = %s AND reason = %s AND settled_at IS NOT NULL AND source_key IN ({keys})"""
IMPORT_PREFIX: Final = "import/"
SOURCE_KEY: Final = "·source_key"


@dataclass(frozen=True)
class Refilled:
    """Rows of one part that were loaded without a member: `noted` in quarantine, `staged` of them still in the stage, `filled`
    those whose member is there by now (in a dry run: would be filled)."""

    noted: int = 0
    staged: int = 0
    filled: int = 0

    def __add__(self, other: Refilled) -> Refilled:
        return Refilled(self.noted + other.noted, self.staged + other.staged, self.filled + other.filled)


def refill_members(
    prepared: Prepared, part: LoadPart, progress: Progress | None = None, connection: BulkConnection | None = None
) -> Refilled:
    """Give rows of `part` their members. Without a `connection` to write through, only count."""
    total = Refilled()
    for column in nullable_members(part):
        noted = noted_keys(prepared, part, column)
        if not noted:
            continue
        staged = filled = 0
        for found in staged_again(part, column, noted):
            staged += found.height
            for rows in found.filter(pl.col(column).is_not_null()).iter_slices(LINES_PER_STATEMENT):
                filled += fill(prepared, part, column, rows, progress or Silent(), connection)
        total += Refilled(len(noted), staged, filled)
    return total


def imported_without_member(prepared: Prepared) -> tuple[tuple[str, int], ...]:
    """(file, rows) of imported files with rows that were loaded without their member."""
    rows = prepared.connection.query(
        sql(IMPORTED, {"state": prepared.state_schema}), (f"{IMPORT_PREFIX}%", UNKNOWN_MEMBER, FILLED)
    )
    return tuple((text_of(file), int(count)) for file, count in rows)


def nullable_members(part: LoadPart) -> tuple[str, ...]:
    """Columns of a part that hold a member and may hold none; none for a table without key, whose rows cannot be told apart."""
    if not part.keys or not set(part.keys[0]) <= set(part.column_names):
        return ()
    nullable = {column.name for column in part.columns if column.nullable} - set(part.keys[0])
    return tuple(name for name in part.transform.member_columns if name in nullable)


def noted_keys(prepared: Prepared, part: LoadPart, column: str) -> frozenset[str]:
    """Source keys of rows that were loaded without the member that `column` should hold."""
    rows = prepared.connection.query(sql(NOTED, {"state": prepared.state_schema}), (part.name, column, UNKNOWN_MEMBER, FILLED))
    return frozenset(text_of(row[0]) for row in rows)


def staged_again(part: LoadPart, column: str, noted: frozenset[str]) -> Iterator[pl.DataFrame]:
    """The noted rows as the mapping makes them now: the target's key, `column`, and SOURCE_KEY."""
    wanted = pl.Series(sorted(noted), dtype=pl.String).implode()
    for chunk in part.chunks:
        for frame in chunk.read(part.transform.source_columns):
            rows = frame.filter(part.transform.source_keys(frame).str.slice(0, LIMITS["source_key"]).is_in(wanted))
            if rows.is_empty():
                continue
            outcome = part.transform.apply(rows)
            keys = part.transform.source_keys(rows)
            kept = keys if outcome.kept is None else keys.filter(outcome.kept)
            yield outcome.rows.select(*part.keys[0], column).with_columns(kept.alias(SOURCE_KEY))


def fill(
    prepared: Prepared, part: LoadPart, column: str, rows: pl.DataFrame, progress: Progress, connection: BulkConnection | None
) -> int:
    """How many of `rows`, all with a member, have none on the target; with a `connection` they get it, in one transaction."""
    if connection is None:
        return still_empty(prepared.connection, part, column, rows, lock=False).height

    def attempt() -> int:
        with connection.transaction():
            empty = still_empty(connection, part, column, rows, lock=True)
            for (member,), some in empty.group_by(column, maintain_order=True):
                fill_one(connection, part, column, member, some.select(part.keys[0]))
            tell_filled(connection, prepared.state_schema, part, column, rows[SOURCE_KEY].to_list())
            return empty.height

    return with_retries(partial(attempt), retries=prepared.settings.target.retries, progress=progress)


def still_empty(connection: BulkConnection, part: LoadPart, column: str, rows: pl.DataFrame, *, lock: bool) -> pl.DataFrame:
    """Those of `rows` that have no member on the target, with the target's own spelling of their keys."""
    key = part.keys[0]
    types = {name: target.polars_type() for name in key for target in part.columns if target.name == name}
    statement = sql(
        EMPTY_ROWS, {"schema": part.schema, "table": part.table, "column": column},
        key=name_list(key), tuples=tuples(len(key), rows.height), lock=" FOR UPDATE" if lock else "",
    )  # fmt: skip
    found = pl.concat([pl.DataFrame(schema=types), *connection.read_frame(statement, types, key_values(rows.select(key)))])
    wanted = rows.with_columns(pl.col(name).cast(types[name]) for name in key)
    names = [f"__{number}" for number in range(len(key))]
    return found.join(
        wanted.select(*(as_compared(wanted, name).alias(to) for name, to in zip(key, names, strict=True)), column),
        left_on=[as_compared(found, name) for name in key],
        right_on=names,
    )


def fill_one(connection: BulkConnection, part: LoadPart, column: str, member: object, keys: pl.DataFrame) -> None:
    """Rows of these keys belong to `member`."""
    statement = sql(
        FILL, {"schema": part.schema, "table": part.table, "column": column},
        key=name_list(part.keys[0]), tuples=tuples(keys.width, keys.height),
    )  # fmt: skip
    connection.execute(statement, (member, *key_values(keys)))


def tell_filled(connection: BulkConnection, state_schema: str, part: LoadPart, column: str, source_keys: Sequence[str]) -> None:
    """These rows lack nothing any more."""
    keys = [key[: LIMITS["source_key"]] for key in source_keys]
    connection.execute(
        sql(TELL_FILLED, {"state": state_schema}, keys=places(len(keys))),
        (FILLED, part.name, column, UNKNOWN_MEMBER, *keys),
    )


def tuples(width: int, count: int) -> str:
    """Places for `count` keys of `width` columns.

    >>> tuples(1, 2), tuples(2, 1)
    ('(%s), (%s)', '(%s, %s)')
    """
    return ", ".join([f"({places(width)})"] * count)


def key_values(keys: pl.DataFrame) -> tuple[object, ...]:
    """Values of all keys, one after the other."""
    return tuple(value for row in keys.iter_rows() for value in row)
