"""Crosswalk entries of kept ids, checked in one piece once both sides have been read."""

from __future__ import annotations

import polars as pl
import pytest

from etl.reconcile.claims import Claims
from etl.reconcile.member_ids import MOST_IDS, KeptIds, fill_array


def entries(*pairs: tuple[str, int]) -> pl.DataFrame:
    """Crosswalk entries, or those that legacy rows should have."""
    return pl.DataFrame(pairs, schema={"source_id": pl.String, "member_id": pl.Int64}, orient="row")


def known(*pairs: tuple[str, int]) -> KeptIds:
    """The crosswalk as it was read."""
    found = fill_array(200_000, [entries(*pairs)])
    assert found is not None
    return found


def claimed(*ids: int) -> Claims:
    """Claims of legacy rows with these ids."""
    claims = Claims()
    texts = [str(one) for one in ids]
    flags = claims.add(0, entries(*zip(texts, ids, strict=True)), pl.Series(texts))
    assert flags.all()
    return claims


@pytest.mark.parametrize("read", [True, False], ids=["array", "lookup"])
def test_each_claim_is_present_wrong_or_missing(read: bool) -> None:
    """Whether an array answers or the lookup alone: 3 has no entry, 100000 leads elsewhere, "01" is no entry of 1."""
    crosswalk = known(("2", 2), ("100000", 5), ("01", 1), ("7", 7), ("9", 9))
    links = claimed(1, 2, 3, 100_000, 7).settle(0, crosswalk if read else None, crosswalk.lookup, slice_rows=2)
    assert links.present == 3
    assert links.wrong.sort("right").rows() == [
        ("1", "1", 1, None),
        ("3", "3", 3, None),
        ("100000", "100000", 100_000, 5),
    ]


def test_what_one_byte_cannot_remember_is_not_claimed() -> None:
    """Ids of other spellings, keys of other values, ids out of reach: these are looked up at once."""
    claims = Claims()
    links = entries(("1", 1), ("02", 2), ("3", 3), ("4", 5), (str(MOST_IDS), MOST_IDS)).vstack(
        pl.DataFrame({"source_id": ["6"], "member_id": [None]}, schema={"source_id": pl.String, "member_id": pl.Int64})
    )
    flags = claims.add(2, links, pl.Series(["1", "02", "three", "4", str(MOST_IDS), "6"]))
    assert flags.to_list() == [True, False, False, False, False, False]
    crosswalk = known(("1", 1))
    assert claims.settle(2, crosswalk, crosswalk.lookup).present == 1
    assert claims.settle(0, crosswalk, crosswalk.lookup).present == 0, "another part claimed nothing"


def test_claims_of_several_batches_grow_together() -> None:
    claims = Claims()
    for ids in ([5, 6], [199_999], [7]):
        texts = [str(one) for one in ids]
        claims.add(0, entries(*zip(texts, ids, strict=True)), pl.Series(texts))
    crosswalk = known(("5", 5), ("199999", 199_999))
    links = claims.settle(0, crosswalk, crosswalk.lookup)
    assert (links.present, links.wrong["right"].to_list()) == (2, [6, 7])
