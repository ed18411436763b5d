"""One batch written in one transaction of the legacy server: rows, what they were numbered, what counters gained; then COMMIT."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import polars as pl

from etl.names import bracket
from etl.reconcile.plan import encode_keys
from etl.source.catalog import Column, Table
from etl.source.connect import Source
from etl.source.session import PlainSession
from etl.sync.model import KEY
from etl.sync.reverse import statements
from etl.sync.reverse.checked import differ
from etl.sync.reverse.compose import Batch, Composition, Written
from etl.sync.reverse.decide import Decision
from etl.sync.reverse.fits import text_limit
from etl.sync.reverse.inverse_times import to_local
from etl.sync.reverse.legacy_tables import add_returned, insert_entries
from etl.sync.reverse.model import ReverseContext
from etl.sync.reverse.statements import TEXT, Row

TRIGGERS: Final = "SELECT COUNT(*) FROM {database}.sys.triggers WHERE parent_id = OBJECT_ID(N'{table}') AND is_disabled = 0"


@dataclass
class WriteResult:
    """What was written. `inserted`: the encoded legacy key of each new row, by place and row of the batch."""

    updated: int = 0
    inserted: dict[tuple[int, int], str] = field(default_factory=dict)


@contextmanager
def transaction(source: Source, wait_ms: int) -> Iterator[PlainSession]:
    """A transaction on a connection of the pool; whatever is not committed by the end of the block is undone. With XACT_ABORT any
    error undoes all of it at once. Raises ServerError."""
    with source.plain_session() as session:
        session.execute(f"SET XACT_ABORT ON; SET LOCK_TIMEOUT {wait_ms}; BEGIN TRAN")
        yield session
        session.execute("IF @@TRANCOUNT > 0 ROLLBACK TRAN; SET XACT_ABORT OFF; SET LOCK_TIMEOUT -1")


def write_batch(
    session: PlainSession, context: ReverseContext, batch: Batch, made: Composition, decisions: Mapping[int, Decision]
) -> WriteResult:
    """Write everything of a batch that is well, and commit. When the connection is lost here nobody knows whether it is there;
    doing it again finds what is. Raises ServerError."""
    result = WriteResult()
    closing: list[str] = []
    for number, written in enumerate(made.written):
        table = context.plan.legacy(written.place.part)
        rows = [row for row, at in enumerate(written.place.at) if int(at) in decisions and int(at) not in made.dead]
        if written.place.new:
            insert(session, context, batch, table, number, written, rows, result, closing)
        else:
            updates, touched = update_statements(table, written, rows)
            result.updated += len(touched)
            if updates:
                session.execute("; ".join(updates))
        closing += counter_statements(made, decisions, number, written, rows, result)
    session.execute("; ".join([*closing, "COMMIT TRAN"]))
    return result


def update_statements(table: Table, written: Written, rows: Sequence[int]) -> tuple[list[str], list[int]]:
    """An UPDATE for each set of columns that some rows need, and these rows; rows that would not change are left alone."""
    place, frame, slots = written.place, written.frame, written.slots
    key = [table.by_name[name] for name in place.part.part.key]
    names = [name for name in slots.columns if place.inverse.slots[name].column not in key]
    changed = {name: slots[name] & differ(frame[name], place.frame[name]) for name in names if slots[name].any()}
    values = frame.to_dicts()
    groups: dict[tuple[str, ...], list[Row]] = {}
    touched: list[int] = []
    for row in rows:
        mine = tuple(name for name in changed if changed[name][row])
        if mine:
            groups.setdefault(mine, []).append(values[row])
            touched.append(row)
    made = [
        statements.update_rows(table, key, statements.columns_of(place.inverse.slots, mine), some)
        for mine, some in groups.items()
    ]
    return made, touched


def insert(
    session: PlainSession,
    context: ReverseContext,
    batch: Batch,
    table: Table,
    number: int,
    written: Written,
    rows: Sequence[int],
    result: WriteResult,
    closing: list[str],
) -> None:
    """Insert new rows; those that the server numbers are noted in the same transaction, members always."""
    if not rows:
        return
    place, part = written.place, written.place.part.part
    columns = statements.columns_of(place.inverse.slots, written.slots.columns)
    values = [written.frame.row(row, named=True) for row in rows]
    identity = next((column.name for column in table.columns if column.is_identity), None)
    keys = [] if identity in part.key else list(encode_keys(written.frame[list(rows)].select(part.key)))
    lacking = fillers(table, columns)
    if lacking:
        local = batch.rows[place.at].select(to_local(pl.col("updated_at"), place.inverse.zone)).to_series()
        for at, (row, value) in enumerate(zip(rows, values, strict=True)):
            value.update({column.name: filler(column, keys[at] if keys else "", local[row]) for column in lacking})
        columns = [*columns, *lacking]
    if identity in part.key and identity is not None:
        if table.name not in context.triggers:
            context.triggers[table.name] = has_triggers(session, table)
        keys = insert_numbered(session, table, identity, columns, values, triggers=context.triggers[table.name])
    else:
        session.execute(statements.insert_rows(table, columns, values))
    for row, key in zip(rows, keys, strict=True):
        result.inserted[number, int(place.at[row])] = key
    if identity in part.key or part.defines_member is not None:
        entries = {batch.rows[KEY][int(place.at[row])]: key for row, key in zip(rows, keys, strict=True)}
        closing.append(insert_entries(part.source.database, part.name, entries))


def insert_numbered(
    session: PlainSession, table: Table, identity: str, columns: Sequence[Column], values: Sequence[Row], *, triggers: bool
) -> list[str]:
    """Insert rows and learn their numbers, in the order of the rows."""
    if triggers:
        return [str(session.query(statements.insert_one(table, columns, row))[0][0]) for row in values]
    numbers = session.query(statements.insert_numbered(table, identity, columns, values))
    return [str(number) for number in sorted(int(row[0]) for row in numbers)]


def has_triggers(session: PlainSession, table: Table) -> bool:
    """Whether triggers of the table's own forbid OUTPUT."""
    name = table.name.quoted.replace("'", "''")
    (found,) = session.query(TRIGGERS.format(database=bracket(table.name.database), table=name))
    return bool(found[0])


def fillers(table: Table, columns: Sequence[Column]) -> list[Column]:
    """Columns that must have a value, that the mapping does not know, and that the server does not fill by itself."""
    given = {column.name for column in columns}
    return [
        column
        for column in table.columns
        if not column.nullable
        and column.default is None
        and column.name not in given
        and not (column.is_identity or column.is_computed or column.is_rowversion)
    ]


def filler(column: Column, key: str, moment: datetime) -> Any:
    """The plainest value of a type: text is the row's key where that fits (it may have to be unique), a time is that of the row's
    last change."""
    match column.type_name:
        case name if name in TEXT:
            limit = text_limit(column)
            return key if limit is None or len(key) <= limit else ""
        case "datetime" | "smalldatetime" | "datetime2" | "datetimeoffset":
            return moment.replace(microsecond=moment.microsecond // 10_000 * 10_000)
        case "date":
            return moment.date()
        case "time":
            return moment.time()
        case "uniqueidentifier":
            return str(uuid.uuid4())
        case "binary" | "varbinary" | "image":
            return b""
        case _:
            return 0


def counter_statements(
    made: Composition,
    decisions: Mapping[int, Decision],
    number: int,
    written: Written,
    rows: Sequence[int],
    result: WriteResult,
) -> list[str]:
    """What the counters of one place were given, noted by legacy row."""
    place, part = written.place, written.place.part.part
    keys = encode_keys(written.frame.select(part.key)) if not place.new else None
    gained: dict[str, list[tuple[str, Decimal]]] = {}
    for column, takers in made.takers[number].items():
        for row in rows:
            at = int(place.at[row])
            gain = decisions[at].gains.get(column)
            if gain and row in takers:
                key = result.inserted[number, at] if keys is None else keys[row]
                gained.setdefault(column, []).append((key, gain))
    return [
        statement for column, some in gained.items() for statement in add_returned(part.source.database, part.name, column, some)
    ]
