"""Which rows of a table are read: all of them, or a share where reading all would hurt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from etl.assess.model import AssessRequest
from etl.source.catalog import Table

SEED: Final = 17
"""REPEATABLE: the same pages each time, so that two assessments of an unchanged table agree."""


@dataclass(frozen=True)
class Sample:
    """`percent` None reads every row. `rows` is how many that is, expected when sampled."""

    percent: float | None
    rows: int

    @property
    def sampled(self) -> bool:
        """Whether only a part is read."""
        return self.percent is not None

    @property
    def clause(self) -> str:
        """T-SQL that follows the table's name in FROM. TABLESAMPLE picks whole pages, which is what keeps it cheap."""
        return "" if self.percent is None else f" TABLESAMPLE ({self.percent:.6f} PERCENT) REPEATABLE ({SEED})"


def plan_sample(table: Table, request: AssessRequest) -> Sample:
    """A whole read for small tables or when asked for; else about `sample_rows` rows, and no more bytes than the limit."""
    small = table.rows <= request.scan_limit_rows and table.bytes <= request.scan_limit_bytes
    if request.full or small or not table.rows:
        return Sample(None, table.rows)
    share = min(request.sample_rows / table.rows, request.scan_limit_bytes / max(table.bytes, 1), 1.0)
    return Sample(max(100 * share, 0.000001), max(1, int(table.rows * share)))
