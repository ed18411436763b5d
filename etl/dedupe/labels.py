"""What people answered about pairs, and whether their answers can all be true at once.

"Same" is transitive: who says A = B and B = C has said A = C, and cannot also say A ≠ C. Such answers are refused, with the
chain that contradicts them, before anything is written.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from etl.errors import RefusedError, UsageError

Answer = Literal["same", "different"]
KINDS: Final[dict[str, Answer]] = {"must_link": "same", "cannot_link": "different"}
"""A decision on the target, as the answer it stands for."""
MOST_TOLD: Final = 10


@dataclass(frozen=True, order=True)
class RecordRef:
    """One legacy record: its system and its key there."""

    system: str
    source_id: str

    def __str__(self) -> str:
        return f"{self.system}:{self.source_id}"


@dataclass(frozen=True)
class Link:
    """An answer about two records; `place` says where it stands, for messages: "row 7", "decision 12"."""

    left: RecordRef
    right: RecordRef
    answer: Answer
    place: str = ""


@dataclass(frozen=True)
class Contradiction:
    """`same` leads from one end of `different` to the other."""

    same: tuple[Link, ...]
    different: Link

    def chain(self) -> str:
        """All of it in one line: crm:1 = pos:B2 (row 7), pos:B2 = ecom:9 (decision 3), crm:1 ≠ ecom:9 (row 8)."""
        steps = [f"{link.left} = {link.right}{placed(link)}" for link in self.same]
        return ", ".join([*steps, f"{self.different.left} ≠ {self.different.right}{placed(self.different)}"])


def placed(link: Link) -> str:
    """Where a link stands, in brackets."""
    return f" ({link.place})" if link.place else ""


def parse_record(text: str) -> RecordRef:
    """A record as people write it. Raises UsageError.

    >>> parse_record("crm:123")
    RecordRef(system='crm', source_id='123')
    """
    system, colon, source_id = text.strip().partition(":")
    if not (system and colon and source_id):
        raise UsageError(f"{text!r} names no record.", "Write the system and its key there: crm:123.")
    return RecordRef(system, source_id)


def find_contradictions(links: Iterable[Link]) -> tuple[Contradiction, ...]:
    """Every "different" whose two records are said to be the same, directly or along a chain, each with its shortest chain.

    >>> a, b, c = (RecordRef("crm", key) for key in "123")
    >>> found = find_contradictions([Link(a, b, "same"), Link(b, c, "same", "row 2"), Link(a, c, "different", "row 3")])
    >>> [contradiction.chain() for contradiction in found]
    ['crm:1 = crm:2, crm:2 = crm:3 (row 2), crm:1 ≠ crm:3 (row 3)']
    >>> find_contradictions([Link(a, b, "same"), Link(a, c, "different")])
    ()
    """
    answered = list(links)
    neighbours: dict[RecordRef, list[tuple[RecordRef, Link]]] = {}
    groups = Groups()
    for link in answered:
        if link.answer == "same":
            neighbours.setdefault(link.left, []).append((link.right, link))
            neighbours.setdefault(link.right, []).append((link.left, link))
            groups.join(link.left, link.right)
    return tuple(
        Contradiction(shortest_chain(neighbours, link.left, link.right), link)
        for link in answered
        if link.answer == "different" and groups.root(link.left) == groups.root(link.right)
    )


def refuse_contradictions(links: Iterable[Link]) -> None:
    """Raise RefusedError naming the chains, if the links cannot all be true."""
    found = find_contradictions(links)
    if not found:
        return
    told = "; ".join(contradiction.chain() for contradiction in found[:MOST_TOLD])
    more = f"; and {len(found) - MOST_TOLD} more" if len(found) > MOST_TOLD else ""
    raise RefusedError(
        f"The answers contradict each other: {told}{more}. None was stored.",
        "Correct one answer of each chain, or take a stored one back: membershift dedupe review decide A B none",
    )


def shortest_chain(
    neighbours: dict[RecordRef, list[tuple[RecordRef, Link]]], start: RecordRef, end: RecordRef
) -> tuple[Link, ...]:
    """The fewest "same" links from `start` to `end`, each turned to the direction of travel."""
    came: dict[RecordRef, tuple[RecordRef, Link] | None] = {start: None}
    waiting = deque([start])
    while waiting and end not in came:
        here = waiting.popleft()
        for there, link in neighbours.get(here, ()):
            if there not in came:
                came[there] = (here, link)
                waiting.append(there)
    chain: list[Link] = []
    while (step := came.get(end)) is not None:
        before, link = step
        chain.append(Link(before, end, "same", link.place))
        end = before
    return tuple(reversed(chain))


class Groups:
    """Records that are said to be the same, as a forest with short paths (union-find)."""

    def __init__(self) -> None:
        self._parent: dict[RecordRef, RecordRef] = {}

    def root(self, record: RecordRef) -> RecordRef:
        """The one record that stands for the group."""
        path: list[RecordRef] = []
        while (parent := self._parent.get(record, record)) != record:
            path.append(record)
            record = parent
        self._parent.update(dict.fromkeys(path, record))
        return record

    def join(self, left: RecordRef, right: RecordRef) -> None:
        """Make one group of two."""
        first, second = self.root(left), self.root(right)
        if first != second:
            self._parent[max(first, second)] = min(first, second)


def ordered(left: RecordRef, right: RecordRef) -> tuple[RecordRef, RecordRef]:
    """A pair, the smaller record first: the same pair is always written the same way."""
    return (left, right) if left <= right else (right, left)


def latest(links: Sequence[Link]) -> dict[tuple[RecordRef, RecordRef], Link]:
    """The last answer of each pair."""
    return {ordered(link.left, link.right): link for link in links}
