"""Crosswalk entries of members that keep their ids, checked after both sides were read: the crosswalk is read meanwhile.

Such a member's entry leads from "17" to member 17 and its legacy row has the key 17, so one byte remembers it. Whatever is not
of this kind is not claimed, and checked at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from etl.reconcile.member_ids import MOST_IDS, KeptIds
from etl.reconcile.plan import LINK, SOURCE

LINKS_SCHEMA: Final = pl.Schema({LINK: pl.String(), SOURCE: pl.String(), "right": pl.Int64(), "found": pl.Int64()})

FEWEST_IDS: Final = 65_536
"""First size of an array; it doubles when an id does not fit."""


@dataclass(frozen=True)
class Links:
    """Crosswalk entries of the members of some rows: how many are there, and those that are not as they should be
    (LINKS_SCHEMA).

    `right` is NULL where only the crosswalk can tell the member.
    """

    present: int
    wrong: pl.DataFrame


@dataclass
class Claims:
    """For each part, by number, the ids whose entries must lead to themselves: one byte an id."""

    ids: dict[int, npt.NDArray[np.bool_]] = field(default_factory=dict)

    def add(self, part: int, links: pl.DataFrame, encoded: pl.Series) -> pl.Series:
        """Claim what can be claimed of a part's entries (source_id, member_id) with the keys of their rows; for each whether
        it was."""
        member_id = links["member_id"]
        fits = member_id.is_between(1, MOST_IDS - 1) & (links["source_id"] == encoded)
        claimed = (fits & (member_id.cast(pl.String) == encoded)).fill_null(False)
        ids = member_id.filter(claimed).to_numpy()
        if ids.size:
            self._room(part, int(ids.max()))[ids] = True
        return claimed

    def settle(
        self, part: int, known: KeptIds | None, lookup: Callable[[pl.Series], pl.Series], slice_rows: int = 100_000
    ) -> Links:
        """What the crosswalk says of the entries that were claimed. `known` answers most of it, `lookup` the rest, or all."""
        claimed = self.ids.get(part, np.zeros(0, np.bool_))
        open_ids = np.flatnonzero(claimed if known is None else without(claimed, known.same))
        present = int(claimed.sum()) - open_ids.size
        wrong = [pl.DataFrame(schema=LINKS_SCHEMA)]
        for ids in pl.Series("right", open_ids, dtype=pl.Int64).to_frame().iter_slices(slice_rows):
            texts = ids["right"].cast(pl.String)
            found = lookup(texts)
            present += found.len() - found.null_count()
            told = ids.select(texts.alias(LINK), texts.alias(SOURCE), "right", found.alias("found"))
            wrong.append(told.filter(~pl.col("found").eq_missing(pl.col("right"))))
        return Links(present, pl.concat(wrong))

    def _room(self, part: int, greatest: int) -> npt.NDArray[np.bool_]:
        """The part's array, with room for an id."""
        before = self.ids.get(part, np.zeros(FEWEST_IDS, np.bool_))
        size = before.size
        while size <= greatest:
            size *= 2
        grown = before if size == before.size else np.concatenate([before, np.zeros(size - before.size, np.bool_)])
        self.ids[part] = grown
        return grown


def without(claimed: npt.NDArray[np.bool_], same: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Claimed ids that do not lead to themselves.

    >>> without(np.array([False, True, True, True]), np.array([False, True, False])).tolist()
    [False, False, True, True]
    """
    left = claimed.copy()
    common = min(claimed.size, same.size)
    left[:common] &= ~same[:common]
    return left
