"""A pair to answer, and a place for answers without a target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from etl.dedupe.labels import Answer, Link, RecordRef, latest, ordered
from etl.dedupe.review import Compared, DoubtfulPair

FACTS = (
    Compared("name", "王***", "王***", True),
    Compared("phone", "139****5678", "139****5679", False),
    Compared("email", "w***@e***", "", False),
)


class MemoryStore:
    """Answers in memory, each pair's last one."""

    def __init__(self, links: Sequence[Link] = ()) -> None:
        self.links = latest(links)
        self.notes: list[str] = []

    def standing(self) -> tuple[Link, ...]:
        return tuple(self.links.values())

    def store(self, links: Sequence[Link], notes: Mapping[Link, str] | None = None, withdrawn: Sequence[Link] = ()) -> int:
        self.withdraw(withdrawn)
        self.notes += (notes or {}).values()
        self.links.update(latest(links))
        return len(links)

    def withdraw(self, links: Sequence[Link]) -> int:
        return sum(1 for link in links if self.links.pop(ordered(link.left, link.right), None) is not None)


def doubtful(left: int, right: int, answer: Answer | None = None, reason: str = "grey_zone") -> DoubtfulPair:
    """A pair of crm records."""
    return DoubtfulPair(left, right, RecordRef("crm", str(left)), RecordRef("crm", str(right)), 4.4, reason, FACTS, answer)
