"""What two records of one person cannot both say. Evidence may be strong by mistake: a family shares its phone and its door.

Only what a comparison set's fields tell is used: kinds `chinese_name`, `chinese_id_card`, `id`, `birthday` and `phone`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

import polars as pl

from etl.dedupe.model import ComparisonSet

Conflict = Literal["conflicting_id", "conflicting_name", "twins", "parent_child"]
GENERATION_DAYS: Final = 15 * 365
"""Two people on one phone whose birthdays lie further apart are taken for parent and child."""


@dataclass(frozen=True)
class EvidenceColumns:
    """Columns of records.parquet that constraints look at; None where there is none. `ids`: ids that belong to one person."""

    card: str | None = None
    ids: tuple[str, ...] = ()
    name: str | None = None
    surname: str | None = None
    given: str | None = None
    pinyin: str | None = None
    birthday: str | None = None
    phone: str | None = None

    @property
    def all(self) -> tuple[str, ...]:
        """Every column there is, each once."""
        single = (self.card, self.name, self.surname, self.given, self.pinyin, self.birthday, self.phone)
        return tuple(dict.fromkeys([*(column for column in single if column), *self.ids]))


def evidence_columns(comparison_set: ComparisonSet) -> EvidenceColumns:
    """The columns of a comparison set's fields, by their kind."""
    by_kind = {one.kind: one.columns for one in reversed(comparison_set.fields)}
    personal = {column for one in comparison_set.comparisons if one.personal_id for column in one.columns}
    name = by_kind.get("chinese_name", (None, None, None, None))
    card = by_kind.get("chinese_id_card", (None,))[0]
    ids = tuple(one.columns[0] for one in comparison_set.fields if one.kind == "id" and one.columns[0] in personal)
    return EvidenceColumns(
        card=card,
        ids=(card, *ids) if card else ids,
        name=name[0],
        surname=name[1],
        given=name[2],
        pinyin=name[3],
        birthday=by_kind.get("birthday", (None,))[0],
        phone=by_kind.get("phone", (None,))[0],
    )


@dataclass(frozen=True)
class Name:
    """A standardised name; `given` None where only a surname is known, `surname` None for a name in Latin letters."""

    name: str | None
    surname: str | None
    given: str | None
    pinyin: str | None


@dataclass
class Evidence:
    """What records say, by position: numbers instead of values, -1 where a record says nothing."""

    card: list[int]
    ids: list[tuple[int, ...]]
    name: list[int]
    birthday: list[int]
    phone: list[int]
    names: list[Name]
    _agree: dict[tuple[int, int], bool] = field(default_factory=dict)

    def names_agree(self, left: int, right: int) -> bool:
        """Whether two names (numbers) may be one person's; asked once for each pair of names."""
        if left == right or left < 0 or right < 0:
            return True
        key = (left, right) if left < right else (right, left)
        if key not in self._agree:
            self._agree[key] = names_agree(self.names[left], self.names[right])
        return self._agree[key]

    def conflict(self, left: int, right: int, left_side: Side, right_side: Side) -> Conflict | None:
        """Why two groups are not one person though `left` and `right`, a record of each, look like it; None: nothing says so."""
        if left_side.cards and right_side.cards and left_side.cards.isdisjoint(right_side.cards):
            return "conflicting_id"
        if not left_side.ids.isdisjoint(right_side.ids):
            return None  # one id that belongs to one person outweighs a name
        if self.are_generations(left, right):
            return "parent_child"
        if left_side.names.isdisjoint(right_side.names):
            for one in left_side.names:
                for other in right_side.names:
                    if not self.names_agree(one, other):
                        return self.name_conflict(left, right)
        return None

    def are_generations(self, left: int, right: int) -> bool:
        """On one phone, with birthdays a generation apart, and not the same name."""
        if self.phone[left] < 0 or self.phone[left] != self.phone[right] or self.name[left] == self.name[right] >= 0:
            return False
        born, other = self.birthday[left], self.birthday[right]
        return born != -1 and other != -1 and abs(born - other) >= GENERATION_DAYS

    def name_conflict(self, left: int, right: int) -> Conflict:
        """Twins, where birthday and surname are the same; else simply other names."""
        if (
            self.name[left] < 0
            or self.name[right] < 0
            or self.birthday[left] == -1
            or self.birthday[left] != self.birthday[right]
        ):
            return "conflicting_name"
        one, other = self.names[self.name[left]], self.names[self.name[right]]
        return "twins" if one.surname is not None and one.surname == other.surname else "conflicting_name"

    def conflict_of_two(self, left: int, right: int) -> Conflict | None:
        """The same for two records that stand alone, which nearly all do: without making sets of them."""
        if self.card[left] >= 0 and self.card[right] >= 0 and self.card[left] != self.card[right]:
            return "conflicting_id"
        if any(one in self.ids[right] for one in self.ids[left]):
            return None
        if self.are_generations(left, right):
            return "parent_child"
        return None if self.names_agree(self.name[left], self.name[right]) else self.name_conflict(left, right)

    def side(self, records: list[int]) -> Side:
        """What some records say together."""
        return Side(
            cards=frozenset(self.card[record] for record in records if self.card[record] >= 0),
            ids=frozenset(one for record in records for one in self.ids[record]),
            names=frozenset(self.name[record] for record in records if self.name[record] >= 0),
        )


@dataclass(frozen=True)
class Side:
    """What the records of one group say together."""

    cards: frozenset[int]
    ids: frozenset[int]
    names: frozenset[int]


def read_evidence(records: pl.DataFrame, columns: EvidenceColumns) -> Evidence:
    """Evidence of `records`, which has `columns.all`, in its order."""
    height = records.height
    missing = [-1] * height

    def numbers(column: str | None) -> list[int]:
        if column is None:
            return missing
        return (records[column].rank("dense").cast(pl.Int64) - 1).fill_null(-1).to_list()

    name_columns = [columns.name, columns.surname, columns.given, columns.pinyin]
    nothing = pl.Series([None], dtype=pl.String).new_from_index(0, height)
    parts = pl.DataFrame(
        {
            part: records[column] if column else nothing
            for column, part in zip(name_columns, ("name", "surname", "given", "pinyin"), strict=True)
        }
    )
    distinct = parts.filter(pl.any_horizontal(pl.all().is_not_null())).unique(maintain_order=True).with_row_index("number")
    named = parts.join(distinct, on=parts.columns, how="left", nulls_equal=True, maintain_order="left")["number"]
    born = records[columns.birthday].to_physical().fill_null(-1).to_list() if columns.birthday else missing
    return Evidence(
        card=numbers(columns.card),
        ids=personal_ids(records, columns.ids),
        name=named.cast(pl.Int64).fill_null(-1).to_list(),
        birthday=born,
        phone=numbers(columns.phone),
        names=[Name(*row) for row in distinct.drop("number").iter_rows()],
    )


def personal_ids(records: pl.DataFrame, columns: Iterable[str]) -> list[tuple[int, ...]]:
    """All ids of each record that belong to one person, numbered over all columns: a card is never equal to a union id."""
    found: list[list[int]] = [[] for _ in range(records.height)]
    first = 0
    for column in columns:
        ranks = records[column].rank("dense").cast(pl.Int64)
        for row, rank in enumerate(ranks.to_list()):
            if rank is not None:
                found[row].append(first + rank)
        first += records[column].n_unique() + 1
    return [tuple(ids) for ids in found]


def names_agree(left: Name, right: Name) -> bool:
    """Whether two names may be one person's: a slip of the pen, a homophone, a lost character, a name left out. When in doubt
    they may: weights decide then, and this is only the veto.

    >>> zhang_wei = Name("张伟", "张", "伟", "zhangwei")
    >>> [names_agree(zhang_wei, other) for other in (
    ...     Name("章为", "章", "为", "zhangwei"), Name("张?", "张", "?", "zhang?"), Name(None, "张", None, None),
    ...     Name("张伟明", "张", "伟明", "zhangweiming"), Name("weizhang", None, None, "weizhang"))]
    [True, True, True, True, True]
    >>> [names_agree(zhang_wei, other) for other in (
    ...     Name("张敏", "张", "敏", "zhangmin"), Name(None, "李", None, None), Name("johnsmith", None, None, "johnsmith"))]
    [False, False, False]
    """
    if (left.given is None and left.surname is not None) or (right.given is None and right.surname is not None):
        return left.surname is None or right.surname is None or left.surname == right.surname
    one, other = left.pinyin or left.name or "", right.pinyin or right.name or ""
    if one == other or not one or not other:
        return True
    if lost_characters(left.name or one, right.name or other):
        return True
    if left.surname == right.surname and left.given and right.given and (left.given in right.given or right.given in left.given):
        return True
    turned = len(one) == len(other) and one in other + other  # surname last, as in Latin letters
    return turned or within_one_edit(one, other)


def lost_characters(left: str, right: str) -> bool:
    """Whether two names differ only where a character was lost ("?" stands for it)."""
    if len(left) != len(right) or "?" not in left + right:
        return False
    return all(one == other or "?" in (one, other) for one, other in zip(left, right, strict=True))


def within_one_edit(left: str, right: str) -> bool:
    """One letter more, less, other, or two neighbours exchanged.

    >>> within_one_edit("zhangwei", "zhagnwei"), within_one_edit("liming", "limin"), within_one_edit("liming", "lijun")
    (True, True, False)
    """
    if abs(len(left) - len(right)) > 1:
        return False
    start = next((i for i, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))
    rest, other = left[start:], right[start:]
    if len(rest) == len(other):
        return rest[1:] == other[1:] or (rest[2:] == other[2:] and rest[:2] == other[1::-1])
    return rest[1:] == other or rest == other[1:]
