"""Text that the mapping tidies: an application wrote it as no legacy row would come over.

A store's code in lower case says the same as in upper case. It is written in its tidy form, which the target takes as well, since
that is what forward would make of the legacy row from then on. What the mapping takes away beyond that, such as an extension
behind a telephone number, stands for something: there it is no tidying.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl

from etl.sync.reverse.checked import Seen
from etl.sync.reverse.places import Place

PHONE: Final = "phone"
TIDYING: Final = frozenset({"text", "trim", "code", "upper", "lower", "name", "address", "email", "id_card", "guid", PHONE})
"""Transforms that give a text in another spelling."""

TRUNKS: Final = ("0086", "86", "00", "0")
"""What may stand before a number where it is dialled from elsewhere, and is not part of it."""


@dataclass(frozen=True)
class Tidying:
    """The tidy forms of texts of a batch. `key`: columns that name a row, which keep their spelling. `written`: which slots of
    each place were written; `seen`: what the mapping makes of them. `found`: forms that were asked for, by row and column."""

    key: tuple[str, ...]
    places: Sequence[Place]
    written: Sequence[pl.DataFrame]
    seen: Sequence[Seen]
    found: dict[tuple[int, str], str] = field(default_factory=dict)

    def form(self, at: int, name: str, value: object) -> str | None:
        """What the mapping makes of a text that was written to the legacy rows of a row of the batch, where all of them say the
        same and it is the text in another spelling."""
        forms = set() if name in self.key else set(self.forms(at, name, value))
        if len(forms) != 1 or (form := forms.pop()) is None:
            return None
        self.found[at, name] = form
        return form

    def forms(self, at: int, name: str, value: object) -> Iterator[str | None]:
        """The form in each legacy row; None where it is not the same text."""
        for place, slots, image in zip(self.places, self.written, self.seen, strict=True):
            names = [slot for slot in place.inverse.writes.get(name, {}) if slot in slots.columns]
            for row in map(int, (place.at == at).arg_true()):
                if any(slots[slot][row] for slot in names):
                    form, transform = image.rows[name][row], place.inverse.transform_of(name)
                    same = transform in TIDYING and is_same_text(value, form, phone=transform == PHONE)
                    yield form if same else None


def is_same_text(one: object, other: object, *, phone: bool = False) -> bool:
    """Whether two texts differ in nothing but case, width, blanks and what cannot be seen; of telephone numbers in the marks
    between digits, and the country's own code, too.

    >>> is_same_text("s０１ ", "S01"), is_same_text("王先生", "王"), is_same_text(" ", "")
    (True, False, False)
    >>> is_same_text("139-1234-5678", "+8613912345678", phone=True), is_same_text("010-65529988-12", "+861065529988", phone=True)
    (True, False)
    """
    if not isinstance(one, str) or not isinstance(other, str):
        return False
    if phone:
        return bool(number_of(one)) and number_of(one) == number_of(other)
    return bool(bare(one)) and bare(one) == bare(other)


def bare(text: str) -> str:
    """A text without case, width, blanks and invisible characters."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return "".join(letter for letter in folded if not letter.isspace() and unicodedata.category(letter)[0] != "C")


def number_of(text: str) -> str:
    """The digits of a telephone number without what is dialled before it; nothing where there are letters among them."""
    folded = bare(text)
    if any(letter.isalpha() for letter in folded):
        return ""
    digits = "".join(letter for letter in folded if letter.isdigit())
    for trunk in TRUNKS:
        digits = digits.removeprefix(trunk)
    return digits


def with_values(rows: pl.DataFrame, values: Mapping[tuple[int, str], Any]) -> pl.DataFrame:
    """Rows of a batch with some values by (row, column) in place of theirs."""
    for name in {name for _, name in values}:
        column = rows[name].to_list()
        for (at, named), value in values.items():
            if named == name:
                column[at] = value
        rows = rows.with_columns(pl.Series(name, column, dtype=rows.schema[name]))
    return rows
