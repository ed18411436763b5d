"""One sitting of answering doubtful pairs: what comes next, what was answered, and how to take the last answer back.

Each answer is stored the moment it is given, so that nothing is lost when the terminal goes away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from etl.dedupe.labels import Answer, Link, find_contradictions, latest
from etl.dedupe.review import DoubtfulPair

Step = Literal["same", "different", "skip"]


class AnswerStore(Protocol):
    """Where answers go: the decisions on the target, or a list in a test."""

    def standing(self) -> tuple[Link, ...]:
        """Every answer that counts now."""

    def store(self, links: Sequence[Link], notes: Mapping[Link, str] | None = None, withdrawn: Sequence[Link] = ()) -> int:
        """Keep these answers, in place of older ones about the same pairs, and take back those about `withdrawn`: all or nothing.
        Return how many were kept that changed anything."""

    def withdraw(self, links: Sequence[Link]) -> int:
        """Take back the answers about these pairs; return how many there were."""


@dataclass(frozen=True)
class ReviewTally:
    """What a sitting came to. `left` pairs of the queue have no answer."""

    same: int
    different: int
    skipped: int
    undone: int
    left: int

    @property
    def answered(self) -> int:
        """Pairs that have an answer now which they had not before."""
        return self.same + self.different


class ReviewSession:
    """The queue and the way back through it. `now` is the pair to answer, None when all is done."""

    def __init__(self, pairs: Sequence[DoubtfulPair], store: AnswerStore) -> None:
        self._pairs = tuple(pairs)
        self._store = store
        self._links = latest(store.standing())
        self._steps: list[tuple[Step, Link | None]] = []
        self._undone = 0

    @property
    def total(self) -> int:
        """Pairs of this sitting."""
        return len(self._pairs)

    @property
    def position(self) -> int:
        """How many are behind us."""
        return len(self._steps)

    @property
    def now(self) -> DoubtfulPair | None:
        """The pair to answer."""
        return self._pairs[self.position] if self.position < self.total else None

    def answer(self, answer: Answer) -> str:
        """Store an answer about the current pair and go on. A contradiction is not stored: its chain is returned instead."""
        pair = self._pairs[self.position]
        link = Link(pair.left, pair.right, answer, "this answer")
        others = {key: known for key, known in self._links.items() if key != (pair.left, pair.right)}
        contradictions = find_contradictions([*others.values(), link])
        if contradictions:
            return contradictions[0].chain()
        before = self._links.get((pair.left, pair.right))
        self._store.store([link])
        self._links = others | {(pair.left, pair.right): Link(pair.left, pair.right, answer, "answered before")}
        self._steps.append((answer, before))
        return ""

    def skip(self) -> None:
        """Leave the current pair as it is."""
        self._steps.append(("skip", None))

    def undo(self) -> bool:
        """Go back one pair and take its answer back; what it said before this sitting is put in its place. False at the start."""
        if not self._steps:
            return False
        step, before = self._steps.pop()
        pair = self._pairs[self.position]
        if step != "skip":
            key = (pair.left, pair.right)
            self._links.pop(key, None)
            if before is None:
                self._store.withdraw([Link(pair.left, pair.right, step)])
            else:
                self._store.store([before])
                self._links[key] = before
        self._undone += 1
        return True

    @property
    def tally(self) -> ReviewTally:
        """Where the sitting stands."""
        steps = [step for step, _ in self._steps]
        counts = {name: steps.count(name) for name in ("same", "different", "skip")}
        return ReviewTally(
            counts["same"], counts["different"], counts["skip"], self._undone, self.total - counts["same"] - counts["different"]
        )
