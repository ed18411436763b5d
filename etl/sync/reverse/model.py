"""What reverse is given and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from etl.names import SourceTable
from etl.reconcile.merged import Survive
from etl.source.connect import Source
from etl.sync.model import DeadLetter
from etl.sync.plan import SyncPlan
from etl.target.bulk import BulkConnection

CLOCK: Final = "legacy_updated_at"
"""Target column that says when the legacy side last changed the row. What the mapping reads it from is set to the target row's
updated_at whenever reverse writes anything else of the row but counters; it is never sent by itself."""

ROWS_A_BATCH: Final = 500
"""A page of the target: what is done for a batch, whatever its size, is done once. Far from the 5,000 locks of one statement at
which SQL Server locks the whole table."""

LOCK_WAIT_MS: Final = 2_000
LINKED_BY: Final = "sync"
"""member_source.linked_by of records that reverse made."""


@dataclass(frozen=True)
class ReverseContext:
    """What reverse works with. `target` is the caller's own connection, outside a transaction. `positions`: up to which version
    forward has applied the changes of each legacy table. `survive` makes golden records of members of several legacy records.
    `triggers`: for legacy tables that were asked, whether they have any."""

    plan: SyncPlan
    source: Source
    target: BulkConnection
    survive: Survive
    positions: Mapping[SourceTable, int] = field(default_factory=dict)
    batch_rows: int = ROWS_A_BATCH
    lock_wait_ms: int = LOCK_WAIT_MS
    triggers: dict[SourceTable, bool] = field(default_factory=dict)


@dataclass
class Reversed:
    """What became of dirty rows, by key (KEY of DirtyRows). A key is in exactly one of `done`, `held`, `later` and `dead`.

    `done`: everything of the row is on the legacy side; mark it in step. `held`: columns that the legacy side changed too, after
    forward's position: the rest is written, forward decides, the row stays dirty. `later`: nothing was written (a lock, a lost
    connection, a pending change of somebody else); the row stays dirty. `settled`: columns whose base becomes the target's value,
    of rows in `done` and `held`. `echoes`: values that the legacy type holds more coarsely than the target (times), an offset it
    had to be given, and CLOCK: the target should take them, and base with it. `returned`: totals of counters by column (R of the
    member).
    """

    done: set[str] = field(default_factory=set)
    held: dict[str, tuple[str, ...]] = field(default_factory=dict)
    later: dict[str, str] = field(default_factory=dict)
    dead: list[DeadLetter] = field(default_factory=list)
    settled: dict[str, tuple[str, ...]] = field(default_factory=dict)
    echoes: dict[str, dict[str, Any]] = field(default_factory=dict)
    unplaced: dict[str, dict[str, Any]] = field(default_factory=dict)
    returned: dict[str, dict[str, Decimal]] = field(default_factory=dict)
    written: int = 0
    inserted: int = 0
    unchanged: int = 0
    born: int = 0

    def dead_keys(self) -> set[str]:
        """Keys of rows that cannot be carried over."""
        return {letter.key for letter in self.dead}
