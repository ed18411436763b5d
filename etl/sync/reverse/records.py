"""The crosswalk read backwards: from a member to its legacy records, and which of them another row should name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from etl.load.sql import places, sql
from etl.reconcile.by_key import LookupNow
from etl.target.bulk import BulkConnection
from etl.target.columns import text_of

MEMBERS_A_QUERY: Final = 500
RECORDS: Final = "SELECT member_id, source, source_id FROM {schema}.member_source WHERE member_id IN ({members})"


@dataclass
class Records:
    """Legacy records of members, read through one connection as they are asked for; an instance serves one page of rows.

    A lookup in the other direction answers from what was read, and asks the target for the rest.
    """

    connection: BulkConnection
    schema: str
    _of: dict[int, dict[str, list[str]]] = field(default_factory=dict)
    _home: dict[str, dict[str, int]] = field(default_factory=dict)

    def read(self, members: Iterable[int]) -> None:
        """Read the records of these members, those that were read already left out."""
        wanted = sorted({int(member) for member in members} - self._of.keys())
        for first in range(0, len(wanted), MEMBERS_A_QUERY):
            some = wanted[first : first + MEMBERS_A_QUERY]
            statement = sql(RECORDS, {"schema": self.schema}, members=places(len(some)))
            for member in some:
                self._of[member] = {}
            for member, system, source_id in self.connection.query(statement, tuple(some)):
                self.add(int(member), text_of(system), text_of(source_id))

    def add(self, member: int, system: str, source_id: str) -> None:
        """A record that was made meanwhile."""
        known = self._of.setdefault(member, {}).setdefault(system, [])
        if source_id not in known:
            known.append(source_id)
        self._home.setdefault(system, {})[source_id] = member

    def of(self, member: int) -> Mapping[str, Sequence[str]]:
        """The ids of a member's records by system; only of members that were read."""
        return self._of.get(member, {})

    def best(self, member: int, system: str) -> str | None:
        """The record of a system that a new row names: that whose id is the member's own, else the first one."""
        ids = self.of(member).get(system, ())
        return str(member) if str(member) in ids else min(ids, key=lambda one: (len(one), one), default=None)

    def lookup(self, system: str, keys: pl.Series) -> pl.Series:
        """Member ids of legacy ids, NULL where unknown: a Lookup."""
        known = self._home.get(system, {})
        unknown = keys.drop_nulls().unique().filter(~keys.drop_nulls().unique().is_in(list(known)))
        if not unknown.is_empty():
            found = LookupNow(self.connection, self.schema)(system, unknown)
            asked = {str(key): int(member) for key, member in zip(unknown, found, strict=True) if member is not None}
            self._home[system] = known = {**known, **asked}
        return pl.Series(keys.name, [known.get(key) if key is not None else None for key in keys], dtype=pl.Int64)
