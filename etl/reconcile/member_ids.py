"""The crosswalk at the instant of a comparison, for lookups of whole columns.

Where a system keeps its ids, nearly every entry leads from "17" to member 17. Such entries are one byte each in an array, which
is several times as fast to build and to ask as an index of texts; the few that lead elsewhere stand beside it. Systems with
ids of other kinds, or with ids too far apart, have an index on disk.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from etl.load.crosswalk import ENTRY_SCHEMA, Crosswalk
from etl.names import backtick
from etl.target.bulk import BulkConnection

MOST_IDS: Final = 64_000_000
"""Greatest id of the array: it takes as many bytes."""

MOST_OTHERS: Final = 100_000
"""Entries that lead elsewhere, held in memory."""


@dataclass(frozen=True)
class KeptIds:
    """Entries of a system that keeps its ids: `same[id]` where id leads to itself; `others` (source_id, member_id) lead
    elsewhere."""

    same: npt.NDArray[np.bool_]
    others: pl.DataFrame
    size: int

    def lookup(self, keys: pl.Series) -> pl.Series:
        """The member id of each key, NULL where unknown. Only a key written as the crosswalk writes it is one."""
        ids = keys.cast(pl.Int64, strict=False)
        usable = (ids.is_between(1, self.same.size - 1) & (ids.cast(pl.String) == keys)).fill_null(False)
        known = self.same[ids.zip_with(usable, pl.Series([0], dtype=pl.Int64)).to_numpy()]
        found = pl.select(pl.when(pl.Series(known)).then(ids)).to_series().alias(keys.name)
        if self.others.is_empty():
            return found
        elsewhere = keys.to_frame("source_id").join(self.others, on="source_id", how="left", maintain_order="left")["member_id"]
        return pl.select(pl.coalesce(elsewhere, found)).to_series().alias(keys.name)


@dataclass
class MemberIds:
    """Lookups by system, read through one connection when they are first asked for. `kept` names the systems that keep their
    ids. May be used by several threads: one reads, the others wait for it."""

    connection: BulkConnection
    schema: str
    folder: Path
    kept: frozenset[str]

    def __post_init__(self) -> None:
        self._indexes = Crosswalk(self.connection, self.schema, self.folder)
        self._arrays: dict[str, KeptIds | None] = {}
        self.lock = threading.RLock()

    def lookup(self, system: str, keys: pl.Series) -> pl.Series:
        """Member ids of legacy ids, NULL where unknown."""
        with self.lock:
            array = self.array_of(system)
            return self._indexes.lookup(system, keys) if array is None else array.lookup(keys)

    def size(self, system: str) -> int:
        """How many entries a system has."""
        with self.lock:
            array = self.array_of(system)
            return self._indexes.known(system).size if array is None else array.size

    def array_of(self, system: str) -> KeptIds | None:
        """The system's array, None where its ids do not suit one."""
        with self.lock:
            if system not in self._arrays:
                self._arrays[system] = self.read_array(system) if system in self.kept else None
            return self._arrays[system]

    def read_array(self, system: str) -> KeptIds | None:
        """All entries of a system that keeps its ids."""
        table = f"{backtick(self.schema)}.member_source"
        question = " ".join(("SELECT MAX(member_id) FROM", table, "WHERE source = %s AND member_id < %s"))
        greatest = int(self.connection.scalar(question, (system, MOST_IDS)) or 0)
        sql = " ".join(("SELECT source_id, member_id FROM", table, "WHERE source = %s"))
        return fill_array(greatest, self.connection.read_frame(sql, dict(ENTRY_SCHEMA), (system,)))


def fill_array(greatest: int, frames: Iterable[pl.DataFrame]) -> KeptIds | None:
    """Entries in an array up to id `greatest`; None when too many lead elsewhere.

    >>> found = fill_array(3, [pl.DataFrame({"source_id": ["1", "02", "3"], "member_id": [1, 2, 1]})])
    >>> found.lookup(pl.Series(["1", "2", "02", "3", "4", "x", None])).to_list()
    [1, None, 2, 1, None, None, None]
    """
    same = np.zeros(greatest + 1, np.bool_)
    others = [pl.DataFrame(schema=ENTRY_SCHEMA)]
    size, elsewhere = 0, 0
    for entries in frames:
        size += entries.height
        itself = (entries["source_id"] == entries["member_id"].cast(pl.String)) & entries["member_id"].is_between(1, greatest)
        same[entries["member_id"].filter(itself).to_numpy()] = True
        others.append(entries.filter(~itself))
        elsewhere += others[-1].height
        if elsewhere > MOST_OTHERS:
            return None
    return KeptIds(same, pl.concat(others), size)
