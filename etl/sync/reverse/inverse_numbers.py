"""Inverses of numbers and codes. Nothing is rounded: what the legacy type cannot hold exactly becomes NULL, and is found."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import add, sub
from typing import Final

import polars as pl

from etl.mapping.transforms.base import number_argument, table_argument
from etl.sync.reverse.inverse_base import Inverse, Slot, Wanted, one

# GB/T 2261.1, as in etl/mapping/transforms/people.py; 0 is "unknown".
GENDER_WORDS: Final = {"M": "M", "F": "F"}
GENDER_NUMBERS: Final = {"M": "1", "F": "2"}
WIDEST: Final = 38


def number(wanted: Wanted, slot: Slot) -> pl.Expr:
    """A number in the slot's type; written out where that is text."""
    return fitted(wanted.value, slot)


def fitted(value: pl.Expr, slot: Slot) -> pl.Expr:
    """A number exactly, or NULL.

    >>> from decimal import Decimal
    >>> from etl.source.catalog import Column
    >>> slot = Slot("n", Column("n", "decimal", 9, 8, 2, True), pl.Decimal(8, 2))
    >>> pl.DataFrame({"v": [Decimal("1.5000"), Decimal("1.0001")]}).select(fitted(pl.col("v"), slot)).to_series().to_list()
    [Decimal('1.50'), None]
    """
    match slot.kind:
        case "text":
            return value.cast(pl.String)
        case "float":
            return value.cast(slot.dtype, strict=False)
        case _:
            there = value.cast(slot.dtype, strict=False)
            wide = pl.Decimal(WIDEST, 6)
            return pl.when(there.cast(wide, strict=False) == value.cast(wide, strict=False)).then(there)


def decimal_number(wanted: Wanted, slot: Slot) -> pl.Expr:
    """A decimal; as text without the zeros that only its column gave it."""
    if slot.kind == "text":
        return wanted.value.cast(pl.String).str.replace(r"(\.[0-9]*?)0+$", "$1").str.strip_suffix(".")
    return fitted(wanted.value, slot)


def floating(wanted: Wanted, slot: Slot) -> pl.Expr:
    """A floating point number; whole numbers where the slot holds only those."""
    return wanted.value.cast(slot.dtype if slot.kind != "text" else pl.String, strict=False)


def code_of(wanted: Wanted, slot: Slot, codes: Mapping[str, str]) -> pl.Expr:
    """The first code that stands for the value, in the slot's type."""
    table: dict[str, str] = {}
    for code, meaning in codes.items():
        table.setdefault(meaning, code)
    text = wanted.value.replace_strict(list(table), list(table.values()), default=None, return_dtype=pl.String)
    match slot.kind:
        case "text":
            return text
        case "boolean":
            words = {"true": True, "false": False, "1": True, "0": False}
            return text.str.to_lowercase().replace_strict(
                list(words), list(words.values()), default=None, return_dtype=pl.Boolean
            )
        case _:
            return text.cast(slot.dtype, strict=False)


def gender(wanted: Wanted, slot: Slot) -> pl.Expr:
    """A code of the mapping's own table, else the usual one. Where it is unknown, a number that must be there is 0."""
    own = table_argument(wanted.args, "codes")
    usual = GENDER_WORDS if slot.kind == "text" else GENDER_NUMBERS
    value = code_of(wanted, slot, own | {usual[meaning]: meaning for meaning in usual if meaning not in own.values()})
    return value.fill_null(pl.lit("0").cast(slot.dtype)) if slot.kind == "integer" and not slot.column.nullable else value


def boolean(wanted: Wanted, slot: Slot) -> pl.Expr:
    """True or false as bit, 0 and 1, or their digits."""
    bit = wanted.value.cast(pl.Int8)
    match slot.kind:
        case "boolean":
            return pl.when(bit.is_in([0, 1])).then(bit == 1)
        case "text":
            return bit.cast(pl.String)
        case _:
            return bit.cast(slot.dtype, strict=False)


def addend(wanted: Wanted) -> dict[str, pl.Expr]:
    """Of a sum, the one column that nothing else decides: what is left of it."""
    return solve(wanted, lambda slot, rest: reduce(sub, rest, wanted.value))


def subtrahend(wanted: Wanted) -> dict[str, pl.Expr]:
    """Of a difference, the one column that nothing else decides."""

    def missing(slot: Slot, rest: list[pl.Expr]) -> pl.Expr:
        if slot is wanted.slots[0]:
            return reduce(add, rest, wanted.value)
        return reduce(sub, [*rest[1:], wanted.value], rest[0])

    return solve(wanted, missing)


def solve(wanted: Wanted, missing: object) -> dict[str, pl.Expr]:
    """The value of the only open slot from the total and the other slots; nothing where none is open, or several are."""
    free = [slot for slot in wanted.slots if slot.name in wanted.open]
    if len(free) != 1 or not callable(missing):
        return {}
    (slot,) = free
    scale = number_argument(wanted.args, "scale")
    rest = [other.now.cast(pl.Decimal(WIDEST, scale), strict=False) for other in wanted.slots if other is not slot]
    return {slot.name: fitted(missing(slot, rest), slot)}


INVERSES: Final[dict[str, Inverse]] = {
    **dict.fromkeys(("integer", "points"), one(number)),
    **dict.fromkeys(("decimal", "money"), one(decimal_number)),
    "float": one(floating),
    **dict.fromkeys(("tier", "codes"), one(lambda wanted, slot: code_of(wanted, slot, table_argument(wanted.args, "codes")))),
    "gender": one(gender),
    "boolean": one(boolean),
    "sum": addend,
    "difference": subtrahend,
}
