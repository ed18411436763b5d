"""From a comparison to what is told of it: every difference with its key, its legacy row and masked values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

import polars as pl

from etl.reconcile.copies import original_key
from etl.reconcile.describe import describe_changes, key_text
from etl.reconcile.differences import ColumnChange, Difference, Kind, TableResult
from etl.reconcile.findings import Rows
from etl.reconcile.merged import is_golden
from etl.reconcile.plan import PART, SOURCE, TablePlan
from etl.reconcile.quarantine import key_texts
from etl.reconcile.rows import Comparison

CROSSWALK: Final = "member_source"
NOT_PUT_ASIDE: Final = "The mapping refuses it, and it is not in quarantine"
GOLDEN: Final = "One member of several legacy rows"
NO_MEMBER_ID: Final = "The crosswalk knows no member for it"
FROM_TWO_ROWS: Final = "Two legacy rows make this one row"
TWICE_ON_TARGET: Final = "The target holds its values twice"


@dataclass(frozen=True)
class Examined:
    """A comparison with what was found out about it: `copies` are extra rows that copy another, `extra_entries` crosswalk entries
    by system that no legacy row stands behind, `entries` the number of entries by system, `gone` what the second look missed,
    `imported_entries` how many entries came from files."""

    comparison: Comparison
    copies: pl.DataFrame
    extra_entries: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    entries: Mapping[str, int] = field(default_factory=dict)
    gone: int = 0
    imported_entries: int = 0


def describe_table(examined: Examined, listed: int) -> TableResult:
    """The result of one table, with its first `listed` differences."""
    comparison = examined.comparison
    findings, tally = comparison.findings, comparison.tally
    counts = {
        Kind.MISSING: findings.missing.count + tally.refused.count,
        Kind.EXTRA: findings.extra.count,
        Kind.CHANGED: findings.changed_expected.count,
        Kind.DUPLICATED: findings.duplicated_expected.count + findings.duplicated_actual.count + examined.copies.height,
    }
    return TableResult(
        table=comparison.plan.target,
        source_rows=tally.source_rows,
        expected_rows=tally.expected_rows,
        target_rows=tally.target_rows,
        equal_rows=comparison.equal_rows,
        in_quarantine=tally.in_quarantine,
        imported=findings.imported,
        merged=max(0, tally.set_aside - tally.golden),
        counts={kind: number for kind, number in counts.items() if number},
        differences=tuple(islice(differences_of(examined), listed)),
        gone=examined.gone,
        uncompared_columns=comparison.plan.left_out,
        seconds=comparison.seconds,
        spilled_bytes=comparison.spilled_bytes,
    )


def differences_of(examined: Examined) -> Iterator[Difference]:
    """Every difference that was kept, kind by kind."""
    plan, findings = examined.comparison.plan, examined.comparison.findings
    for expected, actual in zip(rows_of(findings.changed_expected), rows_of(findings.changed_actual), strict=True):
        columns = describe_changes(expected, actual, plan.compared, plan.personal)
        yield difference(plan, Kind.CHANGED, expected, columns=columns)
    for row in rows_of(findings.missing):
        unknown = any(isinstance(row[name], int) and row[name] < 0 for name in plan.key) and plan.defines_members
        yield difference(plan, Kind.MISSING, row, note=NO_MEMBER_ID if unknown else "")
    for row in rows_of(examined.comparison.tally.refused):
        part = plan.parts[row[PART]]
        note = f"{NOT_PUT_ASIDE}: {row['reason']}"
        yield Difference(plan.target, Kind.MISSING, "", part.part.name, row["source_key"], note=note)
    for row in rows_of(findings.extra):
        yield difference(plan, Kind.EXTRA, row)
    for row in rows_of(findings.duplicated_expected):
        yield difference(plan, Kind.DUPLICATED, row, note=FROM_TWO_ROWS)
    for row in rows_of(findings.duplicated_actual):
        yield difference(plan, Kind.DUPLICATED, row, note=TWICE_ON_TARGET)
    for row in examined.copies.iter_rows(named=True):
        also = key_text(original_key(plan, row), plan.personal)
        yield difference(plan, Kind.DUPLICATED, row, also=also, note=TWICE_ON_TARGET)


def rows_of(rows: Rows) -> Iterator[dict[str, Any]]:
    """Kept rows as dictionaries."""
    return rows.frame.iter_rows(named=True)


def difference(
    plan: TablePlan,
    kind: Kind,
    row: Mapping[str, object],
    *,
    columns: tuple[ColumnChange, ...] = (),
    also: str = "",
    note: str = "",
) -> Difference:
    """One difference of a row that has the table's columns, and PART and SOURCE when it comes from the source."""
    part, source_key = "", ""
    number, encoded = row.get(PART), row.get(SOURCE)
    if isinstance(number, int):
        part = plan.parts[number].part.name
        source_key = str(key_texts(plan.parts[number], pl.Series([encoded], dtype=pl.String))[0])
    note = GOLDEN if is_golden(row) and not note else note
    key = "" if note == NO_MEMBER_ID else key_text({name: row[name] for name in plan.key}, plan.personal)
    return Difference(plan.target, kind, key, part, source_key, columns, also, note)


def describe_crosswalk(examined: Examined, listed: int) -> TableResult | None:
    """The crosswalk's own result, from the comparison of the table that defines members; None for any other table."""
    comparison = examined.comparison
    if not comparison.plan.defines_members:
        return None
    missing = [link for link in comparison.wrong_links if link.found is None]
    wrong = [link for link in comparison.wrong_links if link.found is not None]
    extra = sum(frame.height for frame in examined.extra_entries.values())
    present, entries = sum(comparison.tally.links_present.values()), sum(examined.entries.values())
    counts = {Kind.MISSING: len(missing), Kind.MERGED_WRONGLY: len(wrong), Kind.EXTRA: extra}
    return TableResult(
        table=CROSSWALK,
        source_rows=comparison.tally.source_rows,
        expected_rows=present + len(missing),
        target_rows=entries,
        equal_rows=present - len(wrong),
        in_quarantine=0,
        imported=examined.imported_entries,
        counts={kind: number for kind, number in counts.items() if number},
        differences=tuple(islice(crosswalk_differences(examined), listed)),
        uncompared_columns=("valid_from", "valid_to", "linked_by", "updated_at", "synced_at"),
    )


def crosswalk_differences(examined: Examined) -> Iterator[Difference]:
    """Entries that lead elsewhere or are missing, and entries that nothing stands behind."""
    for link in examined.comparison.wrong_links:
        yield Difference(
            CROSSWALK,
            Kind.MISSING if link.found is None else Kind.MERGED_WRONGLY,
            f"source={link.system}, source_id={link.source_id}",
            link.part.part.name,
            str(key_texts(link.part, pl.Series([link.encoded_key], dtype=pl.String))[0]),
            (ColumnChange("member_id", show_id(link.right), show_id(link.found), "other member"),),
            also=f"member_id={link.found}" if link.found is not None else "",
        )
    for system, entries in examined.extra_entries.items():
        for source_id, member_id in entries.iter_rows():
            yield Difference(CROSSWALK, Kind.EXTRA, f"source={system}, source_id={source_id}", also=f"member_id={member_id}")


def show_id(member_id: int | None) -> str:
    """A member id, NULL when there is none."""
    return "NULL" if member_id is None else str(member_id)
