"""What travels between the steps of sync, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Literal

import polars as pl

from etl.reconcile.plan import PartPlan
from etl.sync.plan import SyncTable

Direction = Literal["forward", "reverse"]

CONTEXT: Final = b"membershift\x00"
"""SYS_CHANGE_CONTEXT of rows that sync wrote on the legacy side."""

KEY: Final = "__key"
"""Column of frames: the row's key as `encode_keys` (etl/reconcile/plan.py) writes it."""

DELETED, OURS, VERSION = "__deleted", "__ours", "__version"


@dataclass(frozen=True)
class LegacyChanges:
    """Net changes of one legacy table since a position, or some of them.

    `rows`: the changed rows as they are now (the part's select list), with KEY, OURS (the last change was our own write) and
    VERSION (of that change). `deleted`: KEY, VERSION of rows that are gone. `upto`: the position that is reached once this and
    every earlier page is on the target; None while more pages of the same span follow. `seen_at`: when the source was asked
    (UTC).
    """

    table: SyncTable
    part: PartPlan
    rows: pl.DataFrame
    deleted: pl.DataFrame
    upto: int | None
    seen_at: datetime

    @property
    def count(self) -> int:
        """How many rows changed."""
        return self.rows.height + self.deleted.height


@dataclass(frozen=True)
class DirtyRows:
    """Target rows that reverse has to send, a page of a scan: the table's mapped columns, KEY, `updated_at` and `synced_at` (UTC,
    microseconds; synced_at NULL: never in step)."""

    table: SyncTable
    rows: pl.DataFrame
    captured_at: datetime


@dataclass(frozen=True)
class LegacyImage:
    """The legacy rows of one target row, locked: what they make of it now (`values`, None: there are none), their staged rows by
    part name, and what reverse has added to each counter (R)."""

    key: str
    values: Mapping[str, Any] | None
    records: Mapping[str, pl.DataFrame]
    returned: Mapping[str, Decimal] = field(default_factory=dict)


@dataclass(frozen=True)
class DeadLetter:
    """A row that could not be carried over, and why. `detail` names columns and types, never values."""

    direction: Direction
    part: str
    key: str
    reason: str
    detail: str


@dataclass
class Counts:
    """What a round did to one table in one direction."""

    written: int = 0
    deleted: int = 0
    unchanged: int = 0
    own: int = 0
    conflicts: int = 0
    dead: int = 0
    held: int = 0
