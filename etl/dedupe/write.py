"""Writes a run's changes so that whoever reads sees the old registry or the new one, never half of each.

Few rows go in one transaction. Many would outgrow what a transaction may hold: they go into new tables beside the old ones, which
one RENAME exchanges (etl/dedupe/exchange.py). Either way the run's row in dedupe_run says how far it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

import polars as pl

from etl.dedupe.changes import EVENT_COLUMNS, LINEAGE_COLUMNS, LINK_COLUMNS, Changes, signed
from etl.dedupe.repoint import member_columns, repoint, retire_members
from etl.dedupe.result import WriteCounts
from etl.dedupe.runs import DedupeRecord, set_status
from etl.errors import RefusedError
from etl.load.sql import name_list, places, sql
from etl.mapping.model import Mapping
from etl.settings import Settings
from etl.target.bulk import BulkConnection

KEYS_A_STATEMENT: Final = 500
BATCH_ROWS: Final = 20_000


@dataclass(frozen=True)
class Registry:
    """Where it is written: schemas, and the table that holds members. Names of tables, so that new ones can stand in for them."""

    schema: str
    state_schema: str
    member_table: str
    crosswalk: str = "member_source"
    lineage: str = "golden_field"
    events: str = "merge_event"


def open_registry(settings: Settings, mapping: Mapping) -> Registry:
    """The registry of a mapping. Raises RefusedError for a mapping without members."""
    tables = {part.target for part in mapping.parts if part.defines_member is not None}
    if len(tables) != 1:
        raise RefusedError(
            f"The mapping {mapping.name} has {len(tables)} tables of members; deduplication needs exactly one.",
            'Give the parts that define members `members = "..."` in one file of the mapping; docs/mappings.md shows it.',
        )
    return Registry(settings.target.schema_name, settings.target.state_schema, tables.pop())


def write_in_one(
    connection: BulkConnection, registry: Registry, mapping: Mapping, record: DedupeRecord, changes: Changes, by_whom: str
) -> WriteCounts:
    """Everything in one transaction, with the run's end. Raises RefusedError when sums would not add up, ServerError."""
    with connection.transaction():
        touched = pl.concat([changes.members["member_id"], changes.retired["member_id"]]).unique().sort()
        before = sums_of(connection, registry, changes.sums, touched)
        repoint(connection, registry.schema, registry.crosswalk, "member_id", changes.retired)
        retire_members(connection, registry.schema, registry.member_table, changes.retired, changes.sums)
        delete_keys(connection, registry.schema, registry.crosswalk, ("source", "source_id"), changes.links)
        delete_keys(connection, registry.schema, registry.member_table, ("member_id",), changes.members)
        delete_keys(connection, registry.state_schema, registry.lineage, ("member_id",), changes.members)
        for table, schema, columns, frame in tables_of(
            registry, signed(changes, record.run_id, datetime.now(UTC).replace(tzinfo=None), by_whom), changes
        ):
            load_exact(connection, schema, table, columns, frame)
        require_sums(before, sums_of(connection, registry, changes.sums, touched), changes)
        moved = repoint_all(connection, registry, mapping, changes.retired)
        set_status(record, "done")
    return replace(changes.counts, repointed=moved)


def tables_of(
    registry: Registry, events: pl.DataFrame, changes: Changes
) -> Iterator[tuple[str, str, Sequence[str], pl.DataFrame]]:
    """(table, schema, columns, rows) of everything to be added."""
    yield registry.crosswalk, registry.schema, LINK_COLUMNS, changes.links
    yield registry.member_table, registry.schema, changes.members.columns, changes.members
    yield registry.lineage, registry.state_schema, LINEAGE_COLUMNS, changes.lineage
    yield registry.events, registry.state_schema, EVENT_COLUMNS, events


def load_exact(connection: BulkConnection, schema: str, table: str, columns: Sequence[str], frame: pl.DataFrame) -> None:
    """Load rows inside the caller's transaction. Raises RefusedError when the target would not take every one as it is."""
    for some in frame.iter_slices(BATCH_ROWS):
        outcome = connection.load_rows(table, list(columns), some, schema=schema)
        if not outcome.clean:
            codes = ", ".join(sorted({str(warning.code) for warning in outcome.warning_list})) or "none"
            raise RefusedError(
                f"{schema}.{table} does not take {outcome.warnings or outcome.skipped} rows as they are (codes: {codes}).",
                "Nothing was changed. See that the table is as `membershift schema status` wants it, and that no other program "
                "writes members meanwhile; then run this again.",
            )


def delete_keys(connection: BulkConnection, schema: str, table: str, key: tuple[str, ...], rows: pl.DataFrame) -> None:
    """Remove the rows of these keys, which new ones replace."""
    keys = rows.select(key).unique(maintain_order=True)
    for some in keys.iter_slices(KEYS_A_STATEMENT):
        one = places(1) if len(key) == 1 else f"({places(len(key))})"
        wanted = ", ".join([one] * some.height)
        left = name_list(key) if len(key) == 1 else f"({name_list(key)})"
        statement = sql(
            "DELETE FROM {schema}.{table} WHERE {left} IN ({wanted})",
            {"schema": schema, "table": table},
            left=left,
            wanted=wanted,
        )
        connection.execute(statement, [value for row in some.rows() for value in row])


def repoint_all(connection: BulkConnection, registry: Registry, mapping: Mapping, retired: pl.DataFrame) -> dict[str, int]:
    """Rows of all dependent tables follow their member, inside the caller's transaction; how many, by table."""
    moved: dict[str, int] = {}
    if retired.is_empty():
        return moved
    for table, column in member_columns(mapping):
        moved[table] = moved.get(table, 0) + repoint(connection, registry.schema, table, column, retired)
    return moved


def sums_of(
    connection: BulkConnection, registry: Registry, columns: tuple[str, ...], ids: pl.Series | None = None
) -> dict[str, object]:
    """Sum of each column over these members, or over all."""
    totals: dict[str, object] = dict.fromkeys(columns, 0)
    if not columns:
        return totals
    wanted = ", ".join(sql("COALESCE(SUM({column}), 0)", {"column": column}) for column in columns)
    names = {"schema": registry.schema, "table": registry.member_table}
    if ids is None:
        rows = connection.query(sql("SELECT {wanted} FROM {schema}.{table}", names, wanted=wanted))
        return dict(zip(columns, rows[0], strict=True))
    for some in ids.to_frame("id").iter_slices(KEYS_A_STATEMENT):
        statement = sql(
            "SELECT {wanted} FROM {schema}.{table} WHERE member_id IN ({ids})", names, wanted=wanted, ids=places(some.height)
        )
        (row,) = connection.query(statement, some["id"].to_list())
        totals = {column: totals[column] + value for column, value in zip(columns, row, strict=True)}
    return totals


def require_sums(before: dict[str, object], after: dict[str, object], changes: Changes) -> None:
    """Points and money are neither made nor lost: what was there and what new records brought is what is there now.

    Raises RefusedError.
    """
    for column, total in after.items():
        expected = before[column] + changes.brought[column]  # type: ignore[operator]  # whole numbers or decimals
        if total != expected:
            raise RefusedError(
                f"The sum of {column} would go from {expected} to {total}: the target's members are not as the stage has them.",
                "Nothing was changed. Stage and load the members anew until `membershift reconcile` finds no difference, "
                "then run this again.",
            )
