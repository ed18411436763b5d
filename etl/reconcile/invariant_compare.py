"""Judge invariants from what each side says: pure functions over small results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal
from typing import Final

from etl.reconcile.invariant_model import InvariantResult, InvariantRow, Number, Rows, Values, Verdict, show

KEPT_ROWS: Final = 200
"""Rows listed of one invariant; all are counted."""

WORST_FIRST: Final = (Verdict.DIFFERS, Verdict.EXPLAINED, Verdict.SAME_DEFECT, Verdict.OK)


def judge_sums(name: str, title: str, columns: Sequence[str], source: Rows, quarantined: Rows, target: Rows) -> InvariantResult:
    """Sums are equal, or differ by exactly the sums over quarantine.

    >>> one, two = (Decimal(1),), (Decimal(2),)
    >>> judge_sums("n", "t", ("rows",), {("a",): two}, {("a",): one}, {("a",): one}).verdict.value
    'explained'
    """
    rows = []
    for key in sorted(source.keys() | target.keys()):
        left, right, aside = source.get(key), target.get(key), quarantined.get(key)
        if same(left, right):
            continue
        explained = same(minus(left, aside), right)
        rows.append(
            row(", ".join(key), left, right, show(aside) if aside else "", Verdict.EXPLAINED if explained else Verdict.DIFFERS)
        )
    return result(name, title, columns, total(source, len(columns)), total(target, len(columns)), rows)


def judge_rules(
    name: str,
    title: str,
    columns: Sequence[str],
    source: Rows,
    target: Rows,
    without_quarantine: Callable[[Collection[str]], Rows],
) -> InvariantResult:
    """Rows that break a rule: the same on both sides, or explained by what the source says without rows in quarantine.

    `without_quarantine` gives, for the keys asked about, the source's rows that break the rule once rows in quarantine are left
    out.
    """
    apart = [key for key in source.keys() | target.keys() if not same_values(source.get(key), target.get(key))]
    again = without_quarantine([key[0] for key in apart]) if apart else {}
    rows = [
        row(", ".join(key), source[key], target[key], "", Verdict.SAME_DEFECT)
        for key in source.keys() & target.keys()
        if same_values(source[key], target[key])
    ]
    for key in apart:
        explained = same_values(again.get(key), target.get(key))
        aside = show(again.get(key)) if explained else ""
        rows.append(
            row(", ".join(key), source.get(key), target.get(key), aside, Verdict.EXPLAINED if explained else Verdict.DIFFERS)
        )
    return result(name, title, columns, str(len(source)), str(len(target)), rows)


def judge_orphans(name: str, title: str, source: Rows, target: Rows, quarantined_parents: Collection[str]) -> InvariantResult:
    """Nothing on the target stands alone, unless its parent is in quarantine or it stood alone before.

    Orphans that only the source has are none on the target: load put them aside, which `counts` checks.
    """
    rows = []
    for key, values in target.items():
        verdict = (
            Verdict.SAME_DEFECT if key in source else Verdict.EXPLAINED if key[0] in quarantined_parents else Verdict.DIFFERS
        )
        rows.append(row(key[0], source.get(key), values, "", verdict))
    return result(name, title, ("rows",), total(source, 1), total(target, 1), rows)


def row(key: str, source: Values | None, target: Values | None, quarantined: str, verdict: Verdict) -> InvariantRow:
    """One line of a result."""
    return InvariantRow(key, show(source), show(target), quarantined, verdict)


def result(
    name: str, title: str, columns: Sequence[str], source: str, target: str, rows: Sequence[InvariantRow]
) -> InvariantResult:
    """The judgement over all rows, the worst first."""
    counted = Counter(one.verdict for one in rows)
    worst = next((verdict for verdict in WORST_FIRST if counted[verdict]), Verdict.OK)
    ordered = sorted(rows, key=lambda one: (WORST_FIRST.index(one.verdict), one.key))
    return InvariantResult(
        name=name,
        title=title,
        verdict=worst,
        source=source,
        target=target,
        columns=tuple(columns),
        rows=tuple(ordered[:KEPT_ROWS]),
        defects=counted[Verdict.SAME_DEFECT],
        explained=counted[Verdict.EXPLAINED],
        differing=counted[Verdict.DIFFERS],
    )


def same(left: Values | None, right: Values | None) -> bool:
    """Equal sums: a group that is not there is a group of nothing."""
    width = max(len(left or ()), len(right or ()))
    return all(nothing_is_zero(a) == nothing_is_zero(b) for a, b in zip(padded(left, width), padded(right, width), strict=True))


def same_values(left: Values | None, right: Values | None) -> bool:
    """Equal values of rows: one that is not there is not equal to one that is."""
    return (left is None) == (right is None) and same(left, right)


def padded(values: Values | None, width: int) -> Values:
    """Values of a group, NULL where there is none."""
    return values if values is not None else (None,) * width


def nothing_is_zero(value: Number) -> Decimal:
    """A sum over no rows."""
    return Decimal(0) if value is None else value


def minus(left: Values | None, right: Values | None) -> Values | None:
    """Sums less what is in quarantine."""
    if right is None:
        return left
    return tuple(nothing_is_zero(a) - nothing_is_zero(b) for a, b in zip(padded(left, len(right)), right, strict=True))


def total(rows: Mapping[tuple[str, ...], Values], width: int) -> str:
    """All groups together, for the headline."""
    sums = [Decimal(0)] * width
    for values in rows.values():
        sums = [known + nothing_is_zero(value) for known, value in zip(sums, values, strict=True)]
    return show(tuple(sums))
