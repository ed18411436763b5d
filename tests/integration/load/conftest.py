"""A target with both schemas, as `membershift schema up --to tables` makes them: made once, emptied for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from etl.settings import TargetSettings
from etl.target.bulk import BulkConnection
from etl.target.connect import connect_bulk
from fixtures.target import TargetServer
from migrations.schema.commands import schema_up
from tests.conftest import drop_schemas


@pytest.fixture(scope="session")
def load_target(target_server: TargetServer) -> Iterator[TargetSettings]:
    """Both schemas, shared by all tests of the load."""
    settings = TargetSettings(url=SecretStr(target_server.url), schema="load_business", state_schema="load_state")
    schema_up(settings, "0001")
    yield settings
    drop_schemas(settings)


@pytest.fixture
def ready_target(load_target: TargetSettings) -> TargetSettings:
    """Both schemas, empty."""
    with connect_bulk(load_target, "") as connection:
        for schema in (load_target.schema_name, load_target.state_schema):
            tables = connection.query(
                "SELECT TABLE_NAME FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = %s AND TABLE_NAME NOT LIKE %s",
                (schema, "%version%"),
            )
            for (table,) in tables:
                if connection.query(f"SELECT 1 FROM `{schema}`.`{table}` LIMIT 1"):
                    connection.execute(f"DELETE FROM `{schema}`.`{table}`")
    return load_target


@pytest.fixture
def connection(ready_target: TargetSettings) -> Iterator[BulkConnection]:
    """A connection to it."""
    with connect_bulk(ready_target) as opened:
        yield opened
