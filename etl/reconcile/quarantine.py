"""Which legacy rows load has put aside: they are rightly not on the target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import polars as pl

from etl.names import backtick
from etl.reconcile.plan import PART, SOURCE, PartPlan, TablePlan, decode_keys
from etl.target.columns import text_of

ON_TARGET: Final = "differs_from_target"
"""Rows with this reason are on the target, with other values: load does not overwrite them."""

LONGEST_KEY: Final = 400
"""membershift.reject holds no longer keys."""


class Asks(Protocol):
    """What answers small questions about the target: a connection, or several of them."""

    def query(self, sql: str, params: Sequence[object] | None = None) -> list[tuple[Any, ...]]: ...


@dataclass
class Quarantine:
    """The quarantine of one target table, read through `connection`: about 100 bytes of memory a row in it."""

    connection: Asks
    state_schema: str
    plan: TablePlan
    _keys: dict[int, frozenset[str]] = field(default_factory=dict)

    def flags(self, rows: pl.DataFrame) -> pl.Series:
        """For each row (PART and SOURCE) whether its legacy row waits in quarantine."""
        if rows.is_empty():
            return pl.Series([], dtype=pl.Boolean)
        flagged = pl.Series(QUARANTINED, [False] * rows.height, dtype=pl.Boolean)
        for part in self.plan.parts:
            here = (rows[PART] == part.number).arg_true()
            if not here.is_empty() and self.keys_of(part):
                flagged = flagged.scatter(here, self.holds(part, key_texts(part, rows[SOURCE].gather(here)).to_list()))
        return flagged

    def holds(self, part: PartPlan, source_keys: Sequence[str]) -> list[bool]:
        """For each key, as rejects name it, whether it waits in quarantine."""
        keys = self.keys_of(part)
        return [key[:LONGEST_KEY] in keys for key in source_keys]

    def keys_of(self, part: PartPlan) -> frozenset[str]:
        """Source keys of a part in quarantine, read once."""
        if part.number not in self._keys:
            self._keys[part.number] = frozenset(quarantined_keys(self.connection, self.state_schema, part.part.name))
        return self._keys[part.number]


QUARANTINED: Final = "__quarantined"


def quarantined_keys(connection: Asks, state_schema: str, part: str) -> list[str]:
    """Source keys, as rejects name them, of a part's rows that are not on the target because load put them aside."""
    table = f"{backtick(state_schema)}.reject"
    where = "WHERE mapping_part = %s AND settled_at IS NULL AND reason <> %s"
    sql = " ".join(("SELECT DISTINCT source_key FROM", table, where))
    return [text_of(row[0]) for row in connection.query(sql, (part, ON_TARGET))]


def key_texts(part: PartPlan, encoded: pl.Series) -> pl.Series:
    """Encoded keys as rejects and reports name them."""
    return part.compiled.source_keys(decode_keys(encoded, part.key_schema))
