"""An exact map from text keys to numbers, on disk: ten million member ids are looked up without holding them in memory.

Records (hash, number, key) lie in one file in the order of their hash. A lookup finds the hash by bisection and then compares
the whole key, so two keys with one hash are never mixed up. Building goes through partitions by the hash's top bits, each
sorted alone.
"""

from __future__ import annotations

import mmap
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from etl.personal_files import disk_error, make_private_folder

PARTITION_BITS: Final = 6
SEED: Final = 20080901
END: Final = "\x01"
"""Ends every stored key: numpy drops zero bytes at the end of a text, and the key "a" is not the key "a\\0"."""
LOOKUPS_BEFORE_DROP: Final = 64


class KeyIndex:
    """A finished index. Safe to use from several threads. `size` is its number of keys."""

    def __init__(self, path: Path, record: np.dtype[Any], size: int) -> None:
        self.size = size
        self._lookups = 0
        # bisection reads only hashes, so these lie alone: 8 bytes a key
        self._records, self._record_map = map_file(path, record, size)
        self._hashes, self._hash_map = map_file(path.with_suffix(".hash"), np.dtype("<u8"), size)

    def lookup(self, keys: pl.Series) -> pl.Series:
        """The number of each key (Int64), NULL for a key that is unknown or NULL."""
        if not self.size or not len(keys):
            return pl.Series(keys.name, [None] * len(keys), dtype=pl.Int64)
        width = self._records.dtype["key"].itemsize
        hashes = keys.hash(seed=SEED).to_numpy()
        order = np.argsort(hashes)  # near hashes share pages and cache lines: three times as fast as in any order
        wanted_hashes, wanted = hashes[order], key_bytes(keys, width)[order]
        at = np.searchsorted(self._hashes, wanted_hashes)
        at[at == self.size] = 0
        same_hash = self._hashes[at] == wanted_hashes
        records = self._records[at]
        numbers, found = records["number"].copy(), same_hash & (records["key"] == wanted)
        for row in np.flatnonzero(same_hash & ~found):  # several keys with one hash lie side by side
            step = int(at[row]) + 1
            while step < self.size and self._hashes[step] == wanted_hashes[row]:
                if self._records["key"][step] == wanted[row]:
                    numbers[row], found[row] = self._records["number"][step], True
                    break
                step += 1
        back = np.empty(len(keys), np.int64)
        known = np.zeros(len(keys), np.bool_)
        back[order], known[order] = numbers, found
        self._forget_pages()
        right = pl.Series(known) & keys.is_not_null() & (keys.str.len_bytes() < width).fill_null(False)
        return pl.select(pl.when(right).then(pl.Series(back))).to_series().alias(keys.name)

    def _forget_pages(self) -> None:
        """Give pages read so far back to the system now and then: they stay cached, but no longer count as ours."""
        self._lookups += 1
        if self._record_map is not None and self._hash_map is not None and self._lookups % LOOKUPS_BEFORE_DROP == 0:
            self._record_map.madvise(mmap.MADV_DONTNEED)
            self._hash_map.madvise(mmap.MADV_DONTNEED)


def map_file(path: Path, record: np.dtype[Any], size: int) -> tuple[npt.NDArray[Any], mmap.mmap | None]:
    """A file's records without reading them. Its name goes at once, its bytes when nobody maps them any more: a killed process
    leaves nothing."""
    if not size:
        path.unlink(missing_ok=True)
        return np.empty(0, record), None
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    path.unlink()
    return np.frombuffer(mapped, record), mapped


class KeyIndexBuilder:
    """Collects keys in any order, then sorts them into a KeyIndex. `width` is the longest key in bytes."""

    def __init__(self, folder: Path, width: int) -> None:
        self.folder = make_private_folder(folder)
        self.record = np.dtype([("hash", "<u8"), ("number", "<i8"), ("key", f"S{width + len(END)}")])
        self.width = width + len(END)
        self.size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def add(self, keys: pl.Series, numbers: pl.Series) -> None:
        """Take keys (String, none NULL) with their numbers (Int64). Raises ConfigurationError when the disk is full."""
        records = np.empty(len(keys), self.record)
        records["hash"] = keys.hash(seed=SEED).to_numpy()
        records["number"] = numbers.to_numpy()
        records["key"] = key_bytes(keys, self.width)
        records = records[np.argsort(records["hash"])]
        tops = records["hash"] >> np.uint64(64 - PARTITION_BITS)
        ends = np.searchsorted(tops, np.arange(1 << PARTITION_BITS), side="right")
        first = 0
        for partition, end in enumerate(ends):
            if end > first:
                self._append(partition, records[first:end])
            first = int(end)
        self.size += len(keys)

    def finish(self) -> KeyIndex:
        """Sort and put together what was added."""
        path = self.folder / "index"
        try:
            with path.open("wb") as file, path.with_suffix(".hash").open("wb") as hashes:
                for partition in range(1 << PARTITION_BITS):
                    part = self.folder / f"part-{partition}"
                    if part.exists():
                        records = np.fromfile(part, self.record)
                        records = records[np.argsort(records["hash"], kind="stable")]
                        file.write(records.tobytes())
                        hashes.write(records["hash"].tobytes())
                        part.unlink()
        except OSError as error:
            raise disk_error(error, path) from error
        return KeyIndex(path, self.record, self.size)

    def _append(self, partition: int, records: npt.NDArray[Any]) -> None:
        path = self.folder / f"part-{partition}"
        try:
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as file:
                file.write(records.tobytes())
        except OSError as error:
            raise disk_error(error, path) from error


def key_bytes(keys: pl.Series, width: int) -> npt.NDArray[np.bytes_]:
    """Keys as fixed-width bytes with their end marked; NULL as nothing, longer ones cut (the caller rules those out)."""
    marked = (keys + END).cast(pl.Binary)
    return np.array(marked.fill_null(b"").to_list(), dtype=f"S{width}")


def build_index(folder: Path, width: int, entries: Iterable[tuple[pl.Series, pl.Series]]) -> KeyIndex:
    """Index all (keys, numbers). The files go away with the index."""
    with KeyIndexBuilder(folder, width) as builder:
        for keys, numbers in entries:
            builder.add(keys, numbers)
        return builder.finish()


def longest_key(keys: Iterable[pl.Series]) -> int:
    """Bytes of the longest key: the width an index of them needs; at least 1.

    >>> longest_key([pl.Series(["a", None]), pl.Series(["三"])])
    3
    """
    return max((int(series.drop_nulls().str.len_bytes().to_numpy().max(initial=1)) for series in keys), default=1)


def sorted_buckets(keys: Iterable[pl.Series], bucket_keys: int) -> list[str]:
    """Upper bounds that cut text keys into buckets of about `bucket_keys`, from a sample of one key in 64."""
    samples: list[pl.Series] = []
    total = 0
    for series in keys:
        total += len(series)
        samples.append(series.gather_every(64))
    if total <= bucket_keys:
        return []
    sample = pl.concat(samples).sort()
    count = -(-total // bucket_keys)
    return [str(sample[len(sample) * number // count]) for number in range(1, count)]


def in_buckets(bounds: list[str]) -> Iterator[tuple[str | None, str | None]]:
    """(low, high) of each bucket: low <= key < high, None for no bound.

    >>> list(in_buckets(["h", "p"]))
    [(None, 'h'), ('h', 'p'), ('p', None)]
    """
    yield from zip([None, *bounds], [*bounds, None], strict=True)
