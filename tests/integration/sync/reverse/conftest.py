"""A retailer of our own on both sides, which reverse writes back to."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from etl.load.model import LoadRequest
from etl.load.run import run_load
from etl.progress import Silent
from etl.settings import Settings, SourceSettings, StateSettings, TargetSettings
from etl.source.connect import open_source
from etl.stage.run import StageRequest, run_stage
from etl.sync.plan import plan_sync
from etl.sync.reverse.legacy_tables import ensure_legacy_tables
from etl.target.connect import connect_bulk
from fixtures.data.fill import create_legacy_tables, fill_legacy
from fixtures.data.generate import generate
from fixtures.legacy_server.launcher import Login, start_legacy_server, stop_legacy_server
from fixtures.target import TargetServer
from migrations.schema.commands import schema_up
from tests.conftest import drop_schemas
from tests.integration.sync.reverse.support import READER, Bridge, open_work

MEMBERS = 60


@pytest.fixture(scope="package")
def both(target_server: TargetServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bridge]:
    """Everything moved once, all of it in step, our tables on the legacy side."""
    folder = tmp_path_factory.mktemp("reverse")
    password = secrets.token_urlsafe(12)
    shop = start_legacy_server(folder / "shop", password=password, databases=(), logins=(Login(READER, password),))
    target = TargetSettings(url=SecretStr(target_server.url), schema="reverse_m", state_schema="reverse_s")
    settings = Settings(
        source=SourceSettings(url=SecretStr(shop.url), databases=("crm", "pos", "ecom"), retries=1),
        target=target,
        state=StateSettings(dir=folder / "state"),
        origin=folder / "membershift.toml",
    )
    try:
        create_legacy_tables(shop)
        fill_legacy(shop, generate(MEMBERS, 5, folder / "data"))
        drop_schemas(target)
        schema_up(target)
        run_stage(settings, StageRequest(), Silent())
        run_load(settings, LoadRequest(execute=True), Silent())
        with open_source(settings.source) as source, connect_bulk(target) as apply, open_work(settings) as work:
            plan = plan_sync(settings, source, work)
            ensure_legacy_tables(source, plan.databases, execute=True)
            bridge = Bridge(settings, plan, source, apply, work)
            bridge.settle()
            bridge.begin_bases()
            yield bridge
    finally:
        drop_schemas(target)
        stop_legacy_server(folder / "shop")


@pytest.fixture
def bridge(both: Bridge) -> Iterator[Bridge]:
    """Both sides; whatever a test leaves dirty does not trouble the next one."""
    yield both
    both.settle()
