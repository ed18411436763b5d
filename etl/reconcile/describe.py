"""How two values differ, in words, and masked: the words say what masking hides."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal

from etl.masking import mask
from etl.reconcile.differences import ColumnChange


def describe_change(column: str, expected: object, actual: object, personal: str | None) -> ColumnChange:
    """One changed column, values masked.

    >>> describe_change("name", "王小明", "王小明 ", "name").how
    'spaces at the end'
    >>> describe_change("balance", Decimal("1.0001"), Decimal("1.0000"), None).by
    '0.0001'
    """
    return ColumnChange(
        column, mask(expected, personal), mask(actual, personal), how_different(expected, actual), gap(expected, actual)
    )


def how_different(expected: object, actual: object) -> str:
    """What kind of difference it is, without the values.

    >>> how_different("Abc", "abc"), how_different("résumé", "resume"), how_different(None, "")
    ('only upper and lower case', 'only accents', 'NULL against empty text')
    >>> how_different("a,b", "a"), how_different(datetime(2026, 1, 1, 0, 0, 0, 5), datetime(2026, 1, 1))
    ('cut short', 'less than a second')
    """
    match expected, actual:
        case (None, "") | ("", None):
            return "NULL against empty text"
        case (None, _):
            return "should be NULL"
        case (_, None):
            return "is NULL"
        case (str(), str()):
            return how_text_differs(expected, actual)
        case (datetime(), datetime()):
            return how_time_differs(expected - actual)
        case (float(), float()) if abs(expected - actual) <= 1e-9 * max(abs(expected), abs(actual)):
            return "last digits"
        case _:
            return "other value"


def gap(expected: object, actual: object) -> str:
    """How far two amounts or times are apart; empty for anything else, and for whole numbers, which may be names of things."""
    match expected, actual:
        case (Decimal(), Decimal()):
            return f"{abs(expected - actual):f}"
        case (datetime(), datetime()):
            return str(abs(expected - actual))
        case (date(), date()):
            return f"{abs((expected - actual).days)} d"
        case _:
            return ""


def how_text_differs(expected: str, actual: str) -> str:
    """The least that would have to be ignored for two texts to be taken as equal."""
    if expected.rstrip() == actual.rstrip():
        return "spaces at the end"
    if expected.strip() == actual.strip():
        return "spaces around it"
    if expected.casefold() == actual.casefold():
        return "only upper and lower case"
    if without_accents(expected).casefold() == without_accents(actual).casefold():
        return "only accents"
    if unicodedata.normalize("NFKC", expected) == unicodedata.normalize("NFKC", actual):
        return "only full and half width"
    if actual and expected.startswith(actual):
        return "cut short"
    return "other value"


def without_accents(text: str) -> str:
    """Text without combining marks."""
    return "".join(character for character in unicodedata.normalize("NFD", text) if not unicodedata.combining(character))


def how_time_differs(apart: timedelta) -> str:
    """By how much two times differ; whole hours hint at a time zone."""
    seconds = abs(apart.total_seconds())
    if seconds < 1:
        return "less than a second"
    if seconds % 1800 == 0 and seconds <= 14 * 3600:
        return "whole hours: a time zone?"
    return "other time"


def key_text(key: Mapping[str, object], personal: Mapping[str, str]) -> str:
    """A key for a report: keys are shown, unless the column itself is personal.

    >>> key_text({"sale_no": "S1", "line_no": 2}, {})
    'sale_no=S1, line_no=2'
    """
    return ", ".join(f"{name}={mask(value, personal.get(name))}" for name, value in key.items())


def describe_changes(
    expected: Mapping[str, object], actual: Mapping[str, object], compared: Sequence[str], personal: Mapping[str, str]
) -> tuple[ColumnChange, ...]:
    """The columns in which two rows differ."""
    return tuple(
        describe_change(name, expected[name], actual[name], personal.get(name))
        for name in compared
        if not same(expected[name], actual[name])
    )


def same(left: object, right: object) -> bool:
    """Equality as the comparison sees it: NaN equals NaN."""
    return left == right or (isinstance(left, float) and isinstance(right, float) and left != left and right != right)
