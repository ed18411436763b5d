"""Differences found between two tables are those a comparison of two dictionaries finds."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.reconcile.findings import Rows, find, tell_duplicates
from etl.reconcile.match import Matcher
from etl.reconcile.spill import Spill

KEY = ["k1", "k2"]
SCHEMA = pl.Schema({"k1": pl.Int64(), "k2": pl.String(), "v": pl.String(), "n": pl.Int64()})
QUARANTINED = "q"

Row = tuple[int, str, str | None, int | None]

rows = st.tuples(
    st.integers(0, 5),
    st.sampled_from(["a", "a ", "A"]),
    st.none() | st.sampled_from(["", "x", "q"]),
    st.none() | st.integers(0, 1),
)


def naive(expected: list[Row], actual: list[Row]) -> dict[str, int]:
    """How many rows are changed, missing, extra, duplicated or in quarantine, by two dictionaries of lists."""
    left: defaultdict[tuple[object, ...], Counter[Row]] = defaultdict(Counter)
    right: defaultdict[tuple[object, ...], Counter[Row]] = defaultdict(Counter)
    for row in expected:
        left[row[:2]][row] += 1
    for row in actual:
        right[row[:2]][row] += 1
    counts: Counter[str] = Counter()
    for key in left.keys() | right.keys():
        equal = (left[key] & right[key]).total()
        more_left, more_right = left[key] - right[key], right[key] - left[key]
        changed = min(more_left.total(), more_right.total())
        counts["changed"] += changed
        # quarantined rows are paired last, so they are the first to be left over
        quarantined = sum(count for row, count in more_left.items() if row[2] == QUARANTINED)
        alone = more_left.total() - changed
        in_quarantine = min(alone, quarantined)
        counts["in_quarantine"] += in_quarantine
        alone -= in_quarantine
        known = equal + changed > 0
        counts["missing"] += int(alone > 0 and not known)
        counts["duplicated_expected"] += alone - int(alone > 0 and not known)
        alone = more_right.total() - changed
        known = equal + changed > 0
        counts["extra"] += int(alone > 0 and not known)
        counts["duplicated_actual"] += alone - int(alone > 0 and not known)
    return dict(counts)


def has_key(table: list[Row], keys: pl.DataFrame) -> pl.Series:
    """Which of these keys a table holds."""
    present = {row[:2] for row in table}
    return pl.Series([row in present for row in keys.select(KEY).iter_rows()], dtype=pl.Boolean)


@settings(max_examples=80, deadline=None)
@given(
    common=st.lists(rows, max_size=15),
    expected=st.lists(rows, max_size=6),
    actual=st.lists(rows, max_size=6),
    size=st.integers(1, 9),
    memory_bytes=st.sampled_from([0, 10**9]),
)
def test_findings_are_those_of_two_dictionaries(
    common: list[Row], expected: list[Row], actual: list[Row], size: int, memory_bytes: int
) -> None:
    """Whether the rows waited in memory or on disk, and however often a key occurs."""
    left, right = common + expected, list(reversed(common)) + actual
    with TemporaryDirectory() as folder, Spill(Path(folder), KEY, partitions=4) as spill:
        matcher = Matcher(KEY, ["v", "n"], spill, memory_bytes)
        for batch in pl.DataFrame(left, schema=SCHEMA, orient="row").iter_slices(size):
            matcher.add("expected", batch)
        for batch in pl.DataFrame(right, schema=SCHEMA, orient="row").iter_slices(size + 1):
            matcher.add("actual", batch)
        found = find(matcher.finish(), KEY, 1_000, lambda frame: (frame["v"] == QUARANTINED).fill_null(False))
    found = tell_duplicates(found, lambda frame: has_key(right, frame), lambda frame: has_key(left, frame))
    counted = {
        "changed": found.changed_expected.count,
        "in_quarantine": found.in_quarantine,
        "missing": found.missing.count,
        "duplicated_expected": found.duplicated_expected.count,
        "extra": found.extra.count,
        "duplicated_actual": found.duplicated_actual.count,
    }
    assert {name: count for name, count in counted.items() if count} == {name: n for name, n in naive(left, right).items() if n}
    if not found.changed_expected.count:
        return
    assert found.changed_expected.frame.select(KEY).rows() == found.changed_actual.frame.select(KEY).rows()


def test_a_table_that_differs_everywhere_is_counted_but_not_kept() -> None:
    """Memory stays bounded when nothing agrees."""
    kept = Rows(0, pl.DataFrame(schema=SCHEMA)).add(
        pl.DataFrame([(k, "a", "x", 1) for k in (1, 2, 3)], schema=SCHEMA, orient="row"), 2
    )
    assert (kept.count, kept.frame.height) == (3, 2)
