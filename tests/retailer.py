"""The retailer of the fixture `retailer` before a target of a test's own."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr

from etl.settings import Settings, SourceSettings, StateSettings, TargetSettings
from fixtures.legacy_server.launcher import LegacyServer
from fixtures.target import TargetServer
from migrations.schema.commands import schema_up
from tests.conftest import drop_schemas


def retailer_settings(legacy: LegacyServer, server: TargetServer, folder: Path, name: str, **sections: object) -> Settings:
    """Settings with the schemas `name`_m and `name`_s, made anew without their secondary indexes; drop_schemas removes them."""
    target = TargetSettings(url=SecretStr(server.url), schema=f"{name}_m", state_schema=f"{name}_s")
    drop_schemas(target)
    schema_up(target, "0001")
    return Settings(
        source=SourceSettings(url=SecretStr(legacy.url), databases=("crm", "pos", "ecom"), retries=1),
        target=target,
        state=StateSettings(dir=folder / "state"),
        origin=folder / "membershift.toml",
        **sections,  # type: ignore[arg-type]  # any section of the file, checked by pydantic
    )
