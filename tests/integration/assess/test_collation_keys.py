"""The packaged collation keys against the server itself: what it calls equal has one key, what it tells apart has two."""

from __future__ import annotations

import random

import polars as pl
import pytest

from etl.assess.collation_keys import COLLATIONS, collation_key, folds_of
from etl.errors import TargetError
from etl.settings import TargetSettings
from etl.target.connect import connect_bulk

PAIRS = 4_000
WORDS = [
    "José", "JOSE", "jose ", "jose\u0301", "straße", "STRASSE", "Ａ", "a", "ア", "あ", "ｱ", "が", "か", "①", "1", "½", "1⁄2",
    "😀", "👍", "Œuvre", "OEUVRE", "ﬁ", "fi", "İ", "i", "ı", "中", "㊥", "한", "\u1112\u1161\u11ab", "a\u200b", "a\u0007",
    "x\u00a0y", "x y", "", " ", "ǆ", "dž", "ſ", "S",
]  # fmt: skip


@pytest.mark.parametrize("collation", COLLATIONS)
def test_keys_are_equal_exactly_where_the_server_says_so(collation: str, fresh_target: TargetSettings) -> None:
    pairs = [(left, right) for left in WORDS for right in WORDS] + character_pairs(collation)
    left, right = (pl.Series([pair[side] for pair in pairs]) for side in (0, 1))
    ours = collation_key(left, collation) == collation_key(right, collation)
    theirs = pl.Series(ask(fresh_target, collation, pairs))
    different = [(pairs[row], theirs[row]) for row in (ours != theirs).arg_true()]
    assert not different
    assert theirs.sum() > 40


def character_pairs(collation: str) -> list[tuple[str, str]]:
    """Single characters: a sample of those with a fold against it and against a neighbour, and any others against a neighbour.

    Within a text, since servers differ in what they strip at its end: TiDB only the space, MariaDB all that weighs like one.
    """
    chance = random.Random(8)
    folds = folds_of(collation)
    some = chance.sample(sorted(folds), min(PAIRS, len(folds)))
    plain = [chr(chance.randrange(0x21, 0xD7FF)) for _ in range(PAIRS)]
    real = [(one, folds[one]) for one in some if all(ord(part) < 0x100000 for part in folds[one])]
    near = [(one, chr(ord(one) + 1)) for one in (*some, *plain) if ord(one) + 1 not in range(0xD800, 0xE000)]
    return [(f"x{left}y", f"x{right}y") for left, right in (*real, *near)]


def ask(settings: TargetSettings, collation: str, pairs: list[tuple[str, str]]) -> list[bool]:
    """Whether the server calls each pair equal. Skips where it does not have the collation."""
    answers: list[bool] = []
    with connect_bulk(settings, database="") as target:
        try:
            target.query(f"SELECT CONVERT('a' USING utf8mb4) COLLATE {collation} = 'a'")
        except TargetError:
            pytest.skip(f"this server has no {collation}")
        for start in range(0, len(pairs), 500):
            some = pairs[start : start + 500]
            sql = ", ".join(f"{literal(left)} COLLATE {collation} = {literal(right)} COLLATE {collation}" for left, right in some)
            answers += [bool(value) for value in target.query(f"SELECT {sql}")[0]]
    return answers


def literal(text: str) -> str:
    """A text as the server reads it whatever is in it."""
    return f"CONVERT(0x{text.encode().hex()} USING utf8mb4)" if text else "_utf8mb4''"
