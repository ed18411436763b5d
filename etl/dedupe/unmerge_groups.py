"""Which records become which member: pure rules over the records of one member."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from etl.dedupe.labels import RecordRef
from etl.dedupe.unmerge_model import Origin, SplitGroup

FAR: datetime = datetime.max


@dataclass(frozen=True)
class Linked:
    """A record of a member. `kept_id`: the id it keeps where its system keeps ids. `had`: the members it was before, in order.
    `since`: since when the legacy id is known. `lends`: the member has its id from this record."""

    record: RecordRef
    kept_id: int | None
    had: tuple[int, ...]
    since: datetime | None
    lends: bool

    @property
    def age(self) -> tuple[datetime, int]:
        """The oldest first, ties to the lesser id."""
        return self.since or FAR, self.kept_id or 0


def part_records(
    linked: Sequence[Linked], out: Collection[RecordRef], together: Collection[int], whole: bool
) -> list[list[Linked]]:
    """Cut the records of one member into parts; those that stay are the first, which may be empty.

    `out` come out each alone, those of a member that ended (`together`) come out together; `whole`: each stands alone.
    """
    if whole:
        first = next((one for one in linked if one.lends), linked[0])
        return [[first], *([one] for one in linked if one is not first)]
    alone = [[one] for one in linked if one.record in out]
    taken = set(out)
    for ended in sorted(together):
        back = [one for one in linked if ended in one.had and one.record not in taken]
        taken.update(one.record for one in back)
        alone += [back] if back else []
    return [[one for one in linked if one.record not in taken], *alone]


def name_groups(member_id: int, parts: Iterable[Sequence[Linked]], ended: Collection[int]) -> tuple[SplitGroup, ...]:
    """The id of each part.

    A single record of a system that keeps ids has its own. The member's id stays with the record that lent it, else with those
    that stay. Several records take the kept id of the oldest among them, as a run of deduplication would give them. Others take
    the id they had before the merge (one of `ended`), else a new one.
    """
    groups = [list(part) for part in parts if part]
    ids: list[tuple[int | None, Origin]] = [(None, "new id")] * len(groups)
    taken: set[int] = set()
    kept = {one.kept_id for group in groups for one in group}  # theirs alone, even while they are in another member

    def give(place: int, number: int | None, origin: Origin) -> None:
        if number is not None and number not in taken and ids[place][0] is None:
            ids[place] = (number, "stays" if number == member_id else origin)
            taken.add(number)

    for place, group in enumerate(groups):
        if len(group) == 1:
            give(place, group[0].kept_id, "own id")
    open_places = [place for place in range(len(groups)) if ids[place][0] is None]
    for place in sorted(open_places, key=lambda at: (not any(one.lends for one in groups[at]), at))[:1]:
        give(place, member_id, "stays")
    for place in open_places:
        for one in sorted((one for one in groups[place] if one.kept_id is not None), key=lambda one: one.age):
            give(place, one.kept_id, "own id")
    for place in open_places:
        for one in groups[place]:
            for before in one.had:
                give(place, before if before in ended and before not in kept else None, "id it had")
    return tuple(
        SplitGroup(tuple(one.record for one in group), number, origin)
        for group, (number, origin) in zip(groups, ids, strict=True)
    )
