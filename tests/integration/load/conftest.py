"""A target with both schemas as `membershift schema up` makes them, without secondary indexes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from etl.settings import TargetSettings
from etl.target.bulk import BulkConnection
from etl.target.connect import connect_bulk
from migrations.schema.commands import schema_up


@pytest.fixture
def ready_target(fresh_target: TargetSettings) -> TargetSettings:
    """Both schemas, empty."""
    schema_up(fresh_target, "0001")
    return fresh_target


@pytest.fixture
def connection(ready_target: TargetSettings) -> Iterator[BulkConnection]:
    """A connection to it."""
    with connect_bulk(ready_target) as opened:
        yield opened
