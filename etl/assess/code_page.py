"""Characters that a legacy varchar column could not take back: those outside its collation's code page."""

from __future__ import annotations

from functools import cache
from typing import Final

CHINESE_SIMPLIFIED: Final = 936
PRIVATE_USE_936: Final = (0xE000, 0xE765)
"""Windows maps the user-defined rows of code page 936 to these; Python's codec does not know them."""


@cache
def outside_code_page(code_page: int) -> str:
    """A regular expression, for Python and polars alike, that matches one character which `code_page` cannot hold.

    >>> import re
    >>> [bool(re.search(outside_code_page(936), text)) for text in ("王小明 €5 é", "ñ", "😀", "𠮷")]
    [False, True, True, True]
    >>> bool(re.search(outside_code_page(1252), "王")), bool(re.search(outside_code_page(1252), "ñ"))
    (True, False)
    """
    return "[^" + "".join(f"\\U{low:08x}-\\U{high:08x}" for low, high in held_ranges(code_page)) + "]"


def held_ranges(code_page: int) -> list[tuple[int, int]]:
    """Code points that `code_page` holds, as inclusive ranges in order. An unknown code page is taken as ASCII."""
    held = {point for point in range(0x10000) if not 0xD800 <= point < 0xE000 and encodes(chr(point), code_page)}
    if code_page == CHINESE_SIMPLIFIED:
        held.update(range(PRIVATE_USE_936[0], PRIVATE_USE_936[1] + 1))
        held.add(ord("€"))  # byte 80 on Windows, missing from Python's codec
    if code_page == 65001:
        return [(0, 0xD7FF), (0xE000, 0x10FFFF)]
    ranges: list[tuple[int, int]] = []
    for point in sorted(held):
        if ranges and ranges[-1][1] == point - 1:
            ranges[-1] = (ranges[-1][0], point)
        else:
            ranges.append((point, point))
    return ranges


def encodes(character: str, code_page: int) -> bool:
    """Whether one character of the basic plane survives the way into `code_page`."""
    try:
        character.encode(f"cp{code_page}")
    except UnicodeEncodeError:
        return False
    except LookupError:
        return character.isascii()
    return True
