"""Answers of people as decisions on the target: who said it, when, and what it stands in place of."""

from __future__ import annotations

import getpass
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from etl.dedupe.decisions import Decision, read_decisions, withdraw_pairs, write_decisions
from etl.dedupe.labels import Answer, Link, RecordRef, ordered
from etl.dedupe.review_session import AnswerStore
from etl.errors import UsageError
from etl.settings import Settings

LONGEST_NAME = 64
LONGEST_NOTE = 200


@dataclass(frozen=True)
class Decided:
    """One decision that somebody named: None withdraws what stood. `changed` is False when it stood so before."""

    left: RecordRef
    right: RecordRef
    answer: Answer | None
    changed: bool


class DecisionStore:
    """The decisions on the target as a review wants them; `by` is the person who answers."""

    def __init__(self, settings: Settings, by: str) -> None:
        self._settings = settings
        self._by = by[:LONGEST_NAME]

    def standing(self) -> tuple[Link, ...]:
        """Every decision that counts now, as an answer."""
        return tuple(decision.as_link() for decision in read_decisions(self._settings))

    def store(self, links: Sequence[Link], notes: Mapping[Link, str] | None = None, withdrawn: Sequence[Link] = ()) -> int:
        """Write answers, and take back those about `withdrawn`, in one transaction; an older decision about a pair is withdrawn.

        Raises RefusedError for contradictions with what was decided elsewhere meanwhile.
        """
        decisions = [self._decision(link, (notes or {}).get(link, "")) for link in links]
        return len(write_decisions(self._settings, decisions, {ordered(link.left, link.right) for link in withdrawn}))

    def withdraw(self, links: Sequence[Link]) -> int:
        """Take the decisions about these pairs back; nothing is deleted."""
        return withdraw_pairs(self._settings, {ordered(link.left, link.right) for link in links})

    def _decision(self, link: Link, note: str) -> Decision:
        left, right = ordered(link.left, link.right)
        return Decision(
            "must_link" if link.answer == "same" else "cannot_link", left, right, decided_by=self._by, note=note[:LONGEST_NOTE]
        )


def decide(store: AnswerStore, left: RecordRef, right: RecordRef, answer: Answer | None, note: str = "") -> Decided:
    """Store, or withdraw, one decision. Raises RefusedError with the chain when it contradicts others."""
    if left == right:
        raise UsageError(f"{left} is one record, not two.", "Name two records: crm:1 pos:2.")
    left, right = ordered(left, right)
    if answer is None:
        return Decided(left, right, None, store.withdraw([Link(left, right, "same")]) > 0)
    link = Link(left, right, answer)
    return Decided(left, right, answer, store.store([link], {link: note}) > 0)


def answers_by_pair(links: Sequence[Link]) -> dict[tuple[RecordRef, RecordRef], Answer]:
    """The answer of each pair, the smaller record first."""
    return {ordered(link.left, link.right): link.answer for link in links}


def who_is_asked(named: str | None) -> str:
    """The person who answers: as named, else the user of this machine."""
    return named or getpass.getuser()
