"""Both sides of a sync, for tests to write to and look at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pymssql

from etl.names import SourceTable
from etl.settings import Settings
from etl.source.connect import open_source
from etl.sync.forward.context import ForwardContext, Limits, Match, nobody_known, open_forward
from etl.sync.forward.round import forward_round
from etl.sync.model import Counts
from etl.sync.plan import plan_sync
from etl.target.bulk import BulkConnection
from etl.target.connect import connect_bulk
from fixtures.legacy_server.launcher import LegacyServer

DATABASES = ("crm", "pos", "ecom")


@dataclass
class Sides:
    """Both sides, for a test to write to and look at."""

    settings: Settings
    shop: LegacyServer
    target: BulkConnection
    context: ForwardContext

    def legacy(self, database: str, *statements: str) -> list[tuple[Any, ...]]:
        """Run T-SQL; the rows of the last statement."""
        with pymssql.connect(
            server=self.shop.host,
            port=str(self.shop.port),
            user="sa",
            password=self.shop.password,
            database=database,
            autocommit=True,
        ) as connection:
            cursor = connection.cursor()
            found: list[tuple[Any, ...]] = []
            for statement in statements:
                cursor.execute(statement)
                found = [tuple(row) for row in cursor.fetchall()] if cursor.description else []
            return found

    def run(self, *databases: str) -> dict[str, Counts]:
        """Rounds over these databases."""
        done: dict[str, Counts] = {}
        for database in databases:
            done |= forward_round(self.context, database)
        return done

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows of the target."""
        return self.target.query(sql, values or None)

    def state(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of our own schema on the target, `{s}` in `sql`."""
        return self.target.query(sql.format(s=self.settings.target.state_schema))

    def position(self, table: str) -> tuple[Any, ...]:
        """(position, detail) of a legacy table."""
        found = self.target.query(
            f"SELECT position, detail FROM {self.settings.target.state_schema}.sync_position WHERE name = %s",
            (f"forward/{table}",),
        )
        return found[0]

    def in_step(self, table: str, where: str) -> bool:
        """Whether a row of the target is in step."""
        return bool(self.rows(f"SELECT 1 FROM {table} WHERE {where} AND synced_at <=> updated_at"))


@contextmanager
def following(
    settings: Settings,
    shop: LegacyServer,
    *,
    match: Match = nobody_known,
    limits: Limits | None = None,
    last_changed: Mapping[SourceTable, str] | None = None,
) -> Iterator[Sides]:
    """Both sides with a context of their own."""
    with open_source(settings.source) as source, connect_bulk(settings.target) as target, connect_bulk(settings.target) as own:
        context = open_forward(
            settings, plan_sync(settings, source, own), source, own, match=match, limits=limits, last_changed=last_changed
        )
        try:
            yield Sides(settings, shop, target, context)
        finally:
            context.close()
