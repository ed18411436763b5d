"""What a comparison finds, as data: values are masked where they are made, so that nothing downstream can tell them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Kind(StrEnum):
    """In what way a row differs.

    `missing`: the source has it, the target does not. `extra`: the other way round. `changed`: both have it, with other values.
    `duplicated`: it is there more than once. `merged_wrongly`: the crosswalk sends a legacy id to another member than the row
    that carries its data, or to none.
    """

    MISSING = "missing"
    EXTRA = "extra"
    CHANGED = "changed"
    DUPLICATED = "duplicated"
    MERGED_WRONGLY = "merged_wrongly"


@dataclass(frozen=True)
class ColumnChange:
    """One column of a changed row. Values are masked by the column's personal mark; `how` says what kind of change it is
    ("only upper and lower case", "spaces at the end"), which masking would hide, `by` how far amounts and times are apart."""

    column: str
    expected: str
    actual: str
    how: str
    by: str = ""


@dataclass(frozen=True)
class Difference:
    """One row that differs. `key` is the target's, written "column=value, ..."; `part` and `source_key` name the legacy row,
    empty for an extra row. `also` is the key of the other row of a duplicate or a wrong merge."""

    table: str
    kind: Kind
    key: str
    part: str = ""
    source_key: str = ""
    columns: tuple[ColumnChange, ...] = ()
    also: str = ""
    note: str = ""


@dataclass(frozen=True)
class TableResult:
    """Comparison of one target table.

    `source_rows` counts rows read from the source, `expected_rows` those the mapping makes target rows of, `target_rows` those
    of the target, `equal_rows` the pairs that agree. `in_quarantine`: source rows that are rightly not on the target, since
    load put them in membershift.reject. `merged`: source rows that are one member with another, which `expected_rows` counts
    once. `imported`: target rows that came from files, with no legacy row to be compared with.
    `counts` is exact; `differences` lists the first of them. `gone` counts differences that the second look no longer saw.
    `spilled_bytes` went through the disk because both servers' orders of keys differ.
    """

    table: str
    source_rows: int
    expected_rows: int
    target_rows: int
    equal_rows: int
    in_quarantine: int
    counts: Mapping[Kind, int]
    differences: tuple[Difference, ...]
    gone: int = 0
    uncompared_columns: tuple[str, ...] = ()
    seconds: float = 0.0
    spilled_bytes: int = 0
    imported: int = 0
    merged: int = 0

    @property
    def differing(self) -> int:
        """How many rows differ."""
        return sum(self.counts.values())


@dataclass(frozen=True)
class ReconcileResult:
    """Comparison of all tables asked for. `target_instant` is when the target was read (UTC), `note` what is less exact than it
    should be. `total_differences` counts the rows that differ in all tables, `in_quarantine` those put aside by load,
    `imported` those that came from files and are not compared. `unrecorded_files` were imported with their record elsewhere:
    their rows are extra. `merged` counts source rows that are one member with another."""

    tables: tuple[TableResult, ...]
    target_instant: datetime
    note: str
    total_differences: int
    in_quarantine: int
    sampled: float | None = None
    imported: int = 0
    unrecorded_files: int = 0
    merged: int = 0


def summarise(
    tables: tuple[TableResult, ...],
    target_instant: datetime,
    note: str,
    sampled: float | None = None,
    unrecorded_files: int = 0,
) -> ReconcileResult:
    """All tables together."""
    return ReconcileResult(
        tables=tables,
        target_instant=target_instant,
        note=note,
        total_differences=sum(table.differing for table in tables),
        in_quarantine=sum(table.in_quarantine for table in tables),
        sampled=sampled,
        imported=sum(table.imported for table in tables),
        unrecorded_files=unrecorded_files,
        merged=sum(table.merged for table in tables),
    )
