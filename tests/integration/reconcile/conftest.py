"""The retailer moved to a target of its own: what every test here damages, and puts right again."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from pydantic import SecretStr

from etl.load.model import LoadRequest
from etl.load.run import run_load
from etl.progress import Silent
from etl.reconcile.repair import RepairRequest, run_repair
from etl.settings import Settings, SourceSettings, StateSettings, TargetSettings
from etl.stage.run import StageRequest, run_stage
from etl.target.bulk import BulkConnection
from etl.target.connect import connect_bulk
from fixtures.data.generate import LegacyData
from fixtures.legacy_server.launcher import LegacyServer
from fixtures.target import TargetServer
from migrations.schema.commands import schema_up
from tests.conftest import drop_schemas

Damage = Callable[..., None]


@pytest.fixture(scope="session")
def moved(
    legacy: LegacyServer, retailer: LegacyData, target_server: TargetServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Settings]:
    """2,000 members and all that belongs to them, staged and loaded by our own commands."""
    folder = tmp_path_factory.mktemp("moved")
    target = TargetSettings(url=SecretStr(target_server.url), schema="reconcile_m", state_schema="reconcile_s")
    settings = Settings(
        source=SourceSettings(url=SecretStr(legacy.url), databases=("crm", "pos", "ecom"), retries=1),
        target=target,
        state=StateSettings(dir=folder / "state"),
        origin=folder / "membershift.toml",
    )
    drop_schemas(target)
    schema_up(target, "0001")
    run_stage(settings, StageRequest(), Silent())
    run_load(settings, LoadRequest(execute=True), Silent())
    yield settings
    drop_schemas(target)


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
