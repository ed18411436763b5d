"""From a legacy system's member id to the member id on the target, exactly and in bounded memory.

What is known is membership.member_source. For the part that defines a system's members, ids of rows not loaded yet come on
top: a kept id is the legacy id itself, an allocated one comes from a block reserved beforehand (etl/load/allocate.py).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import polars as pl

from etl.load.key_index import KeyIndex, build_index
from etl.load.sql import sql
from etl.target.bulk import BulkConnection

FRAME_ROWS: Final = 50_000
DEDUPE: Final = "dedupe"
"""What member_source.linked_by says of every record of a member that deduplication made of several."""

ENTRY_SCHEMA: Final = pl.Schema({"source_id": pl.String, "member_id": pl.Int64})
LONGEST: Final = "SELECT MAX(LENGTH(source_id)) FROM {schema}.member_source WHERE source = %s{only}"
ENTRIES: Final = "SELECT source_id, member_id FROM {schema}.member_source WHERE source = %s{only}"
Resolve = Callable[[pl.Series], pl.Series]
"""From legacy ids (String) to member ids (Int64), NULL where unknown."""


class Crosswalk:
    """Lookups by system. Reads a system's entries when they are first asked for, and again after `forget`."""

    def __init__(self, connection: BulkConnection, schema: str, folder: Path) -> None:
        self.connection = connection
        self.schema = schema
        self.folder = folder
        self._indexes: dict[str, KeyIndex] = {}
        self._merged: dict[str, KeyIndex] = {}
        self._planned: dict[str, Resolve] = {}

    def lookup(self, system: str, keys: pl.Series) -> pl.Series:
        """Member ids of legacy ids: those on the target, then those planned; NULL where unknown."""
        known = self.known(system).lookup(keys)
        planned = self._planned.get(system)
        if planned is None or not known.has_nulls():
            return known
        return pl.select(pl.coalesce(known, planned(keys))).to_series().alias(keys.name)

    def known(self, system: str) -> KeyIndex:
        """The system's entries on the target."""
        if system not in self._indexes:
            self._indexes[system] = self._read(system)
        return self._indexes[system]

    def merged(self, system: str) -> KeyIndex:
        """Those of the system's entries whose members deduplication made of several records."""
        if system not in self._merged:
            self._merged[system] = self._read(system, DEDUPE)
        return self._merged[system]

    def plan(self, system: str, resolve: Resolve) -> None:
        """Take ids of members that are not loaded yet from `resolve`."""
        self._planned[system] = resolve

    def planned(self, system: str) -> Resolve | None:
        """What `plan` was told last."""
        return self._planned.get(system)

    def is_planned(self, system: str) -> bool:
        """Whether ids of members to come are settled."""
        return system in self._planned

    def forget(self, system: str) -> None:
        """Members of this system were loaded: only what is on the target counts from now on."""
        self._indexes.pop(system, None)
        self._planned.pop(system, None)

    def _read(self, system: str, linked_by: str | None = None) -> KeyIndex:
        """The system's entries, all or those linked in one way."""
        values = (system,) if linked_by is None else (system, linked_by)
        names, only = {"schema": self.schema}, "" if linked_by is None else " AND linked_by = %s"
        width = self.connection.scalar(sql(LONGEST, names, only=only), values)
        folder = self.folder / f"{system}-{linked_by or 'all'}"
        if width is None:
            return build_index(folder, 1, ())
        frames = self.connection.read_frame(sql(ENTRIES, names, only=only), ENTRY_SCHEMA, values)
        return build_index(folder, int(width), ((frame["source_id"], frame["member_id"]) for frame in frames))


def keep_ids(keys: pl.Series) -> pl.Series:
    """Kept ids: the legacy id is the member id. What is no whole number above zero has none.

    >>> keep_ids(pl.Series(["17", "x", None])).to_list()
    [17, None, None]
    """
    numbers = keys.cast(pl.Int64, strict=False)
    return pl.select(pl.when(numbers > 0).then(numbers)).to_series().alias(keys.name)
