"""The index of member ids: exact for any key, whatever its neighbours."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from etl.load import key_index
from etl.load.allocate import Block, number_keys
from etl.load.key_index import build_index

KEYS = st.lists(st.text(st.characters(codec="utf-8"), max_size=12), unique=True, max_size=60)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(keys=KEYS, others=st.lists(st.one_of(st.none(), st.text(st.characters(codec="utf-8"), max_size=20)), max_size=40))
def test_finds_each_key_and_no_other(tmp_path: Path, keys: list[str], others: list[str | None]) -> None:
    width = max((len(key.encode()) for key in keys), default=1)
    numbers = {key: place * 7 for place, key in enumerate(keys)}
    index = build_index(
        tmp_path / "index", width, [(pl.Series(keys, dtype=pl.String), pl.Series(list(numbers.values()), dtype=pl.Int64))]
    )

    asked = [*keys, *others, *(key + "\0" for key in keys)]

    assert index.lookup(pl.Series(asked, dtype=pl.String)).to_list() == [numbers.get(key) for key in asked]  # type: ignore[arg-type]  # None is asked too


def test_keys_of_one_hash_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pl.Series, "hash", lambda self, seed=0: pl.Series([5] * len(self), dtype=pl.UInt64))
    keys = pl.Series([f"k{number}" for number in range(20)])
    index = key_index.build_index(tmp_path / "index", 4, [(keys, pl.Series(range(20), dtype=pl.Int64))])

    assert index.lookup(pl.Series(["k13", "k0", "k99", None])).to_list() == [13, 0, None, None]


def test_leaves_no_file_behind(tmp_path: Path) -> None:
    index = build_index(tmp_path / "index", 2, [(pl.Series(["a", "b"]), pl.Series([1, 2], dtype=pl.Int64))])

    assert not (tmp_path / "index").exists()
    assert index.lookup(pl.Series(["b"])).to_list() == [2]


@pytest.mark.parametrize("bucket", [3, 1_000])
def test_numbers_follow_the_order_of_keys_whatever_the_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bucket: int
) -> None:
    monkeypatch.setattr("etl.load.allocate.BUCKET_KEYS", bucket)
    keys = [f"{(number * 7919) % 1000:04}" for number in range(400)]
    empty = build_index(tmp_path / "known", 1, ())
    chunks = [pl.Series(keys[first : first + 37]) for first in range(0, 400, 37)]

    numbered = number_keys(tmp_path / "new", lambda: chunks, empty, None, 100)

    ordered = sorted(set(keys))
    assert numbered.count == len(ordered)
    assert numbered.index.lookup(pl.Series(ordered)).to_list() == list(range(100, 100 + len(ordered)))


def test_a_block_is_found_again_from_what_is_loaded_of_it(tmp_path: Path) -> None:
    """After a kill some keys have their id and some do not: together they get the numbers they would have got."""
    known = build_index(tmp_path / "known", 4, [(pl.Series(["a", "c", "old"]), pl.Series([50, 52, 7], dtype=pl.Int64))])

    again = number_keys(tmp_path / "new", lambda: [pl.Series(["d", "c", "b", "a", "old"])], known, Block(50, 4), 50)

    assert again.fits
    assert again.count == 4
    assert again.index.lookup(pl.Series(["a", "b", "c", "d", "old"])).to_list() == [50, 51, 52, 53, None]


def test_a_block_of_other_keys_does_not_fit(tmp_path: Path) -> None:
    known = build_index(tmp_path / "known", 4, [(pl.Series(["b"]), pl.Series([50], dtype=pl.Int64))])

    assert not number_keys(tmp_path / "new", lambda: [pl.Series(["a", "b"])], known, Block(50, 1), 50).fits
