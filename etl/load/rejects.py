"""The quarantine, membershift.reject: which rows are not on the target, why, and since when they are settled.

One line for each reason of a row. Values are masked before they come here. A line whose row is loaded is settled, never deleted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Final

import polars as pl

from etl.load.sql import places, sql
from etl.target.bulk import BulkConnection
from etl.target.columns import text_of

LINES_PER_STATEMENT: Final = 500
INSERT_REJECTS: Final = """\
INSERT INTO {state}.reject (run_id, mapping_part, source_table, source_key, target_table, column_name, reason, masked_value,
    detail, rejected_at, settled_at)
VALUES {lines}
ON DUPLICATE KEY UPDATE run_id = VALUES(run_id), masked_value = VALUES(masked_value), detail = VALUES(detail),
    rejected_at = VALUES(rejected_at), settled_at = VALUES(settled_at)"""
LIMITS: Final = {"source_key": 400, "column_name": 64, "reason": 40, "masked_value": 200, "detail": 400}


@dataclass(frozen=True)
class Reject:
    """One line of the quarantine."""

    reject_id: int
    mapping_part: str
    source_table: str
    source_key: str
    target_table: str
    column_name: str
    reason: str
    masked_value: str
    detail: str
    rejected_at: datetime
    settled_at: datetime | None


@dataclass(frozen=True)
class RejectFilter:
    """Which lines to show: of these target tables or mapping parts. `settled`: also those whose row is loaded by now."""

    tables: tuple[str, ...] = ()
    reason: str | None = None
    settled: bool = False
    limit: int | None = None


def write_rejects(
    connection: BulkConnection,
    state_schema: str,
    findings: pl.DataFrame,
    *,
    part: str,
    source: str,
    target: str,
    run_id: int,
    settled: bool = False,
) -> None:
    """Put `findings` (FINDING_SCHEMA) into the quarantine, inside the caller's transaction. The same finding again is one line.

    `settled`: the row is loaded; what is noted is a value that was replaced.
    """
    at = "UTC_TIMESTAMP(6)"
    one = f"(%s, %s, %s, %s, %s, %s, %s, %s, %s, {at}, {at if settled else 'NULL'})"
    for lines in findings.iter_slices(LINES_PER_STATEMENT):
        values: list[object] = []
        for line in lines.select(cut_to_limits()).iter_rows(named=True):
            values += [run_id, part, source, line["source_key"], target, line["column_name"], line["reason"]]
            values += [line["masked_value"], line["detail"]]
        connection.execute(
            sql(INSERT_REJECTS, {"state": state_schema}, lines=", ".join([one] * lines.height)),
            tuple(values),
        )


def cut_to_limits() -> list[pl.Expr]:
    """Findings cut to what the table can hold; a missing column or key is the empty text, since NULLs are never duplicates."""
    return [pl.col(name).fill_null("").str.slice(0, limit).alias(name) for name, limit in LIMITS.items()]


def open_keys(connection: BulkConnection, state_schema: str, part: str) -> frozenset[str]:
    """Source keys of a part that wait in quarantine."""
    rows = connection.query(
        sql(
            "SELECT DISTINCT source_key FROM {state}.reject WHERE mapping_part = %s AND settled_at IS NULL",
            {"state": state_schema},
        ),
        (part,),
    )
    return frozenset(text_of(row[0]) for row in rows)


def settle(connection: BulkConnection, state_schema: str, part: str, keys: Sequence[str]) -> None:
    """The rows of these source keys are loaded now. Inside the caller's transaction."""
    for first in range(0, len(keys), LINES_PER_STATEMENT):
        some = [key[: LIMITS["source_key"]] for key in keys[first : first + LINES_PER_STATEMENT]]
        connection.execute(
            sql(
                "UPDATE {state}.reject SET settled_at = UTC_TIMESTAMP(6) "
                "WHERE mapping_part = %s AND settled_at IS NULL AND source_key IN ({keys})",
                {"state": state_schema},
                keys=places(len(some)),
            ),
            (part, *some),
        )


def read_rejects(connection: BulkConnection, state_schema: str, wanted: RejectFilter) -> tuple[Reject, ...]:
    """Lines of the quarantine, by part and then as they came."""
    where, values = conditions(wanted)
    limit = "" if wanted.limit is None else f" LIMIT {int(wanted.limit)}"
    rows = connection.query(
        sql(
            "SELECT reject_id, mapping_part, source_table, source_key, target_table, column_name, reason, masked_value, detail, "
            "rejected_at, settled_at FROM {state}.reject{where} ORDER BY mapping_part, reject_id{limit}",
            {"state": state_schema},
            where=where,
            limit=limit,
        ),
        values,
    )
    names = [field.name for field in fields(Reject)]
    return tuple(
        Reject(**dict(zip(names, (row[0], *(text_of(value) for value in row[1:9]), row[9], row[10]), strict=True)))
        for row in rows
    )


def count_rejects(connection: BulkConnection, state_schema: str, wanted: RejectFilter) -> dict[tuple[str, str, str], int]:
    """Lines by (part, column, reason), most first."""
    where, values = conditions(wanted)
    rows = connection.query(
        sql(
            "SELECT mapping_part, column_name, reason, COUNT(*) FROM {state}.reject{where} "
            "GROUP BY mapping_part, column_name, reason ORDER BY 4 DESC, 1, 2, 3",
            {"state": state_schema},
            where=where,
        ),
        values,
    )
    return {(text_of(row[0]), text_of(row[1]), text_of(row[2])): int(row[3]) for row in rows}


def conditions(wanted: RejectFilter) -> tuple[str, tuple[object, ...]]:
    """WHERE clause of a filter, and its values.

    >>> conditions(RejectFilter(tables=("sale",)))
    (' WHERE settled_at IS NULL AND (mapping_part IN (%s) OR target_table IN (%s))', ('sale', 'sale'))
    """
    parts: list[str] = []
    values: list[object] = []
    if not wanted.settled:
        parts.append("settled_at IS NULL")
    if wanted.tables:
        listed = places(len(wanted.tables))
        parts.append(f"(mapping_part IN ({listed}) OR target_table IN ({listed}))")
        values += wanted.tables * 2
    if wanted.reason is not None:
        parts.append("reason = %s")
        values.append(wanted.reason)
    return (f" WHERE {' AND '.join(parts)}" if parts else "", tuple(values))
