"""Finding damaged nvarchar text on the server.

SQL Server stores nvarchar as UTF-16 code units and checks nothing, so half of a surrogate pair can stand alone (text cut to a
length by code units does it). No driver can carry such text: each puts '?', nothing or U+FFFD in its place, silently. It has
to be found before it travels.

Under a _BIN2 collation LIKE compares code units, so ranges over D800-DBFF (high) and DC00-DFFF (low) see each half by itself.
Text is damaged when a high is not followed by a low, or a low does not follow a high; a valid pair (an emoji) is neither.
The patterns are binary literals, because they hold lone halves themselves and could not travel as text either.
"""

from __future__ import annotations

from typing import Final

from etl.names import bracket

_HIGH: Final = "\ud800-\udbff"
_LOW: Final = "\udc00-\udfff"
_COLLATION: Final = "Latin1_General_100_BIN2"


def _pattern(text: str) -> str:
    """A LIKE pattern as T-SQL that survives any driver."""
    return f"CONVERT(nvarchar({len(text)}), 0x{text.encode('utf-16-le', 'surrogatepass').hex().upper()})"


ANY_HALF: Final = _pattern("%[\ud800-\udfff]%")
"""Text with any surrogate at all: rare, so the four patterns below are seldom tried."""

LONE_HALVES: Final = (
    _pattern(f"%[{_HIGH}][^{_LOW}]%"),
    _pattern(f"%[{_HIGH}]"),
    _pattern(f"%[^{_HIGH}][{_LOW}]%"),
    _pattern(f"[{_LOW}]%"),
)
"""A high before something else, a high at the end, a low after something else, a low at the start."""


def damaged_expression(column: str) -> str:
    """T-SQL (bit): 1 where the nvarchar or nchar `column` holds half a surrogate pair, 0 elsewhere and for NULL.

    >>> damaged_expression("Note")[:63]
    'CAST(CASE WHEN [Note] COLLATE Latin1_General_100_BIN2 LIKE CONV'
    """
    return damaged_value(bracket(column))


def damaged_value(expression: str) -> str:
    """The same for any nvarchar expression.

    The outer CASE is what keeps it cheap: one pass for text without surrogates, and CASE is evaluated in order.
    """
    text = f"{expression} COLLATE {_COLLATION}"
    lone = " OR ".join(f"{text} LIKE {pattern}" for pattern in LONE_HALVES)
    return f"CAST(CASE WHEN {text} LIKE {ANY_HALF} THEN CASE WHEN {lone} THEN 1 ELSE 0 END ELSE 0 END AS bit)"
