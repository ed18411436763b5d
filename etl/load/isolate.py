"""Load rows inside a transaction so that exactly the good ones stay, whatever the target thinks of the others.

LOAD DATA makes a warning of a bad value and damages it, so its result stands only when it skipped nothing and warned of
nothing. Else it is taken back to a savepoint, rows that are there already are set aside, rows that the server named stand
alone, and where it named none the rest is halved until the bad rows stand alone. A row that stands alone is inserted
strictly: the error number that this gives is the true reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import polars as pl

from etl.load.existing import set_aside_existing, set_aside_repeated, times_as_text
from etl.load.part import LoadPart
from etl.load.reasons import DATA_ERRORS, column_named, reason_for
from etl.load.sorted_rows import Sorted
from etl.load.sql import name_list, places, sql
from etl.masking import mask
from etl.target.bulk import BulkConnection
from etl.target.errors import ServerError

SAVEPOINT: Final = "before_rows"
ALONE: Final = 4
"""Pieces of this many rows are inserted one by one instead of halved further."""
ROW: Final = "__row"
"""Number of a row within its batch: a column of ours beside the target's."""
DUPLICATE_KEY: Final = 1062


def load_exactly(connection: BulkConnection, part: LoadPart, rows: pl.DataFrame, keys: pl.Series) -> Sorted:
    """Load `rows` (target columns) inside the caller's transaction; `keys` are their source keys.

    Raises ServerError for anything that is not a row's fault.
    """
    outcome = Sorted()
    numbered = rows.with_row_index(ROW)
    pieces = [numbered] if not rows.is_empty() else []
    keys_checked = False
    while pieces:
        piece = pieces.pop()
        trouble = load_or_undo(connection, part, piece)
        if trouble is None:
            continue
        if trouble.duplicates and not keys_checked:
            keys_checked = True
            piece = set_aside_repeated(part, piece, keys, outcome)
            piece = set_aside_existing(connection, part, piece, keys, outcome)
            pieces += [piece] if not piece.is_empty() else []
            continue
        for alone in stand_alone(piece, trouble):
            insert_alone(connection, part, alone, keys, outcome)
        pieces += split_rest(piece, trouble)
    return outcome


@dataclass(frozen=True)
class Trouble:
    """Why a piece was taken back. `suspects` are the rows, counted within the piece, that the server named."""

    duplicates: bool
    suspects: tuple[int, ...]


def load_or_undo(connection: BulkConnection, part: LoadPart, piece: pl.DataFrame) -> Trouble | None:
    """LOAD DATA these rows; keep them only if nothing was skipped and nothing warned of, else say what was wrong."""
    connection.execute(f"SAVEPOINT {SAVEPOINT}")
    try:
        loaded = connection.load_rows(part.table, part.column_names, piece, schema=part.schema)
    except ServerError as error:
        if error.number not in DATA_ERRORS:
            raise
        trouble = Trouble(error.number == DUPLICATE_KEY, ())
    else:
        if loaded.clean:
            return None
        trouble = Trouble(loaded.skipped > 0, loaded.suspects)
    connection.execute(f"ROLLBACK TO SAVEPOINT {SAVEPOINT}")
    return trouble


def stand_alone(piece: pl.DataFrame, trouble: Trouble) -> list[pl.DataFrame]:
    """Rows to try one by one: those the server named, or all of a piece that is small enough."""
    rows = trouble.suspects if piece.height > ALONE else range(piece.height)
    return [piece.slice(row, 1) for row in rows if row < piece.height]


def split_rest(piece: pl.DataFrame, trouble: Trouble) -> list[pl.DataFrame]:
    """What `stand_alone` left: in one piece when the server named rows, in halves when it did not."""
    if piece.height <= ALONE:
        return []
    if trouble.suspects:
        named = pl.Series(sorted(set(trouble.suspects)), dtype=pl.UInt32)
        rest = piece.with_row_index("__at").filter(~pl.col("__at").is_in(named.implode())).drop("__at")
        return [rest] if not rest.is_empty() else []
    half = piece.height // 2
    return [piece.slice(half), piece.slice(0, half)]


def insert_alone(connection: BulkConnection, part: LoadPart, row: pl.DataFrame, keys: pl.Series, outcome: Sorted) -> None:
    """Insert one row under strict rules, or note the reason that this gives."""
    number = int(row[ROW][0])
    values = times_as_text(row.select(part.column_names)).row(0)
    insert = sql(
        "INSERT INTO {schema}.{table} ({columns}) VALUES ({values})",
        {"schema": part.schema, "table": part.table},
        columns=name_list(part.column_names),
        values=places(len(values)),
    )
    connection.execute(f"SAVEPOINT {SAVEPOINT}")
    code = 0
    try:
        connection.execute(insert, values)
    except ServerError as error:
        if error.number not in DATA_ERRORS:
            raise
        code = error.number
    warnings = connection.query("SHOW WARNINGS")
    if not code and not warnings:
        return
    connection.execute(f"ROLLBACK TO SAVEPOINT {SAVEPOINT}")
    code = code or int(warnings[0][1])
    column = column_named(" ".join(str(warning[2]) for warning in warnings), part.columns)
    name = "" if column is None else column.name
    value = "" if column is None else mask(values[part.column_names.index(name)], part.personal.get(name))
    outcome.refuse(
        number, str(keys[number]), name, reason_for(code, column), value, f"the target refused the row with error {code}"
    )
