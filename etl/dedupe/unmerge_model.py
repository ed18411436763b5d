"""What is asked of unmerge and what it tells, as data: ids and counts, no member data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from etl.dedupe.labels import RecordRef

Origin = Literal["stays", "own id", "id it had", "new id"]
"""Where the id of a group comes from: it keeps the member's, the mapping keeps the legacy id, it was a member before the merge,
or it is newly allocated."""


@dataclass(frozen=True)
class UnmergeRequest:
    """What to take apart.

    `members`: a living member is taken apart whole, each record alone; an id that ended in another gets back what it had.
    `records` come out of their member, each alone. `by_whom` and `note` go into the decisions.

    What happened to a member after the merge has no record to go with: with `keep_later` it stays with whoever keeps the member's
    id, and `later_to` names, by member, the record whose member takes it instead. A member with neither is left as it is.
    """

    members: tuple[int, ...] = ()
    records: tuple[RecordRef, ...] = ()
    execute: bool = False
    by_whom: str = ""
    note: str = ""
    keep_later: bool = False
    later_to: Mapping[int, RecordRef] = field(default_factory=dict)


@dataclass(frozen=True)
class SplitGroup:
    """Records that are one member from now on. `member_id`: None for an id that only `execute` allocates."""

    records: tuple[RecordRef, ...]
    member_id: int | None
    origin: Origin


@dataclass(frozen=True)
class SplitMember:
    """One member taken apart. `moves`: rows that change their member, by table; `later`: rows of its that no staged row stands
    for; `changed`: columns changed on the target since the merge. `done`: it was taken apart, else `left_because` says why not.
    """

    member_id: int
    groups: tuple[SplitGroup, ...]
    moves: Mapping[str, int]
    later: Mapping[str, int]
    changed: tuple[str, ...]
    done: bool = False
    left_because: str = ""

    @property
    def undecided(self) -> bool:
        """Whether anything happened after the merge."""
        return bool(self.later or self.changed)


@dataclass(frozen=True)
class UnmergeResult:
    """Every member asked for. `decisions`: cannot-links written. `already`: what an earlier unmerge did, as it was named."""

    executed: bool
    members: tuple[SplitMember, ...]
    decisions: int
    seconds: float
    already: tuple[str, ...] = ()

    @property
    def done(self) -> int:
        """Members taken apart."""
        return sum(member.done for member in self.members)

    @property
    def left(self) -> int:
        """Members left as they are, to be decided about."""
        return len(self.members) - self.done if self.executed else 0
