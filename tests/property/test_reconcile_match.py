"""The comparison of two streams finds what comparing two dictionaries finds: whatever the order, the batches, the types and
what goes to disk."""

from __future__ import annotations

import random
from collections import Counter
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from polars._typing import SchemaDict

from etl.reconcile.match import Matcher
from etl.reconcile.spill import Side, Spill

SCHEMA: SchemaDict = {
    "k1": pl.Int64,
    "k2": pl.String,
    "name": pl.String,
    "money": pl.Decimal(19, 4),
    "at": pl.Datetime("us"),
    "ratio": pl.Float64,
    "number": pl.Int64,
}
KEY = ["k1", "k2"]
COMPARED = ["name", "money", "at", "ratio", "number"]
START = datetime(2026, 1, 1)

Row = tuple[object, ...]

rows = st.tuples(
    st.integers(0, 6),
    st.sampled_from(["a", "A", "a ", "á", ""]),
    st.none() | st.sampled_from(["", " ", "x", "x ", "X", "a,b", "a"]),
    st.none() | st.sampled_from([Decimal("1.0000"), Decimal("1.0001"), Decimal("922337203685477.5807")]),
    st.none() | st.integers(0, 3).map(lambda us: START + timedelta(microseconds=us)),
    st.none() | st.sampled_from([0.1, 0.1 + 2**-56, 1e300]),
    st.none() | st.integers(-1, 1),
)


def naive(expected: list[Row], actual: list[Row]) -> tuple[Counter[Row], Counter[Row], int]:
    """What is left of each side when equal rows leave in pairs, and how many pairs left."""
    left, right = Counter(expected), Counter(actual)
    return left - right, right - left, (left & right).total()


def compare(
    expected: list[Row], actual: list[Row], sizes: list[int], memory_bytes: int
) -> tuple[Counter[Row], Counter[Row], int]:
    """The same, by the matcher, with batches of the sizes given, taken from either side at random."""
    chooser = random.Random(len(expected) * 31 + len(actual))
    waiting: dict[Side, list[Row]] = {"expected": list(expected), "actual": list(actual)}
    left: Counter[Row] = Counter()
    right: Counter[Row] = Counter()
    with TemporaryDirectory() as folder, Spill(Path(folder), KEY, partitions=4) as spill:
        matcher = Matcher(KEY, COMPARED, spill, memory_bytes)
        number = 0
        while waiting["expected"] or waiting["actual"]:
            sides: list[Side] = ["expected", "actual"]
            side = chooser.choice([name for name in sides if waiting[name]])
            size = sizes[number % len(sizes)]
            number += 1
            batch, waiting[side] = waiting[side][:size], waiting[side][size:]
            matcher.add(side, pl.DataFrame(batch, schema=SCHEMA, orient="row"))
        for unmatched in matcher.finish():
            left.update(unmatched.expected.rows())
            right.update(unmatched.actual.rows())
        assert matcher.seen == {"expected": len(expected), "actual": len(actual)}
        return left, right, matcher.equal


@settings(max_examples=70, deadline=None)
@given(
    common=st.lists(rows, max_size=25),
    expected=st.lists(rows, max_size=8),
    actual=st.lists(rows, max_size=8),
    shuffled=st.booleans(),
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    memory_bytes=st.sampled_from([0, 700, 10**9]),
)
def test_streams_differ_exactly_as_dictionaries_do(
    common: list[Row], expected: list[Row], actual: list[Row], shuffled: bool, sizes: list[int], memory_bytes: int
) -> None:
    """Duplicated keys, equal rows more than once, NULLs and near-equal values included."""
    left, right = common + expected, common + actual
    if shuffled:
        random.Random(7).shuffle(right)
    else:
        left, right = sorted(left, key=str), sorted(right, key=str)
    assert compare(left, right, sizes, memory_bytes) == naive(left, right)
