"""What checking invariants finds, as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

Number = Decimal | None
Values = tuple[Number, ...]
Rows = Mapping[tuple[str, ...], Values]
"""Values by group or key, as one side has them."""


class Verdict(StrEnum):
    """How an invariant stands.

    `ok`: both sides agree, and nothing breaks the rule. `same_defect`: rows break it, the same ones in the same way on both
    sides, so they came with the data. `explained`: the sides differ by exactly what is in quarantine. `differs`: by something
    else.
    """

    OK = "ok"
    SAME_DEFECT = "same_defect"
    EXPLAINED = "explained"
    DIFFERS = "differs"


@dataclass(frozen=True)
class InvariantRow:
    """One group or key in which the sides differ, or that breaks the rule on both. `quarantined` is what quarantine
    explains."""

    key: str
    source: str
    target: str
    quarantined: str
    verdict: Verdict


@dataclass(frozen=True)
class InvariantResult:
    """One invariant. `source` and `target` are its headline on either side; `columns` name the values in `rows`, of which
    only the first are kept: `defects` counts all that are the same on both sides, `explained` and `differing` the others."""

    name: str
    title: str
    verdict: Verdict
    source: str
    target: str
    columns: tuple[str, ...]
    rows: tuple[InvariantRow, ...]
    defects: int = 0
    explained: int = 0
    differing: int = 0


@dataclass(frozen=True)
class InvariantsResult:
    """All of them. `as_of` is the time that rules look back from; `failed` says that a side differs for no known reason."""

    invariants: tuple[InvariantResult, ...]
    target_instant: datetime
    as_of: datetime | None
    failed: bool
    notes: tuple[str, ...] = ()


def number(value: object) -> Number:
    """A value of either side as a number, whatever type its driver made of it.

    >>> number("1.50") == number(Decimal("1.5000")), number(None), number(True)
    (True, None, Decimal('1'))
    """
    if value is None:
        return None
    if isinstance(value, bytes):
        value = value.decode()
    return Decimal(str(int(value) if isinstance(value, bool) else value))


def text(value: object) -> str:
    """A group or key of either side as text: spaces at the end do not count, as neither server counts them.

    >>> text("S001  "), text(None), text(b"pos"), text(Decimal("201801"))
    ('S001', 'NULL', 'pos', '201801')
    """
    if value is None:
        return "NULL"
    return (value.decode() if isinstance(value, bytes) else str(value)).rstrip(" ")


def add(rows: Sequence[Rows]) -> dict[tuple[str, ...], Values]:
    """Sum of several results, group by group."""
    total: dict[tuple[str, ...], Values] = {}
    for part in rows:
        for key, values in part.items():
            known = total.get(key)
            total[key] = values if known is None else tuple(plus(a, b) for a, b in zip(known, values, strict=True))
    return total


def plus(left: Number, right: Number) -> Number:
    """A sum in which NULL counts as nothing."""
    return right if left is None else left if right is None else left + right


def show(values: Values | None) -> str:
    """Values of one group for a report."""
    if values is None:
        return "–"
    return ", ".join("NULL" if value is None else f"{value.normalize():f}" for value in values)
