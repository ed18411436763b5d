"""What a LOAD DATA did, without any of the values it did it to."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class LoadWarning:
    """A complaint of the server. `row` counts from 1 within the frame, None where the server does not say. No value is kept."""

    code: int
    row: int | None


@dataclass(frozen=True)
class LoadOutcome:
    """What LOAD DATA did. `rows` are in the table, `skipped` are not (a duplicate key, or the server read other rows than were
    sent), `warnings` counts values that the server changed to make them fit; listed in `warning_list`.

    LOAD DATA LOCAL never fails on a bad value: unless `clean`, roll back and split the frame.
    """

    rows: int
    skipped: int
    warnings: int
    warning_list: tuple[LoadWarning, ...] = ()

    @property
    def clean(self) -> bool:
        """Every row is there, and no value was changed."""
        return self.skipped == 0 and self.warnings == 0

    @property
    def suspects(self) -> tuple[int, ...]:
        """Rows (from 0) that the server named, ascending; there can be more bad rows than these."""
        return tuple(sorted({warning.row - 1 for warning in self.warning_list if warning.row}))


def row_of(text: str) -> int | None:
    """The row number in a server's warning; it stands where no value can be mistaken for it.

    >>> row_of("Data truncated for column 's' at row 12"), row_of("Row 7 doesn't contain data for all columns")
    (12, 7)
    >>> row_of("Duplicate entry 'at row 3' for key 'PRIMARY'")
    """
    found = re.search(r" at row (\d+)$|^Row (\d+) ", text)
    return int(found[1] or found[2]) if found else None
