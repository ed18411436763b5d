"""2,000 members staged once, a target that is empty for each test, and commands as they are typed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.app import run
from etl.progress import Silent
from etl.settings import DedupeSettings, Settings, StateSettings, TargetSettings
from etl.stage.run import StageRequest, run_stage
from etl.target.bulk import BulkConnection
from etl.target.connect import connect_bulk
from fixtures.data.generate import LegacyData
from fixtures.legacy_server.launcher import LegacyServer
from fixtures.target import TargetServer
from tests.conftest import drop_schemas
from tests.retailer import retailer_settings


@pytest.fixture(scope="session")
def dedupe_stage(
    legacy: LegacyServer, retailer: LegacyData, target_server: TargetServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Settings]:
    """The retailer's tables staged, both schemas made."""
    limits = DedupeSettings(threads=2, memory_limit_gib=1)
    settings = retailer_settings(legacy, target_server, tmp_path_factory.mktemp("dedupe"), "dedupe", dedupe=limits)
    run_stage(settings, StageRequest(), Silent())
    yield settings
    drop_schemas(settings.target)


@pytest.fixture
def settings(dedupe_stage: Settings, tmp_path: Path) -> Settings:
    """The same, in a state folder of the test's own, before an empty target. The model of an earlier test is used again."""
    shutil.copytree(dedupe_stage.stage_dir, tmp_path / "state" / "stage", copy_function=link_or_copy)
    model = dedupe_stage.dedupe_dir / "model.json"
    if model.is_file():
        (tmp_path / "state" / "dedupe").mkdir(mode=0o700)
        shutil.copy(model, tmp_path / "state" / "dedupe" / "model.json")
    empty(dedupe_stage.target)
    return dedupe_stage.model_copy(update={"state": StateSettings(dir=tmp_path / "state")})


def link_or_copy(source: str, target: str) -> None:
    """Staged chunks never change: a second name is enough. The manifest does."""
    if source.endswith(".parquet"):
        Path(target).hardlink_to(source)
    else:
        shutil.copy2(source, target)


def empty(target: TargetSettings) -> None:
    """No row in any table, no table beyond those of the schema."""
    with connect_bulk(target, "") as connection:
        for schema in (target.schema_name, target.state_schema):
            tables = connection.query("SELECT TABLE_NAME FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = %s", (schema,))
            for (table,) in tables:
                if str(table).endswith(("__new", "__old")):
                    connection.execute(f"DROP TABLE `{schema}`.`{table}`")
                elif table != "alembic_version" and connection.query(f"SELECT 1 FROM `{schema}`.`{table}` LIMIT 1"):
                    connection.execute(f"DELETE FROM `{schema}`.`{table}`")


@pytest.fixture
def target(settings: Settings) -> Iterator[BulkConnection]:
    """A connection to the business schema."""
    with connect_bulk(settings.target) as connection:
        yield connection


@pytest.fixture
def config(settings: Settings, tmp_path: Path) -> Path:
    """The settings of the test as a file, so that commands find them."""
    path = tmp_path / "membershift.toml"
    target = settings.target
    path.write_text(
        f'[source]\nurl = "{settings.source.url.get_secret_value()}"\ndatabases = ["crm", "pos", "ecom"]\n'
        f'[target]\nurl = "{target.url.get_secret_value()}"\n'
        f'schema = "{target.schema_name}"\nstate_schema = "{target.state_schema}"\n'
        f'[state]\ndir = "{settings.state_dir}"\n[dedupe]\nthreads = 2\nmemory_limit_gib = 1\n'
    )
    return path


class Typed:
    """Commands on one configuration."""

    def __init__(self, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.config = config
        self.capsys = capsys

    def run(self, *arguments: str, expected: int = 0) -> str:
        """Standard output of a command that ends as expected."""
        code = run(["dedupe", *arguments, "--config", str(self.config)])
        shown = self.capsys.readouterr()
        assert code == expected, shown.err
        return shown.out if expected in (0, 6, 7) and shown.out else shown.err

    def json(self, *arguments: str, expected: int = 0) -> dict[str, Any]:
        """The result of a command as JSON."""
        found: dict[str, Any] = json.loads(self.run(*arguments, "--json", expected=expected))
        return found


@pytest.fixture
def typed(config: Path, capsys: pytest.CaptureFixture[str]) -> Typed:
    return Typed(config, capsys)
