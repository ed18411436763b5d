"""What goes into a load and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from etl.errors import UsageError
from etl.names import SourceTable

ENOUGH_ROWS: Final = 100
"""Rows of a part's canary from which on its share of errors counts by itself."""


@dataclass(frozen=True)
class LoadRequest:
    """What to load. `tables` are target tables or mapping parts; empty means all of the mapping.

    `canary`: share of each table to load and check first (0.1 = a tenth). `as_is`: load this source table without a mapping, into
    the target table `as_name`, with its secondary `indexes`. `accept_mapping`: go on although the mapping changed since a load
    was begun.
    """

    tables: tuple[str, ...] = ()
    execute: bool = False
    canary: float | None = None
    as_is: SourceTable | None = None
    as_name: str | None = None
    indexes: bool = True
    accept_mapping: bool = False


@dataclass(frozen=True)
class ReasonCount:
    """How many rows a reason rejected, as `column` (empty when it concerns the whole row) and reason code."""

    column: str
    reason: str
    rows: int


@dataclass(frozen=True)
class TableLoad:
    """One mapping part of a load.

    `staged` rows are in the stage; `before` of them were settled (loaded or rejected) by earlier runs. Of the rest this run
    loaded `loaded`, found `unchanged` (the same row was already on the target), found `merged` (deduplication made one member of
    them and others, whose golden record is on the target) and rejected `rejected`; `noted` values were loaded as NULL or
    default. In a dry run those five are what a sample of `sampled` rows would give, and `pending` what a load would take.
    """

    part: str
    target: str
    source: str
    staged: int
    before: int
    loaded: int = 0
    unchanged: int = 0
    rejected: int = 0
    noted: int = 0
    sampled: int = 0
    seconds: float = 0.0
    reasons: tuple[ReasonCount, ...] = ()
    merged: int = 0

    @property
    def pending(self) -> int:
        """Rows not settled yet, before this run."""
        return self.staged - self.before

    @property
    def settled(self) -> int:
        """Rows that this run settled."""
        return self.loaded + self.unchanged + self.merged + self.rejected

    @property
    def complete(self) -> bool:
        """Whether every staged row is settled now."""
        return self.sampled == 0 and self.before + self.settled == self.staged


@dataclass(frozen=True)
class CanaryPart:
    """What the check of a canary found in one part: rows read back from the target and compared with what was to be there.

    `merged` rows are in golden records, of which only the crosswalk is asked; reconcile compares these.
    """

    part: str
    rows: int
    rejected: int
    missing: int
    changed: int
    columns: tuple[str, ...] = ()
    merged: int = 0

    @property
    def errors(self) -> int:
        """Rows that are not on the target as they should be."""
        return self.rejected + self.missing + self.changed


@dataclass(frozen=True)
class CanaryResult:
    """The canary of all parts. It passed when `error_share` does not exceed `limit`."""

    share: float
    limit: float
    parts: tuple[CanaryPart, ...]

    @property
    def rows(self) -> int:
        """Rows of the canary."""
        return sum(part.rows for part in self.parts)

    @property
    def error_share(self) -> float:
        """Share of the canary's rows that were rejected or differ."""
        return sum(part.errors for part in self.parts) / max(1, self.rows)

    @property
    def worst(self) -> float:
        """Largest share of one part: a table that fails must not hide behind a larger one. Of a part with a handful of rows one
        bad row says nothing, so these count only in the whole."""
        return max((part.errors / part.rows for part in self.parts if part.rows >= ENOUGH_ROWS), default=0.0)

    @property
    def passed(self) -> bool:
        """Whether the load may go on."""
        return self.error_share <= self.limit and self.worst <= self.limit


@dataclass(frozen=True)
class LoadResult:
    """Outcome of `run_load`. `run_id` is the row of membershift.load_run, None in a dry run. `statements`: the SQL that
    creates a table moved as it is, done or only shown. `notes` are sentences worth reading."""

    executed: bool
    tables: tuple[TableLoad, ...]
    seconds: float
    run_id: int | None = None
    canary: CanaryResult | None = None
    statements: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())

    @property
    def complete(self) -> bool:
        """Whether every staged row of the parts asked for is settled."""
        return self.executed and all(table.complete for table in self.tables)

    @property
    def rows(self) -> int:
        """Rows this run settled by loading."""
        return sum(table.loaded for table in self.tables)

    @property
    def merged(self) -> int:
        """Rows whose member is one with others."""
        return sum(table.merged for table in self.tables)

    @property
    def rejected(self) -> int:
        """Rows this run put into quarantine."""
        return sum(table.rejected for table in self.tables)


def parse_share(text: str) -> float:
    """Read "10%" or "0.1". Raises UsageError unless it lies above 0 and below 1.

    >>> parse_share("10%"), parse_share("0.25")
    (0.1, 0.25)
    """
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise UsageError(f"{text!r} is not a share of a table.", "Write it as a percentage between 0 and 100, such as 10%.")
    return share
