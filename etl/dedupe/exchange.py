"""Exchanges the registry's tables for new ones in one statement: a change of any size, of which nobody sees a half.

New tables are made like the old ones and filled in batches; what does not change is copied. RENAME TABLE of several tables is one
change of the catalog, on TiDB as on MariaDB. Then, and only then, the new tables count. Rows of dependent tables follow in
batches of their own. A run that is killed leaves one of two states, told apart by which tables there are:

- new tables, but none set aside: the old registry counts; the same command drops the new tables and fills them again;
- tables set aside: the new registry counts; the same command goes on with the dependent tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

import polars as pl

from etl.dedupe.changes import Changes, signed
from etl.dedupe.repoint import member_columns, repoint, retire_members
from etl.dedupe.result import RETIRED_SCHEMA, WriteCounts
from etl.dedupe.runs import DedupeRecord, set_status
from etl.dedupe.write import BATCH_ROWS, Registry, load_exact, require_sums, sums_of, tables_of
from etl.load.batch import begin, commit
from etl.load.sql import sql
from etl.mapping.model import Mapping
from etl.progress import Progress
from etl.settings import Settings
from etl.target.bulk import BulkConnection
from etl.target.connect import connect_bulk

NEW: Final = "__new"
OLD: Final = "__old"
COPY_ROWS: Final = 20_000
MOVE_IDS: Final = 2_000
TASK: Final = "write members"
RETIRED: Final = """SELECT from_member_id, MAX(member_id) FROM {state}.merge_event
WHERE run_id = %s AND kind = 'retire' GROUP BY from_member_id"""


def write_in_new_tables(
    settings: Settings,
    connection: BulkConnection,
    registry: Registry,
    mapping: Mapping,
    record: DedupeRecord,
    changes: Changes,
    by_whom: str,
    progress: Progress,
) -> WriteCounts:
    """Fill new tables, exchange them, lead dependent rows on. Raises RefusedError before the exchange, ServerError."""
    progress.start(TASK, changes.rows)
    mark(record, "writing")
    drop_tables(connection, registry, NEW)
    create_new_tables(connection, registry)
    fill_new_tables(settings, connection, registry, record, changes, by_whom, progress)
    check_new_sums(connection, registry, changes)
    exchange(connection, registry)
    moved = complete(connection, registry, mapping, record)
    progress.finish(TASK)
    return replace(changes.counts, repointed=moved)


def complete(connection: BulkConnection, registry: Registry, mapping: Mapping, record: DedupeRecord) -> dict[str, int]:
    """What follows the exchange, by this run or by the one that finds it undone: dependent rows, and the end of the run."""
    mark(record, "moving")
    moved = move_dependents(connection, registry, mapping, record.run_id)
    drop_tables(connection, registry, OLD)
    mark(record, "done")
    return moved


def is_exchanged(connection: BulkConnection, registry: Registry) -> bool:
    """Whether tables were set aside by an exchange that nobody completed."""
    return bool(
        connection.query(
            "SELECT 1 FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s",
            (registry.schema, registry.crosswalk + OLD),
        )
    )


def mark(record: DedupeRecord, status: str) -> None:
    """Say how far the run is, in a transaction of its own."""
    with record.connection.transaction():
        set_status(record, "moving" if status == "moving" else "done" if status == "done" else "writing")


def places_of(registry: Registry) -> tuple[tuple[str, str], ...]:
    """(schema, table) of everything that is exchanged."""
    return (
        (registry.schema, registry.crosswalk),
        (registry.schema, registry.member_table),
        (registry.state_schema, registry.lineage),
        (registry.state_schema, registry.events),
    )


def renewed(registry: Registry) -> Registry:
    """The new tables in place of the old ones."""
    return replace(
        registry,
        crosswalk=registry.crosswalk + NEW,
        member_table=registry.member_table + NEW,
        lineage=registry.lineage + NEW,
        events=registry.events + NEW,
    )


def drop_tables(connection: BulkConnection, registry: Registry, ending: str) -> None:
    """Drop what an exchange left, or one that did not come to it."""
    for schema, table in places_of(registry):
        connection.execute(sql("DROP TABLE IF EXISTS {schema}.{table}", {"schema": schema, "table": table + ending}))


def create_new_tables(connection: BulkConnection, registry: Registry) -> None:
    """Tables like the old ones, with their keys and indexes."""
    for schema, table in places_of(registry):
        names = {"schema": schema, "new": table + NEW, "table": table}
        connection.execute(sql("CREATE TABLE {schema}.{new} LIKE {schema}.{table}", names))


def fill_new_tables(
    settings: Settings,
    connection: BulkConnection,
    registry: Registry,
    record: DedupeRecord,
    changes: Changes,
    by_whom: str,
    progress: Progress,
) -> None:
    """Events are copied before new ones are numbered; elsewhere new rows come first, and copies make way for them."""
    new = renewed(registry)
    copy_rows(connection, registry.state_schema, registry.events, "event_id")
    events = signed(changes, record.run_id, datetime.now(UTC).replace(tzinfo=None), by_whom)
    work = [
        (schema, table, columns, some)
        for table, schema, columns, frame in tables_of(new, events, changes)
        for some in frame.iter_slices(BATCH_ROWS)
    ]
    load_side_by_side(settings, work, progress)
    kept = changes.members["member_id"]
    copy_rows(
        connection, registry.state_schema, registry.lineage, "member_id", but=(registry.schema, new.member_table), any_of=kept
    )
    copy_rows(connection, registry.schema, registry.member_table, "member_id")
    copy_crosswalk(connection, registry)
    with connection.transaction():
        retire_members(connection, registry.schema, new.member_table, changes.retired, changes.sums)
        repoint(connection, registry.schema, new.crosswalk, "member_id", changes.retired)


def load_side_by_side(
    settings: Settings, work: Sequence[tuple[str, str, Sequence[str], pl.DataFrame]], progress: Progress
) -> None:
    """Load pieces through as many connections as a load has. The first failure is raised when all have stopped."""
    lanes = min(settings.load.connections, max(len(work), 1))

    def run(lane: int) -> None:
        with connect_bulk(settings.target) as connection:
            for schema, table, columns, frame in work[lane::lanes]:
                load_one(connection, schema, table, columns, frame)
                progress.advance(TASK, frame.height)

    with ThreadPoolExecutor(lanes) as pool:
        list(pool.map(run, range(lanes)))


def load_one(connection: BulkConnection, schema: str, table: str, columns: Sequence[str], frame: pl.DataFrame) -> None:
    """Load a piece in a transaction of its own, which on TiDB need not lock its rows: nobody else knows the new tables."""
    begin(connection)
    try:
        load_exact(connection, schema, table, columns, frame)
        commit(connection)
    except BaseException:
        connection.rollback()
        raise


def copy_rows(
    connection: BulkConnection,
    schema: str,
    table: str,
    key: str,
    but: tuple[str, str] | None = None,
    any_of: pl.Series | None = None,
) -> None:
    """Copy a table's rows into its new one, a range of `key` (a whole number) at a time, but for keys that are there already.

    `but`: a table with member_ids of which no row is copied; asked only where `any_of` is not empty.
    """
    names = {"schema": schema, "table": table, "new": table + NEW, "key": key}
    condition = ""
    if but is not None and any_of is not None and not any_of.is_empty():
        condition = sql(
            " AND NOT EXISTS (SELECT 1 FROM {schema}.{table} n WHERE n.member_id = o.member_id)",
            {"schema": but[0], "table": but[1]},
        )

    def copy(low: object, high: object) -> None:
        statement = (
            "INSERT IGNORE INTO {schema}.{new} SELECT o.* FROM {schema}.{table} o WHERE o.{key} > %s AND o.{key} <= %s{condition}"
        )
        connection.execute(sql(statement, names, condition=condition), (low, high))

    next_key = sql("SELECT {key} FROM {schema}.{table} WHERE {key} > %s ORDER BY {key} LIMIT 1 OFFSET %s", names)
    last_key = sql("SELECT MAX({key}) FROM {schema}.{table}", names)
    in_ranges(connection, next_key, last_key, (), -(2**62), copy)


def copy_crosswalk(connection: BulkConnection, registry: Registry) -> None:
    """Copy the entries that do not change, a system and a range of its ids at a time."""
    names = {"schema": registry.schema, "table": registry.crosswalk, "new": registry.crosswalk + NEW}
    for (system,) in connection.query(sql("SELECT DISTINCT source FROM {schema}.{table}", names)):

        def copy(low: object, high: object, system: object = system) -> None:
            statement = (
                "INSERT IGNORE INTO {schema}.{new} SELECT o.* FROM {schema}.{table} o"
                " WHERE o.source = %s AND o.source_id > %s AND o.source_id <= %s"
            )
            connection.execute(sql(statement, names), (system, low, high))

        next_key = sql(
            "SELECT source_id FROM {schema}.{table} WHERE source = %s AND source_id > %s ORDER BY source_id LIMIT 1 OFFSET %s",
            names,
        )
        last_key = sql("SELECT MAX(source_id) FROM {schema}.{table} WHERE source = %s", names)
        in_ranges(connection, next_key, last_key, (system,), "", copy)


def in_ranges(
    connection: BulkConnection,
    next_key: str,
    last_key: str,
    fixed: tuple[object, ...],
    low: object,
    copy: Callable[[object, object], None],
) -> None:
    """Call `copy` with the bounds of one range of COPY_ROWS keys after another, each a transaction of its own."""
    last = connection.scalar(last_key, fixed)
    while last is not None and low != last:
        high = connection.scalar(next_key, (*fixed, low, COPY_ROWS - 1))
        high = last if high is None else high
        with connection.transaction():
            copy(low, high)
        low = high


def check_new_sums(connection: BulkConnection, registry: Registry, changes: Changes) -> None:
    """Points and money of the new tables against the old ones. Raises RefusedError."""
    before = sums_of(connection, registry, changes.sums)
    require_sums(before, sums_of(connection, renewed(registry), changes.sums), changes)


def exchange(connection: BulkConnection, registry: Registry) -> None:
    """The instant at which the new registry counts."""
    connection.execute(exchange_statement(registry))


def exchange_statement(registry: Registry) -> str:
    """RENAME TABLE of all at once.

    >>> exchange_statement(Registry("m", "s", "member"))[:99]
    'RENAME TABLE `m`.`member_source` TO `m`.`member_source__old`, `m`.`member_source__new` TO `m`.`memb'
    """
    steps = [
        sql(
            "{schema}.{table} TO {schema}.{old}, {schema}.{new} TO {schema}.{table}",
            {"schema": schema, "table": table, "old": table + OLD, "new": table + NEW},
        )
        for schema, table in places_of(registry)
    ]
    return "RENAME TABLE " + ", ".join(steps)


def move_dependents(connection: BulkConnection, registry: Registry, mapping: Mapping, run_id: int) -> dict[str, int]:
    """Rows of dependent tables follow the members that the run retired, some members a transaction. Safe to repeat."""
    rows = connection.query(sql(RETIRED, {"state": registry.state_schema}), (run_id,))
    retired = pl.DataFrame([(int(member), int(survivor)) for member, survivor in rows], schema=RETIRED_SCHEMA, orient="row")
    moved: dict[str, int] = {}
    for table, column in member_columns(mapping) if not retired.is_empty() else ():
        for some in in_pieces(retired):
            with connection.transaction():
                moved[table] = moved.get(table, 0) + repoint(connection, registry.schema, table, column, some)
    return moved


def in_pieces(retired: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Members whose rows move together."""
    return retired.sort("member_id").iter_slices(MOVE_IDS)
