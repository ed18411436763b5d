"""The retailer moved to a target of its own: what every test here damages, and puts right again."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from etl.load.model import LoadRequest
from etl.load.run import run_load
from etl.progress import Silent
from etl.reconcile.repair import RepairRequest, run_repair
from etl.settings import Settings
from etl.stage.run import StageRequest, run_stage
from etl.target.bulk import BulkConnection
from etl.target.connect import connect_bulk
from fixtures.data.generate import LegacyData
from fixtures.legacy_server.launcher import LegacyServer
from fixtures.target import TargetServer
from tests.conftest import drop_schemas
from tests.retailer import retailer_settings

Damage = Callable[..., None]


@pytest.fixture(scope="session")
def moved(
    legacy: LegacyServer, retailer: LegacyData, target_server: TargetServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Settings]:
    """2,000 members and all that belongs to them, staged and loaded by our own commands."""
    settings = retailer_settings(legacy, target_server, tmp_path_factory.mktemp("moved"), "reconcile")
    run_stage(settings, StageRequest(), Silent())
    run_load(settings, LoadRequest(execute=True), Silent())
    yield settings
    drop_schemas(settings.target)


@pytest.fixture
def target(moved: Settings) -> Iterator[BulkConnection]:
    """A connection to the moved data."""
    with connect_bulk(moved.target) as connection:
        yield connection


@pytest.fixture
def damage(moved: Settings, target: BulkConnection) -> Iterator[Damage]:
    """Run SQL against the moved data; afterwards what it did to `tables` is repaired, so that the next test finds all well."""
    touched: list[str] = []

    def run(*statements: str, tables: tuple[str, ...]) -> None:
        touched.extend(tables)
        with target.transaction():
            for statement in statements:
                assert target.execute(statement), f"nothing was damaged by: {statement}"

    yield run
    if touched:
        again = run_repair(moved, RepairRequest(tuple(dict.fromkeys(touched)), delete_extra=True, execute=True), Silent())
        assert again.left == 0
