"""A schema of its own for each test, and a connection to it by each driver."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from etl.names import backtick
from etl.settings import TargetSettings
from etl.target.bulk import BulkConnection
from etl.target.connect import connect_bulk


@pytest.fixture
def target(fresh_target: TargetSettings) -> TargetSettings:
    """A target whose business schema is there, and empty."""
    with connect_bulk(fresh_target, "") as connection:
        connection.execute(f"CREATE DATABASE {backtick(fresh_target.schema_name)} CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin")
    return fresh_target


@pytest.fixture(params=["fast", "plain"])
def by_driver(request: pytest.FixtureRequest, target: TargetSettings) -> TargetSettings:
    """`target` through mysqlclient, then through PyMySQL."""
    if request.param == "fast":
        pytest.importorskip("MySQLdb", reason='the extra "fast" is not installed')
    return target.model_copy(update={"driver": request.param})


@pytest.fixture
def bulk(by_driver: TargetSettings) -> Iterator[BulkConnection]:
    """A connection by each driver."""
    with connect_bulk(by_driver) as connection:
        yield connection
