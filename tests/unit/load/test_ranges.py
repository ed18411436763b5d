"""What is settled and what is left, as ranges of rows."""

from __future__ import annotations

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from etl.load.ranges import Rows, cut, first_share, intersect, uncovered

RANGES = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 20)).map(lambda pair: Rows(pair[0], pair[0] + pair[1])), max_size=8
)


def rows_in(ranges: object) -> set[int]:
    """The numbers that ranges hold."""
    return {row for first, end in ranges for row in range(first, end)}  # type: ignore[attr-defined]  # any iterable of ranges


@given(total=st.integers(0, 60), covered=RANGES)
def test_uncovered_is_the_rest(total: int, covered: list[Rows]) -> None:
    assert rows_in(uncovered(total, covered)) == set(range(total)) - rows_in(covered)


@given(total=st.integers(1, 80), left=RANGES, right=RANGES)
def test_intersection_is_what_lies_in_both(total: int, left: list[Rows], right: list[Rows]) -> None:
    a, b = uncovered(total, left), uncovered(total, right)
    assert rows_in(intersect(a, b)) == rows_in(a) & rows_in(b)


@given(total=st.integers(0, 90), covered=RANGES, slice_rows=st.integers(1, 30), batch_rows=st.integers(1, 30))
def test_batches_hold_every_wanted_row_once_in_order(total: int, covered: list[Rows], slice_rows: int, batch_rows: int) -> None:
    frame = pl.DataFrame({"row": range(total)}, schema={"row": pl.Int64})
    wanted = uncovered(total, covered)

    batches = list(cut(frame.iter_slices(slice_rows), wanted, batch_rows))

    assert [row for _, batch in batches for row in batch["row"]] == sorted(rows_in(wanted))
    assert all(batch["row"][0] == first and batch.height <= batch_rows for first, batch in batches)


@given(total=st.integers(0, 500), share=st.floats(0.01, 0.9), block=st.integers(1, 200))
def test_a_canary_has_rows_of_every_block(total: int, share: float, block: int) -> None:
    chosen = first_share(total, share, block)
    assert len(chosen) == -(-total // block)
    assert all(0 < rows.size <= block and rows.end <= total for rows in chosen)
