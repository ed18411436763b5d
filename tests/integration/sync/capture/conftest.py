"""A table that both sides may change, and what sync knows of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl
import pytest

from etl.mapping.sync_rules import SyncRules
from etl.reconcile.plan import TablePlan
from etl.settings import TargetSettings
from etl.sync.capture.marks import mark_rows
from etl.sync.capture.sweep import sweep_dirty
from etl.sync.model import KEY, DirtyRows
from etl.sync.plan import SyncTable
from etl.target.bulk import BulkConnection
from etl.target.columns import read_target_columns
from etl.target.connect import connect_bulk

TIMES = """updated_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
    synced_at TIMESTAMP(6) NULL, KEY ix_sync (updated_at, synced_at)"""
CLUSTERED = "/*T![clustered_index] CLUSTERED */"


@dataclass(frozen=True)
class Place:
    """A table of a target with three rows in step: (A, 1), (A, 2), (B, 1)."""

    settings: TargetSettings
    connection: BulkConnection
    schema: str
    table: SyncTable

    def execute(self, statement: str, *values: object) -> None:
        """What an application does."""
        self.connection.execute(statement, values or None)

    def settle(self) -> None:
        """Bring everything in step."""
        for page in list(sweep_dirty(self.connection, self.schema, self.table)):
            mark_rows(self.connection, self.schema, self.table, page.rows)

    def another(self) -> BulkConnection:
        """A session of somebody else."""
        return connect_bulk(self.settings)


@pytest.fixture
def place(fresh_target: TargetSettings) -> Iterator[Place]:
    """A table `line` with a composite key."""
    with connect_bulk(fresh_target, "") as opening:
        opening.execute(f"CREATE DATABASE {fresh_target.schema_name}")
    with connect_bulk(fresh_target) as connection:
        connection.execute(
            "CREATE TABLE line (sale_no VARCHAR(20) NOT NULL, line_no INT NOT NULL, amount DECIMAL(19,4), weight FLOAT,"
            f" note TEXT, store_code VARCHAR(8), {TIMES}, PRIMARY KEY (sale_no, line_no) {CLUSTERED})"
            " DEFAULT CHARSET utf8mb4 COLLATE utf8mb4_bin"
        )
        found = Place(fresh_target, connection, fresh_target.schema_name, sync_table(connection, fresh_target.schema_name))
        found.execute(
            "INSERT INTO line (sale_no, line_no, amount, weight, note, store_code)"
            " VALUES ('A', 1, 1.5, 1.1, '店', 'S1'), ('A', 2, NULL, NULL, NULL, 'S2'), ('B', 1, 3, 0, '', 'S1')"
        )
        found.settle()
        yield found


def sync_table(
    connection: BulkConnection, schema: str, name: str = "line", key: tuple[str, ...] = ("sale_no", "line_no")
) -> SyncTable:
    """A table as sync knows it."""
    columns = tuple(c for c in read_target_columns(connection, schema)[name] if c.name not in ("updated_at", "synced_at"))
    return SyncTable(TablePlan(name, key, columns, (), ()), SyncRules())


def keys_of(pages: Iterator[DirtyRows] | list[DirtyRows]) -> list[str]:
    """KEYs in order, with a readable end of columns."""
    return [key.replace("\x1f", "|") for page in pages for key in page.rows[KEY].to_list()]


def rows_of(pages: Iterator[DirtyRows]) -> pl.DataFrame:
    """All rows of some pages."""
    return pl.concat([page.rows for page in pages])
