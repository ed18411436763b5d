"""Dead letters: rows that could not be carried over, with the reason; tried again at intervals, they never stop the stream."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from etl.load.sql import places, sql
from etl.sync.model import DeadLetter, Direction
from etl.target.bulk import BulkConnection
from etl.target.columns import text_of

DELETE_REFUSED: Final = "delete_refused"
"""Reason of a letter about a row that is gone on the target and is not let go of on the legacy side: a person settles it."""


@dataclass(frozen=True)
class KeptLetter:
    """A row of sync_dead_letter. Times are UTC."""

    letter_id: int
    direction: str
    part: str
    key: str
    reason: str
    detail: str
    attempts: int
    first_at: datetime
    last_at: datetime
    settled_at: datetime | None


def write_dead_letters(connection: BulkConnection, state_schema: str, letters: Iterable[DeadLetter]) -> int:
    """Keep letters, inside the caller's transaction; one that was there already counts one more attempt. Returns how many."""
    statement = sql(
        "INSERT INTO {state}.sync_dead_letter (direction, part, row_key, reason, detail, attempts, first_at, last_at) "
        "VALUES (%s, %s, %s, %s, %s, 1, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6)) ON DUPLICATE KEY UPDATE reason = VALUES(reason), "
        "detail = VALUES(detail), attempts = attempts + 1, last_at = VALUES(last_at), settled_at = NULL",
        {"state": state_schema},
    )
    count = 0
    for letter in letters:
        values = (letter.direction, letter.part, letter.key[:200], letter.reason[:40], letter.detail[:400])
        connection.execute(statement, values)
        count += 1
    return count


def settle_dead_letters(
    connection: BulkConnection, state_schema: str, direction: Direction, part: str, keys: Iterable[str]
) -> None:
    """Rows that were carried over after all, inside the caller's transaction."""
    wanted = sorted({key[:200] for key in keys})
    for first in range(0, len(wanted), 500):
        some = wanted[first : first + 500]
        statement = sql(
            "UPDATE {state}.sync_dead_letter SET settled_at = UTC_TIMESTAMP(6) WHERE direction = %s AND part = %s AND settled_at "
            "IS NULL AND row_key IN ({keys})",
            {"state": state_schema},
            keys=places(len(some)),
        )
        connection.execute(statement, (direction, part, *some))


def parts_with_letters(connection: BulkConnection, state_schema: str, direction: Direction) -> set[str]:
    """Parts that have open letters."""
    statement = "SELECT DISTINCT part FROM {state}.sync_dead_letter WHERE direction = %s AND settled_at IS NULL"
    return {text_of(part) for (part,) in connection.query(sql(statement, {"state": state_schema}), (direction,))}


def list_dead_letters(
    connection: BulkConnection, state_schema: str, *, every: bool = False, limit: int = 100
) -> list[KeptLetter]:
    """The newest letters first: those still open, or `every` one."""
    statement = sql(
        "SELECT letter_id, direction, part, row_key, reason, detail, attempts, first_at, last_at, settled_at "
        "FROM {state}.sync_dead_letter {where} ORDER BY letter_id DESC LIMIT %s",
        {"state": state_schema},
        where="" if every else "WHERE settled_at IS NULL",
    )
    return [
        KeptLetter(
            int(number),
            text_of(direction),
            text_of(part),
            text_of(key),
            text_of(reason),
            text_of(detail),
            int(attempts),
            first,
            last,
            settled,
        )
        for number, direction, part, key, reason, detail, attempts, first, last, settled in connection.query(statement, (limit,))
    ]


def count_dead_letters(connection: BulkConnection, state_schema: str) -> dict[str, int]:
    """How many are open, by direction."""
    rows = connection.query(
        sql(
            "SELECT direction, COUNT(*) FROM {state}.sync_dead_letter WHERE settled_at IS NULL GROUP BY direction",
            {"state": state_schema},
        )
    )
    return {text_of(direction): int(count) for direction, count in rows}
