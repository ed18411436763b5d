"""When two texts are the same key on the target: a key for each candidate collation, equal exactly where the server says so.

The tables in collation_keys.tsv.gz were read from the servers themselves: WEIGHT_STRING of every code point of planes 0 and 1,
on TiDB 8.5 for utf8mb4_0900_ai_ci and on MariaDB 10.11 for the others, which agree with TiDB's. Rules by Unicode's case and
accent folding were tried first and differ from the servers in thousands of characters.
tests/integration/assess/test_collation_keys.py compares keys with whatever server is there.
Not covered: contractions of two characters (a few Indic and Thai pairs in the two UCA collations).
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Final

import polars as pl

COLLATIONS: Final = ("utf8mb4_bin", "utf8mb4_general_ci", "utf8mb4_unicode_ci", "utf8mb4_0900_ai_ci")
"""Candidate collations of the target, the one that membershift creates its tables with first."""

NO_PAD: Final = frozenset({"utf8mb4_0900_ai_ci"})
"""Collations to which a trailing space matters. In all others 'x ' = 'x', utf8mb4_bin included."""

ABOVE_BMP: Final = {"utf8mb4_general_ci": "\ufffd", "utf8mb4_unicode_ci": "\U0010fffd"}
"""Collations that give every character above U+FFFF, each emoji and each rare Chinese character, one weight: in general_ci
that of U+FFFD."""

IMPLICIT_WEIGHTS: Final = frozenset({"utf8mb4_unicode_ci", "utf8mb4_0900_ai_ci"})
"""Collations by the Unicode Collation Algorithm: a character without a weight of its own has one of two words, FB40 and up."""

FIRST_SUPPLEMENTARY: Final = 0x10000
FIRST_STAND_IN: Final = 0x100000  # plane 16, private use: stands for a weight that no character has alone


def collation_key(text: pl.Series, collation: str) -> pl.Series:
    """Keys of a column of text: two are equal exactly when the target calls the texts equal under `collation`. NULL stays NULL.

    >>> collation_key(pl.Series(["José ", "JOSE"]), "utf8mb4_general_ci").n_unique()
    1
    >>> collation_key(pl.Series(["José", "Jose"]), "utf8mb4_bin").n_unique()
    2
    >>> collation_key(pl.Series(["😀", "👍", None]), "utf8mb4_unicode_ci").n_unique()
    2
    """
    padded = text if collation in NO_PAD else text.str.strip_chars_end(" ")
    if collation == "utf8mb4_bin":
        return padded
    folds = {character: key for character in characters_of(padded) if (key := fold(character, collation)) != character}
    if not folds:
        return padded
    return padded.str.replace_many(list(folds), list(folds.values()))


def characters_of(text: pl.Series) -> list[str]:
    """Every character that occurs. Few even in large columns, which is why folding goes by character and not by value."""
    characters = text.drop_nulls().unique().str.split("").explode().unique().drop_nulls()
    return [character for character in characters.to_list() if character]


def fold(character: str, collation: str) -> str:
    """What one character counts as: itself, another, several, or nothing.

    >>> fold("ß", "utf8mb4_general_ci"), fold("ß", "utf8mb4_unicode_ci"), fold("\\u0002", "utf8mb4_unicode_ci")
    ('S', 'SS', '')
    """
    if ord(character) >= FIRST_SUPPLEMENTARY and collation in ABOVE_BMP:
        return ABOVE_BMP[collation]
    return folds_of(collation).get(character, character)


@cache
def folds_of(collation: str) -> dict[str, str]:
    """The packaged table of one collation: characters that count as something other than themselves."""
    packed = resources.files("etl.assess").joinpath("collation_keys.tsv.gz").read_bytes()
    folds: dict[str, str] = {}
    for line in gzip.decompress(packed).decode().splitlines():
        name, character, key = line.split("\t")
        if name == collation:
            folds[chr(int(character, 16))] = "".join(chr(int(point, 16)) for point in key.split())
    return folds


def pack_folds(folds: Mapping[str, Mapping[str, str]]) -> bytes:
    """The content of collation_keys.tsv.gz: collation, character, key, as code points in hexadecimal."""
    lines = [
        f"{collation}\t{ord(character):x}\t{' '.join(f'{ord(point):x}' for point in key)}\n"
        for collation, table in folds.items()
        for character, key in sorted(table.items())
    ]
    return gzip.compress("".join(lines).encode(), 9, mtime=0)


def folds_from_weights(weights: Mapping[str, str], collation: str) -> dict[str, str]:
    """Turn WEIGHT_STRING (hexadecimal) of single characters into folds. The least character that has a weight alone names it."""
    split = {character: split_weights(weight, collation) for character, weight in sorted(weights.items())}
    alone: dict[tuple[str, ...], str] = {}
    for character, units in split.items():
        alone.setdefault(units, character)
    stand_ins: dict[str, str] = {}
    folds: dict[str, str] = {}
    for character, units in split.items():
        shared = len(units) != 1 and (alone[units] != character or any((unit,) in alone for unit in units))
        if len(units) == 1:
            key = alone[units]
        elif shared or not units:
            key = "".join(name_weight(unit, alone, stand_ins) for unit in units)
        else:
            key = character
        if key != character:
            folds[character] = key
    return folds


def name_weight(unit: str, alone: Mapping[tuple[str, ...], str], stand_ins: dict[str, str]) -> str:
    """The character that stands for one weight in a key."""
    if (unit,) in alone:
        return alone[(unit,)]
    return stand_ins.setdefault(unit, chr(FIRST_STAND_IN + len(stand_ins)))


def split_weights(weight: str, collation: str) -> tuple[str, ...]:
    """The weights of one character, in hexadecimal; an implicit weight of two words is one."""
    units: list[str] = []
    lead = ""
    for word in (weight[start : start + 4] for start in range(0, len(weight), 4)):
        if not lead and collation in IMPLICIT_WEIGHTS and "FB40" <= word <= "FBFF":
            lead = word
            continue
        units.append(lead + word)
        lead = ""
    return tuple(units)
