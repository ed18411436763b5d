"""membershift sync dead-letters retry: try rows again now, beside a running sync or without one.

Whatever made a row unfit may have been mended: a wider column, a corrected value. A running sync tries by itself, those of
reverse at every sweep and those of forward after a while; this does not wait for it. Reverse is safe beside a running one: what
is done twice is found done. Forward is not, since two of them could bring the states of two moments in the wrong order: there
the running sync is left to do it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from etl.errors import RefusedError
from etl.progress import Progress
from etl.settings import Settings
from etl.source.connect import Source, open_source
from etl.sync.dead_letters import KeptLetter, list_dead_letters
from etl.sync.forward.context import open_forward
from etl.sync.forward.try_again import try_letters_again
from etl.sync.forward.versions import read_head
from etl.sync.letters import settle_letters
from etl.sync.lock import hold_sync_lock
from etl.sync.model import KEY, DirtyRows
from etl.sync.plan import SyncPlan, SyncTable, plan_sync
from etl.sync.reverse_letters import KEYS_A_PAGE, MOST, dirty_rows, letters_of
from etl.sync.reverse_round import ReverseSync, carry_over, open_reverse, reverse_context
from etl.target.connect import connect_bulk


@dataclass(frozen=True)
class Retried:
    """Open letters of both directions: `found` of them, whose rows were tried again (with `executed`). `carried`: on the other
    side now. `refused`: still open. `gone`: their rows had nothing left to send, and the letters are settled. `left`: letters of
    forward that the sync that is running tries by itself."""

    executed: bool
    found: int
    left: int
    carried: int = 0
    refused: int = 0
    gone: int = 0


def retry_letters(settings: Settings, *, execute: bool, progress: Progress) -> Retried:
    """Try the rows of all open letters. Raises SourceError, TargetError, ConfigurationError."""
    waiting = open_letters(settings)
    if not execute or not waiting:
        return Retried(execute, len(waiting), 0)
    backward = [letter for letter in waiting if letter.direction == "reverse"]
    onward = [letter for letter in waiting if letter.direction == "forward"]
    with open_source(settings.source, progress) as source:
        with connect_bulk(settings.target) as target:
            plan = plan_sync(settings, source, target)
        gone = retry_reverse(settings, plan, source, backward) if backward else []
        left = 0 if not onward or retry_forward(settings, plan, source) else len(onward)
    still = {letter.letter_id for letter in open_letters(settings)}
    tried = waiting if not left else backward
    refused = sum(letter.letter_id in still for letter in tried)
    return Retried(execute, len(tried), left, len(tried) - refused - len(gone), refused, len(gone))


def open_letters(settings: Settings) -> list[KeptLetter]:
    """Letters of both directions that nobody has settled."""
    with connect_bulk(settings.target) as target:
        return list_dead_letters(target, settings.target.state_schema, limit=MOST)


def retry_forward(settings: Settings, plan: SyncPlan, source: Source) -> bool:
    """Read the legacy rows of all open letters anew, and apply them. False while another sync runs, which does so itself."""
    try:
        with hold_sync_lock(settings), connect_bulk(settings.target) as target:
            context = open_forward(settings, plan, source, target)
            try:
                for database in plan.databases:
                    with context.sessions.at_now(database) as snapshot:
                        head = read_head(snapshot.session)
                        try_letters_again(context, snapshot.session, head, database, {}, all_now=True)
            finally:
                context.close()
    except RefusedError:
        return False
    return True


def retry_reverse(settings: Settings, plan: SyncPlan, source: Source, letters: Sequence[KeptLetter]) -> list[KeptLetter]:
    """Send the rows of these letters. Returns those whose rows have nothing to send, which are settled."""
    gone: list[KeptLetter] = []
    sync = open_reverse(settings, plan, source)
    try:
        for table in sync.tables:
            of_table = letters_of(table, letters)
            for first in range(0, len(of_table), KEYS_A_PAGE):
                gone += try_again(sync, table, of_table[first : first + KEYS_A_PAGE])
    finally:
        sync.close()
    settle_letters(settings, [letter.letter_id for letter in gone])
    return gone


def try_again(sync: ReverseSync, table: SyncTable, letters: Sequence[KeptLetter]) -> list[KeptLetter]:
    """Send the rows of these letters as a page like any other. Returns the letters whose rows have nothing to send."""
    rows = dirty_rows(sync.mark, sync.plan.schema, table, letters)
    page = DirtyRows(table, rows, datetime.now(UTC))
    if not rows.is_empty():
        carry_over(sync, reverse_context(sync), table, [page])
    there = set(rows[KEY])
    return [letter for letter in letters if letter.key not in there]
