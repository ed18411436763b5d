"""A small chain with both its sides: a legacy server that may be written to, and a target with the same members."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr

from etl.load.model import LoadRequest
from etl.load.run import run_load
from etl.progress import Silent
from etl.settings import Settings, SourceSettings, StateSettings, TargetSettings
from etl.stage.run import StageRequest, run_stage
from fixtures.data.fill import create_legacy_tables, fill_legacy
from fixtures.data.generate import generate
from fixtures.legacy_server.launcher import LegacyServer, start_legacy_server, stop_legacy_server
from fixtures.storefront.connections import Sides
from fixtures.storefront.routes import split_stores, write_routes
from fixtures.storefront.world import read_stores
from fixtures.target import TargetServer
from migrations.schema.commands import schema_up
from tests.conftest import drop_schemas

STAGED = (
    "pos.dbo.Store", "pos.dbo.Product", "crm.dbo.Member", "pos.dbo.PosMember", "ecom.dbo.Account", "crm.dbo.Consent",
)  # fmt: skip
LOADED = ("store", "product", "member", "consent")


@dataclass(frozen=True)
class Chain:
    """Both servers, the settings of both, and a file of routes that spreads the stores over them."""

    legacy: LegacyServer
    target: TargetServer
    sides: Sides
    routes: Path

    @property
    def legacy_only(self) -> Sides:
        return Sides(self.sides.legacy, None)

    @property
    def target_only(self) -> Sides:
        return Sides(None, self.sides.target)


@pytest.fixture(scope="session")
def chain(target_server: TargetServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """300 members; on the target only what a till needs to know of them."""
    folder = tmp_path_factory.mktemp("storefront")
    legacy = start_legacy_server(folder / "legacy", password=secrets.token_urlsafe(12), databases=())
    target = TargetSettings(url=SecretStr(target_server.url), schema="storefront_m", state_schema="storefront_s")
    try:
        create_legacy_tables(legacy)
        fill_legacy(legacy, generate(300, 11, folder / "data"))
        settings = Settings(
            source=SourceSettings(url=SecretStr(legacy.url), databases=("crm", "pos", "ecom")),
            target=target,
            state=StateSettings(dir=folder / "state"),
            origin=folder / "membershift.toml",
        )
        drop_schemas(target)
        schema_up(target, "head")
        run_stage(settings, StageRequest(tables=STAGED), Silent())
        run_load(settings, LoadRequest(tables=LOADED, execute=True), Silent())
        sides = Sides(settings.source, target)
        write_routes(folder / "routes.json", split_stores(read_stores(sides), 0.5))
        yield Chain(legacy, target_server, sides, folder / "routes.json")
    finally:
        stop_legacy_server(folder / "legacy")
        drop_schemas(target)
