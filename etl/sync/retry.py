"""membershift sync dead-letters retry: try rows again now, beside a running sync or without one.

Whatever made a row unfit may have been mended: a wider legacy column, a corrected value. A running sync tries rows of reverse
again at every sweep; this does not wait for it. It is safe beside a running one: what is done twice is found done.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import polars as pl

from etl.progress import Progress
from etl.reconcile.plan import decode_keys
from etl.settings import Settings
from etl.source.connect import open_source
from etl.sync.capture.rows import SYNCED_AT, UPDATED_AT, key_types, read_types, select_by_key, with_keys
from etl.sync.dead_letters import KeptLetter, list_dead_letters
from etl.sync.letters import settle_letters
from etl.sync.model import KEY, DirtyRows
from etl.sync.plan import SyncTable, plan_sync
from etl.sync.reverse_round import ReverseSync, carry_over, open_reverse, reverse_context
from etl.target.connect import connect_bulk

MOST: Final = 100_000
KEYS_A_PAGE: Final = 500


@dataclass(frozen=True)
class Retried:
    """Open letters of reverse: `found` of them, whose rows were tried again (with `executed`). `carried`: on the legacy side now.
    `refused`: still open. `gone`: their rows had nothing left to send, and the letters are settled. `forward`: open letters of
    the other direction, which are not tried here: their rows are read again by `sync resync`."""

    executed: bool
    found: int
    forward: int
    carried: int = 0
    refused: int = 0
    gone: int = 0


def retry_letters(settings: Settings, *, execute: bool, progress: Progress) -> Retried:
    """Try the rows of all open letters of reverse. Raises SourceError, TargetError, ConfigurationError."""
    state = settings.target.state_schema
    with connect_bulk(settings.target) as target:
        letters = list_dead_letters(target, state, limit=MOST)
    waiting = [letter for letter in letters if letter.direction == "reverse"]
    found = Retried(execute, len(waiting), len(letters) - len(waiting))
    if not execute or not waiting:
        return found
    gone: list[KeptLetter] = []
    with open_source(settings.source, progress) as source:
        with connect_bulk(settings.target) as target:
            plan = plan_sync(settings, source, target)
        sync = open_reverse(settings, plan, source)
        try:
            for table in sync.tables:
                of_table = [letter for letter in waiting if letter.part.split("/", 1)[0] == table.name]
                for first in range(0, len(of_table), KEYS_A_PAGE):
                    gone += try_again(sync, table, of_table[first : first + KEYS_A_PAGE])
        finally:
            sync.close()
    settle_letters(settings, [letter.letter_id for letter in gone])
    with connect_bulk(settings.target) as target:
        still = {letter.letter_id for letter in list_dead_letters(target, state, limit=MOST)}
    refused = sum(letter.letter_id in still for letter in waiting)
    return Retried(execute, found.found, found.forward, len(waiting) - refused - len(gone), refused, len(gone))


def try_again(sync: ReverseSync, table: SyncTable, letters: Sequence[KeptLetter]) -> list[KeptLetter]:
    """Send the rows of these letters as a page like any other. Returns the letters whose rows have nothing to send."""
    keys = pl.Series(KEY, [letter.key for letter in letters])
    values = [value for row in decode_keys(keys, key_types(table)).iter_rows() for value in row]
    statement = select_by_key(sync.plan.schema, table, len(letters))
    frames = list(sync.scan.read_frame(statement, read_types(table), tuple(values)))
    rows = with_keys(table, pl.concat(frames)) if frames else pl.DataFrame(schema={KEY: pl.String})
    if not rows.is_empty():
        rows = rows.filter(pl.col(SYNCED_AT).is_null() | (pl.col(UPDATED_AT) != pl.col(SYNCED_AT)))
        page = DirtyRows(table, rows, datetime.now(UTC))
        if not rows.is_empty():
            carry_over(sync, reverse_context(sync), table, [page])
    there = set(rows[KEY])
    return [letter for letter in letters if letter.key not in there]
