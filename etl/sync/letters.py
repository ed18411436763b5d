"""Dead letters for people: list them, try them again now, or note that somebody took care of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from etl.errors import UsageError
from etl.load.sql import places, sql
from etl.masking import mask
from etl.reconcile.plan import KEY_END
from etl.settings import Settings
from etl.sync.conflict_view import UNKNOWN, Personal, marks_of, personal_columns
from etl.sync.dead_letters import KeptLetter, count_dead_letters, list_dead_letters
from etl.target.bulk import BulkConnection
from etl.target.connect import connect_bulk

IDS_A_STATEMENT: Final = 500


@dataclass(frozen=True)
class LetterList:
    """`letters` with their keys masked where the mapping marks a key as personal; `counts`: open ones by direction."""

    letters: tuple[KeptLetter, ...]
    counts: Mapping[str, int]
    every: bool

    @property
    def open(self) -> int:
        """Open ones of both directions."""
        return sum(self.counts.values())


@dataclass(frozen=True)
class SettledLetters:
    """`count` were open and are settled now, of `asked`."""

    count: int
    asked: int


def read_letters(settings: Settings, *, every: bool, limit: int) -> LetterList:
    """The newest first. Raises TargetError, ConfigurationError."""
    state = settings.target.state_schema
    marks = personal_columns(settings)
    with connect_bulk(settings.target) as target:
        found = list_dead_letters(target, state, every=every, limit=limit)
        counts = count_dead_letters(target, state)
    return LetterList(tuple(masked(letter, marks) for letter in found), counts, every)


def masked(letter: KeptLetter, marks: Mapping[str, Personal]) -> KeptLetter:
    """A letter whose key is fit to be shown: that of a target row in reverse, of a legacy row in forward."""
    table = letter.part.partition("/")[0]
    personal = marks_of(marks, table)
    if letter.direction == "forward":
        hidden = not personal.known or letter.part in personal.legacy_keys
        return replace(letter, key=mask(letter.key, UNKNOWN) if hidden else ", ".join(letter.key.split(KEY_END)))
    return replace(letter, key=personal.mask_key(letter.key))


def settle_letters(settings: Settings, letter_ids: Sequence[int]) -> SettledLetters:
    """Note that somebody took care of these. A row that is refused again opens its letter again.

    Raises UsageError for a number that there is not, TargetError.
    """
    with connect_bulk(settings.target) as target:
        require_letters(target, settings.target.state_schema, letter_ids)
        with target.transaction():
            count = sum(settle_some(target, settings.target.state_schema, some) for some in groups(letter_ids))
    return SettledLetters(count, len(letter_ids))


def settle_some(target: BulkConnection, state_schema: str, letter_ids: Sequence[int]) -> int:
    """Those of these that are open."""
    statement = sql(
        "UPDATE {state}.sync_dead_letter SET settled_at = UTC_TIMESTAMP(6) WHERE settled_at IS NULL AND letter_id IN ({ids})",
        {"state": state_schema},
        ids=places(len(letter_ids)),
    )
    return target.execute(statement, tuple(letter_ids))


def require_letters(target: BulkConnection, state_schema: str, letter_ids: Sequence[int]) -> None:
    """Raises UsageError naming a number that there is not."""
    there: set[int] = set()
    for some in groups(letter_ids):
        statement = sql(
            "SELECT letter_id FROM {state}.sync_dead_letter WHERE letter_id IN ({ids})",
            {"state": state_schema},
            ids=places(len(some)),
        )
        there |= {int(number) for (number,) in target.query(statement, tuple(some))}
    for one in letter_ids:
        if one not in there:
            raise UsageError(f"There is no dead letter {one}.", "Run: membershift sync dead-letters list")


def groups(letter_ids: Sequence[int]) -> Iterable[Sequence[int]]:
    """So many at a time."""
    return (letter_ids[first : first + IDS_A_STATEMENT] for first in range(0, len(letter_ids), IDS_A_STATEMENT))
