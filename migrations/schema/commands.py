"""schema up, down, status and sql: what the command line calls, and what tests and benchmarks set a target up with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from sqlalchemy import Connection, Engine, text

from etl.errors import RefusedError, UsageError
from etl.names import backtick
from etl.settings import TargetSettings
from etl.target.capabilities import read_capabilities
from etl.target.connect import connect_bulk, open_target
from migrations.schema import revisions
from migrations.schema.drift import Drift, find_drift, read_live
from migrations.schema.names import SchemaNames, schema_names
from migrations.schema.tables import TABLES


@dataclass(frozen=True)
class TableRows:
    """A table and how many rows it has, counted; None when the table is not there."""

    schema: str
    table: str
    rows: int | None


@dataclass(frozen=True)
class SchemaChange:
    """What `up` or `down` did, or would do when `executed` is False. Revisions are None for "nothing there"."""

    direction: str
    before: str | None
    after: str | None
    revisions: tuple[str, ...]
    executed: bool
    sql: str
    dropped_tables: tuple[TableRows, ...] = ()

    @property
    def rows_lost(self) -> int:
        """Rows in the tables that `down` drops."""
        return sum(table.rows or 0 for table in self.dropped_tables)


@dataclass(frozen=True)
class SchemaStatus:
    """Where the target stands. `drift`: what somebody changed by hand since."""

    server: str
    business_schema: str
    state_schema: str
    revision: str | None
    head: str
    pending: tuple[str, ...]
    tables: tuple[TableRows, ...]
    drift: tuple[Drift, ...]


def schema_plan(target: TargetSettings, revision: str = "head") -> SchemaChange:
    """What `schema_up` would do, with its SQL. Changes nothing. Raises ServerError, UsageError."""
    names = schema_names(target)
    with open_target(target) as engine:
        return plan_up(engine, names, revision)


def schema_up(target: TargetSettings, revision: str = "head") -> SchemaChange:
    """Bring both schemas up to `revision`, creating them first; nothing happens when they are there already. Safe to repeat.

    Raises ServerError, UsageError for an unknown revision, RefusedError when another change is under way.
    """
    names = schema_names(target)
    with open_target(target) as engine:
        plan = plan_up(engine, names, revision)
        if plan.revisions:
            with exclusive_connection(engine, names) as connection:
                create_missing_schemas(connection, names)
                revisions.migrate(connection, names, plan.after, up=True)
        return replace(plan, executed=True)


def schema_down(target: TargetSettings, revision: str, *, execute: bool = False, i_know: bool = False) -> SchemaChange:
    """Go back to `revision` ("base" drops every table of ours). Without `execute` only say what would go.

    Raises RefusedError when a table with rows would be dropped and `i_know` is not given; ServerError, UsageError.
    """
    names = schema_names(target)
    with open_target(target) as engine:
        plan = plan_down(engine, names, revision)
        if not execute or not plan.revisions:
            return plan
        refuse_to_lose_rows(plan, i_know=i_know)
        with exclusive_connection(engine, names) as connection:
            revisions.migrate(connection, names, plan.after, up=False)
        return replace(plan, executed=True)


def indexes_up(target: TargetSettings) -> SchemaChange:
    """Build the secondary indexes, and whatever later revisions add: what follows a load."""
    return schema_up(target)


def schema_sql(target: TargetSettings, span: str = "base:head") -> str:
    """The SQL from one revision to another ("base:head", "tables:indexes", "head:base"), connecting to nothing.

    It keeps Alembic's version table right, so that `schema status` agrees with what was applied by hand. Raises UsageError.
    """
    names = schema_names(target)
    start, colon, end = span.partition(":")
    if not colon:
        raise UsageError(f"{span!r} is not a span of revisions.", "Write it as from:to, such as base:head or tables:indexes.")
    return revisions.offline_sql(names, revisions.resolve(names, start or "base"), revisions.resolve(names, end or "head"))


def schema_status(target: TargetSettings) -> SchemaStatus:
    """Where the target stands: revision, what is pending, rows by table, drift. Raises ServerError, UsageError."""
    names = schema_names(target)
    with open_target(target) as engine:
        revision = revisions.current_revision(engine, names)
    with connect_bulk(target, "") as connection:
        live = read_live(connection, names)
        steps = revisions.between(names, None, revision)
        indexes = {table: columns for step in steps for table, columns in getattr(step.module, "INDEXES", {}).items()}
        return SchemaStatus(
            server=read_capabilities(connection).name,
            business_schema=names.business,
            state_schema=names.state,
            revision=revision,
            head=revisions.ordered(names)[-1].revision,
            pending=tuple(step.revision for step in revisions.between(names, revision, revisions.resolve(names, "head"))),
            tables=tuple(
                TableRows(schema, table, count_rows(connection.scalar, schema, table) if (schema, table) in live else None)
                for schema, table in ((names.of(model.role), model.name) for model in TABLES)
            ),
            drift=find_drift(live, names, indexes, frozenset(revisions.created_tables(steps))),
        )


def plan_up(engine: Engine, names: SchemaNames, revision: str) -> SchemaChange:
    """The way from where the target stands to a later revision."""
    before, after = revisions.current_revision(engine, names), revisions.resolve(names, revision)
    steps = revisions.between(names, before, after)
    sql = revisions.offline_sql(names, before, after) if steps else ""
    return SchemaChange("up", before, after if steps else before, tuple(step.revision for step in steps), False, sql)


def plan_down(engine: Engine, names: SchemaNames, revision: str) -> SchemaChange:
    """The way from where the target stands back to an earlier revision, with the rows that it costs."""
    before, after = revisions.current_revision(engine, names), revisions.resolve(names, revision)
    steps = revisions.between(names, after, before)
    sql = revisions.offline_sql(names, before, after) if steps else ""
    dropped = count_tables(engine, [(names.of(role), table) for role, table in revisions.created_tables(steps)])
    done = tuple(step.revision for step in reversed(steps))
    return SchemaChange("down", before, after if steps else before, done, False, sql, dropped)


def refuse_to_lose_rows(plan: SchemaChange, *, i_know: bool) -> None:
    """Stop when rows would be lost and nobody said that they know."""
    full = [table for table in plan.dropped_tables if table.rows]
    if full and not i_know:
        listed = ", ".join(f"{table.schema}.{table.table} ({table.rows:,})" for table in full)
        raise RefusedError(
            f"Going back would drop {len(full)} tables with {plan.rows_lost:,} rows: {listed}.",
            "If they may be lost, add --i-know; a backup before it costs little.",
        )


@contextmanager
def exclusive_connection(engine: Engine, names: SchemaNames) -> Iterator[Connection]:
    """An autocommit connection that holds the lock on changes of this installation's schemas. Raises RefusedError."""
    with engine.connect() as plain:
        connection = plain.execution_options(isolation_level="AUTOCOMMIT")
        lock = {"name": f"membershift.schema.{names.state}"}
        if connection.execute(text("SELECT GET_LOCK(:name, 1)"), lock).scalar() != 1:
            raise RefusedError(
                "Another change of these schemas is under way.", "Wait until it has ended, then run the command again."
            )
        try:
            yield connection
        finally:
            connection.execute(text("SELECT RELEASE_LOCK(:name)"), lock)


def create_missing_schemas(connection: Connection, names: SchemaNames) -> None:
    """Create what is not there; an account without the right to create schemas can use those that a DBA made."""
    wanted = (names.business, names.state)
    rows = connection.execute(
        text("SELECT schema_name FROM information_schema.schemata WHERE schema_name IN (:a, :b)"),
        {"a": names.business, "b": names.state},
    )
    present = {str(row[0]) for row in rows}
    for statement in names.create_statements(name for name in wanted if name not in present):
        connection.execute(text(statement))


def count_tables(engine: Engine, tables: list[tuple[str, str]]) -> tuple[TableRows, ...]:
    """Tables with their rows, counted."""
    with engine.connect() as connection:
        present = {
            (str(schema), str(table))
            for schema, table in connection.execute(text("SELECT table_schema, table_name FROM information_schema.tables"))
        }

        def scalar(sql: str) -> object:
            return connection.execute(text(sql)).scalar()

        return tuple(
            TableRows(schema, table, count_rows(scalar, schema, table) if (schema, table) in present else None)
            for schema, table in tables
        )


def count_rows(scalar: Callable[[str], object], schema: str, table: str) -> int:
    """SELECT COUNT(*): statistics lag behind, and a wrong number here would drop rows."""
    return int(str(scalar(f"SELECT COUNT(*) FROM {backtick(schema)}.{backtick(table)}")))  # noqa: S608 - a quoted identifier
