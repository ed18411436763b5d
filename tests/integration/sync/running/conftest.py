"""A retailer of our own on both sides, prepared for sync, and a sync that runs in a thread."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from etl.load.model import LoadRequest
from etl.load.run import run_load
from etl.progress import Silent
from etl.settings import Settings, SourceSettings, StateSettings, SyncSettings, TargetSettings
from etl.stage.run import StageRequest, run_stage
from etl.sync import run
from etl.sync.start import start_sync
from etl.target.connect import connect_bulk
from fixtures.data.fill import create_legacy_tables, fill_legacy
from fixtures.data.generate import generate
from fixtures.legacy_server.launcher import Login, start_legacy_server, stop_legacy_server
from fixtures.target import TargetServer
from migrations.schema.commands import schema_up
from tests.conftest import drop_schemas
from tests.integration.sync.running.support import READER, Shop

MEMBERS = 60


@pytest.fixture(scope="package")
def prepared(target_server: TargetServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Staged, loaded, started; nobody is asked who newcomers are, and the background check waits for its own test."""
    folder = tmp_path_factory.mktemp("running")
    password = secrets.token_urlsafe(12)
    server = start_legacy_server(folder / "shop", password=password, databases=(), logins=(Login(READER, password),))
    target = TargetSettings(url=SecretStr(target_server.url), schema="running_m", state_schema="running_s")
    settings = Settings(
        source=SourceSettings(url=SecretStr(server.url), databases=("crm", "pos", "ecom"), retries=1),
        target=target,
        sync=SyncSettings(match_newcomers=False, poll_s=0.15, check_share=0),
        state=StateSettings(dir=folder / "state"),
        origin=folder / "membershift.toml",
    )
    try:
        create_legacy_tables(server)
        fill_legacy(server, generate(MEMBERS, 7, folder / "data"))
        drop_schemas(target)
        schema_up(target)
        run_stage(settings, StageRequest(), Silent())
        run_load(settings, LoadRequest(execute=True), Silent())
        start_sync(settings, execute=True, by_whom="test", progress=Silent())
        with connect_bulk(target) as connection:
            yield Shop(settings, server, connection)
    finally:
        drop_schemas(target)
        stop_legacy_server(folder / "shop")


@pytest.fixture
def shop(prepared: Shop, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """Both sides, for a test to write to. What people ask of sync is looked for more often, so that it ends sooner."""
    monkeypatch.setattr(run, "HEARTBEAT_S", 0.2)
    return prepared
