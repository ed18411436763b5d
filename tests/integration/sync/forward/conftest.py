"""A retailer of our own, moved to a target of its own, from where on changes are followed. Tests write to both sides."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from etl.load.model import LoadRequest
from etl.load.run import run_load
from etl.progress import Silent
from etl.settings import Settings, SourceSettings, StateSettings, TargetSettings
from etl.stage.run import StageRequest, run_stage
from etl.sync.start import start_sync
from fixtures.data.fill import create_legacy_tables, fill_legacy
from fixtures.data.generate import LegacyData, generate
from fixtures.legacy_server.launcher import LegacyServer, start_legacy_server, stop_legacy_server
from fixtures.target import TargetServer
from migrations.schema.commands import schema_up
from tests.conftest import drop_schemas
from tests.integration.sync.forward.support import DATABASES, Sides, following

MEMBERS = 200


@pytest.fixture(scope="package")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LegacyServer]:
    """A legacy server that only these tests write to."""
    folder = tmp_path_factory.mktemp("shop")
    server = start_legacy_server(folder, password=secrets.token_urlsafe(12), databases=())
    yield server
    stop_legacy_server(folder)


@pytest.fixture(scope="package")
def goods(shop: LegacyServer, tmp_path_factory: pytest.TempPathFactory) -> LegacyData:
    """What is in it at first."""
    data = generate(MEMBERS, 11, tmp_path_factory.mktemp("goods"))
    create_legacy_tables(shop)
    fill_legacy(shop, data)
    return data


@pytest.fixture(scope="package")
def moved(
    shop: LegacyServer, goods: LegacyData, target_server: TargetServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Settings]:
    """Everything staged and loaded, every row in step, every position noted."""
    folder = tmp_path_factory.mktemp("forward")
    target = TargetSettings(url=SecretStr(target_server.url), schema="forward_m", state_schema="forward_s")
    settings = Settings(
        source=SourceSettings(url=SecretStr(shop.url), databases=DATABASES, retries=1),
        target=target,
        state=StateSettings(dir=folder / "state"),
        origin=folder / "membershift.toml",
    )
    drop_schemas(target)
    schema_up(target)
    run_stage(settings, StageRequest(), Silent())
    run_load(settings, LoadRequest(execute=True), Silent())
    start_sync(settings, execute=True, by_whom="test", progress=Silent())
    yield settings
    drop_schemas(target)


@pytest.fixture(scope="module")
def opened(moved: Settings, shop: LegacyServer) -> Iterator[Sides]:
    """Both sides, for all tests of a file."""
    with following(moved, shop) as found:
        yield found


@pytest.fixture
def sides(opened: Sides) -> Sides:
    """Both sides, in step: what earlier tests left is brought over first."""
    opened.run(*DATABASES)
    return opened
