"""On which line of a TOML file a key stands, which tomllib does not tell."""

from __future__ import annotations

import re
from collections import Counter

KEY = re.compile(r"""^\s*(?:"([^"]*)"|'([^']*)'|([A-Za-z0-9_-]+))\s*=""")
HEADER = re.compile(r"^\s*(\[{1,2})([^\]]+)\]{1,2}")


def find_lines(text: str) -> dict[tuple[str, ...], int]:
    """Line, from 1, of each table and each key, by its path. Tables of an array are numbered from 0 in the path.

    >>> find_lines("target = 'm'\\n[[part]]\\nname = 'a'\\n[[part]]\\nname = 'b'")[("part", "1", "name")]
    5
    >>> find_lines("[[part]]\\n[part.columns]\\nid = 1")[("part", "0", "columns", "id")]
    3
    """
    lines: dict[tuple[str, ...], int] = {}
    numbers: Counter[tuple[str, ...]] = Counter()
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := HEADER.match(line):
            names = tuple(name.strip().strip("\"'") for name in header[2].split("."))
            table = place_of(names, numbers, begins=header[1] == "[[")
            lines.setdefault(table, number)
        elif key := KEY.match(line):
            lines.setdefault((*table, key[1] or key[2] or key[3]), number)
    return lines


def place_of(names: tuple[str, ...], numbers: Counter[tuple[str, ...]], *, begins: bool) -> tuple[str, ...]:
    """The path of a table header, with the number of the current element behind each array of tables."""
    path: tuple[str, ...] = ()
    for at, name in enumerate(names):
        path = (*path, name)
        if begins and at == len(names) - 1:
            numbers[path] += 1
        if numbers[path]:
            path = (*path, str(numbers[path] - 1))
    return path
