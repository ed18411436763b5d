"""Inverses of what is kept as text: most give the value as it is, since a transform leaves a tidy text alone."""

from __future__ import annotations

from typing import Final

import polars as pl

from etl.mapping.transforms.base import text_argument
from etl.sync.reverse.inverse_base import Inverse, Slot, Wanted, as_text_of, one

MAINLAND_MOBILE: Final = r"^\+86(1[3-9][0-9]{9})$"
MAINLAND_SERVICE: Final = r"^\+86([48]00[0-9]{7})$"
MAINLAND_LAND_LINE: Final = r"^\+86([1-9][0-9]+)$"


def same(wanted: Wanted, slot: Slot) -> pl.Expr:
    """The text itself."""
    return as_text_of(wanted.value, slot)


def domestic(value: pl.Expr) -> pl.Expr:
    """An E.164 number as it is dialled in mainland China; numbers of other countries stay as they are.

    >>> numbers = ["+8613912345678", "+861065529988", "+864008108888", "+85221234567"]
    >>> pl.DataFrame({"p": numbers}).select(domestic(pl.col("p"))).to_series().to_list()
    ['13912345678', '01065529988', '4008108888', '+85221234567']
    """
    return pl.coalesce(
        value.str.extract(MAINLAND_MOBILE, 1),
        value.str.extract(MAINLAND_SERVICE, 1),
        pl.concat_str(pl.lit("0"), value.str.extract(MAINLAND_LAND_LINE, 1)),
        value,
    )


def without_prefix(wanted: Wanted, slot: Slot) -> pl.Expr:
    """What stands behind the fixed beginning; NULL where the text begins otherwise."""
    beginning = text_argument(wanted.args, "with")
    rest = wanted.value.str.strip_prefix(beginning)
    return as_text_of(pl.when(wanted.value.str.starts_with(beginning)).then(rest), slot)


def parts_of(wanted: Wanted) -> dict[str, pl.Expr]:
    """A joined text back in its columns: cut where it was joined if that gives as many parts, else all of it in the first."""
    first, *others = wanted.slots
    separator = text_argument(wanted.args, "separator")
    if not others:
        return {first.name: as_text_of(wanted.value, first)}
    nothing = pl.lit(None, pl.String)
    if not separator:
        return {first.name: as_text_of(wanted.value, first)} | {slot.name: as_text_of(nothing, slot) for slot in others}
    cut = wanted.value.str.split(separator)
    fits = cut.list.len() == len(wanted.slots)
    whole = pl.when(fits).then(cut.list.get(0, null_on_oob=True)).otherwise(wanted.value)
    rest = {
        slot.name: as_text_of(pl.when(fits).then(cut.list.get(at, null_on_oob=True)), slot) for at, slot in enumerate(others, 1)
    }
    return {first.name: as_text_of(whole, first)} | rest


def first_of(wanted: Wanted) -> dict[str, pl.Expr]:
    """The value in the first column, whose value counts before all others; without a value none of them has one."""
    first, *others = wanted.slots
    kept = {slot.name: pl.when(wanted.value.is_not_null()).then(slot.now) for slot in others}
    return {first.name: wanted.value.cast(first.dtype, strict=False)} | kept


INVERSES: Final[dict[str, Inverse]] = {
    **dict.fromkeys(("text", "code", "upper", "lower", "trim", "name", "address", "email", "id_card", "guid"), one(same)),
    "copy": one(lambda wanted, slot: wanted.value.cast(slot.dtype, strict=False)),
    "phone": one(lambda wanted, slot: as_text_of(domestic(wanted.value), slot)),
    "prefix": one(without_prefix),
    "concat": parts_of,
    "coalesce": first_of,
}
