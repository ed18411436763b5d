"""Whether legacy rows that are to be written would say what the target says. What would not is told here, row by row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import polars as pl

from etl.sync.reverse.decide import Columns, Decision, is_echo
from etl.sync.reverse.fits import declared
from etl.sync.reverse.images import Images
from etl.sync.reverse.inverse import PartInverse
from etl.sync.reverse.model import CLOCK
from etl.sync.reverse.places import Place


@dataclass(frozen=True)
class Reason:
    """Why a row is not written; names columns and types, never values."""

    code: str
    detail: str


CODES: Final = frozenset({"tier", "codes", "gender"})
"""Transforms by a table: what it has no code for cannot be said."""

Dead = dict[int, Reason]
"""Rows of a batch that are not written."""


def find_lost(
    place: Place,
    wanted: Mapping[str, pl.Series],
    masks: Mapping[str, pl.Series],
    rows: pl.DataFrame,
    dead: Dead,
) -> None:
    """Values for which the legacy column has no way to say them: codes that its table lacks, numbers out of its range."""
    for column, slots in place.inverse.writes.items():
        names = [name for name in slots if name not in place.inverse.identity]
        if column not in wanted or not names:
            continue
        if not masks[column].any():
            continue
        said = zip(masks[column], wanted[column], *(rows[name] for name in names), strict=True)
        gone = [at for at, (asked, value, *given) in enumerate(said) if asked and value is not None and not any_given(given)]
        for row in gone:
            slot = place.inverse.slots[names[0]]
            numeric = slot.kind in ("integer", "decimal", "float") and place.inverse.transform_of(column) not in CODES
            code = "out_of_range" if numeric else "no_inverse"
            detail = f"{column} has no form in {slot.column.name} ({declared(slot.column)})"
            dead.setdefault(int(place.at[row]), Reason(code, detail))


def any_given(values: Sequence[Any]) -> bool:
    """Whether any value is there."""
    return any(value is not None for value in values)


def prove(
    target: pl.DataFrame,
    images: Images,
    after: Images,
    decisions: Mapping[int, Decision],
    columns: Mapping[int, Columns],
    dead: Dead,
    *,
    tidy: Callable[[int, str, Any], str | None],
    last: bool,
) -> bool:
    """Compare what the legacy rows will make of each row with what they should. Returns whether another pass is needed: a column
    that nobody sends was moved, and is to be written too, or a text is to be sent in its tidy form (`tidy` by row, column and
    value)."""
    moved = False
    for at, decision in decisions.items():
        if at in dead or not (decision.send or decision.gains):
            continue
        result = after.rows.get(at)
        if result is None:
            dead[at] = Reason("refused_by_mapping", "")
            continue
        before, facts = images.rows.get(at), columns[at]
        for name in decision.unplaced:
            decision.unplaced[name] = result[name]
        for name in facts.carried & result.keys():
            expected = decision.send[name] if name in decision.send else before[name] if before is not None else result[name]
            if result[name] == expected:
                continue
            if name in decision.held or (name not in decision.send and expected != target[name][at]):
                if not last:  # changed on the legacy side: forward brings it, and must still find it there
                    decision.kept[name] = expected
                    moved = True
                continue
            if name in facts.derived or is_echo(facts, name, result[name], expected):
                decision.echoes[name] = result[name]
            elif name not in decision.send and not last:
                decision.send[name] = expected
                decision.hidden[name] = result[name]
                moved = True
            elif not last and (form := tidy(at, name, expected)) is not None:
                decision.send[name] = decision.echoes[name] = form
                moved = True
            else:
                dead[at] = Reason("not_reversible", f"{name} would not come back as it is")
                break
        if CLOCK in result and at not in dead:
            decision.echoes[CLOCK] = result[CLOCK]
    return moved


def check_fixed(inverse: PartInverse, row: Mapping[str, Any], born: frozenset[str]) -> Reason | None:
    """A value that the part fills with another constant means something else on the legacy side."""
    for name in inverse.fixed:
        if name not in born:
            mapping = inverse.part.part.column(name)
            if str(row[name]) != str(mapping.args["value"]) and row[name] != constant_like(row[name], mapping.args["value"]):
                return Reason("cannot_hold", f"{inverse.part.part.source} has no column for {name}")
    return None


def constant_like(value: Any, constant: object) -> object:
    """A constant of the mapping in the type of a value."""
    if isinstance(value, Decimal):
        return Decimal(str(constant))
    if isinstance(value, int) and isinstance(constant, bool | int):
        return int(constant)
    return constant
