"""What an inverse is: from a target value to legacy values, as expressions over whole columns.

An inverse need not be right: what it gives is put through the part's own transform, and counts only if that gives the target's
value again. It must only not lose anything on the way: a value that it cannot express becomes NULL, which is then found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import polars as pl

from etl.mapping.model import Argument
from etl.mapping.transforms.base import Kind, kind_of
from etl.source.catalog import Column


@dataclass(frozen=True)
class Slot:
    """A place of a legacy row that a value goes to: an item of the extract's select list, by its `name`."""

    name: str
    column: Column
    dtype: pl.DataType

    @property
    def kind(self) -> Kind:
        """Which kind of value it is staged as."""
        return kind_of(self.dtype)

    @property
    def now(self) -> pl.Expr:
        """What the legacy row has there; NULL for a row to be inserted."""
        return pl.col(self.name)


@dataclass(frozen=True)
class Wanted:
    """A target column to be written: its value, the arguments of its transform, and the slots that the transform reads. `open`:
    names of slots that no other target column decides."""

    value: pl.Expr
    args: Mapping[str, Argument]
    slots: tuple[Slot, ...]
    open: frozenset[str]
    zone: str


Inverse = Callable[[Wanted], dict[str, pl.Expr]]
"""Values of slots by name. A slot that is not named stays as it is."""


def one(build: Callable[[Wanted, Slot], pl.Expr]) -> Inverse:
    """An inverse into the only slot."""
    return lambda wanted: {wanted.slots[0].name: build(wanted, wanted.slots[0])}


def as_text_of(value: pl.Expr, slot: Slot) -> pl.Expr:
    """A text in the slot's own type: where that is a number, as one."""
    return value if slot.kind == "text" else value.cast(slot.dtype, strict=False)
