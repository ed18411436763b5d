"""Engines shared by the tests: started once a session, each test in databases and schemas of its own."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from etl.settings import ConnectionSettings, Settings, SourceSettings, StateSettings, TargetSettings

if TYPE_CHECKING:
    from fixtures.data.generate import LegacyData
    from fixtures.legacy_server.launcher import LegacyServer
    from fixtures.target import TargetServer

SettingsFactory = Callable[..., Settings]
schema_numbers = itertools.count(1)

LONGEST = "tests/scenarios/"
READER, BLIND = "reader", "blind"
"""Logins of `legacy` with the password of its administrator: one may read everything and write nothing; the other may enter crm
alone, not read crm.dbo.Member, and not see changes."""


@pytest.fixture(scope="session")
def target_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TargetServer]:
    """A private target: TiDB where MEMBERSHIFT_TIDB_SERVER or the PATH has one, else MariaDB."""
    from fixtures.target import start_target, stop_target

    folder = tmp_path_factory.mktemp("target")
    server = start_target(folder)
    yield server
    stop_target(folder)


@pytest.fixture(scope="session")
def legacy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LegacyServer]:
    """A private legacy server without data: a test creates databases of its own in it."""
    from fixtures.legacy_server.launcher import Login, start_legacy_server, stop_legacy_server

    folder = tmp_path_factory.mktemp("legacy")
    password = secrets.token_urlsafe(12)
    logins = (
        Login(READER, password),
        Login(BLIND, password, databases=("crm",), denied=("crm.dbo.Member",), change_tracking=False),
    )
    server = start_legacy_server(folder, password=password, databases=(), logins=logins)
    yield server
    stop_legacy_server(folder)


@pytest.fixture(scope="session")
def retailer(legacy: LegacyServer, tmp_path_factory: pytest.TempPathFactory) -> LegacyData:
    """What is in the databases crm, pos and ecom of `legacy`: 2,000 generated members. For tests that only read them."""
    from fixtures.data.fill import create_legacy_tables, fill_legacy
    from fixtures.data.generate import generate

    data = generate(2_000, 7, tmp_path_factory.mktemp("retailer"))
    create_legacy_tables(legacy)
    fill_legacy(legacy, data)
    return data


@pytest.fixture
def fresh_target(target_server: TargetServer) -> Iterator[TargetSettings]:
    """Settings of the target with two schema names that no other test uses; both are dropped afterwards."""
    number = next(schema_numbers)
    settings = TargetSettings(url=SecretStr(target_server.url), schema=f"m{number}", state_schema=f"s{number}")
    yield settings
    drop_schemas(settings)


def drop_schemas(settings: TargetSettings) -> None:
    """Remove both schemas of a test."""
    import pymysql

    from etl.names import backtick

    server = split_url(settings)
    connection = pymysql.connect(host=server[0], port=server[1], user=server[2], password=server[3], autocommit=True)
    with connection, connection.cursor() as cursor:
        for schema in (settings.schema_name, settings.state_schema):
            cursor.execute(f"DROP DATABASE IF EXISTS {backtick(schema)}")


def split_url(settings: ConnectionSettings) -> tuple[str, int, str, str]:
    """(host, port, user, password) of a server's URL."""
    from sqlalchemy.engine import make_url

    url = make_url(settings.url.get_secret_value())
    return url.host or "127.0.0.1", url.port or 0, url.username or "", url.password or ""


@pytest.fixture
def settings_for(tmp_path: Path) -> SettingsFactory:
    """Build settings for a source and a target: settings_for(source=legacy, databases=("crm",), target=fresh_target)."""

    def build(
        *,
        source: LegacyServer | None = None,
        databases: tuple[str, ...] = (),
        target: TargetSettings | None = None,
        **sections: object,
    ) -> Settings:
        source_url = source.url if source is not None else "mssql://nobody:nothing@127.0.0.1:1"
        return Settings(
            source=SourceSettings(url=SecretStr(source_url), databases=databases, retries=1),
            target=target or TargetSettings(url=SecretStr("mysql://nobody:nothing@127.0.0.1:1"), retries=1),
            state=StateSettings(dir=tmp_path / "state"),
            origin=tmp_path / "membershift.toml",
            **sections,  # type: ignore[arg-type]  # any section of the file, checked by pydantic
        )

    return build


@pytest.fixture(autouse=True)
def _wide_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Screens do not fold their tables to the terminal that the tests happen to run in."""
    monkeypatch.setenv("COLUMNS", "200")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Slow proofs run only when asked for: `make proof` gives -m proof. The longest files come first: a worker that began one as
    the last would keep the others waiting."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))
    if "proof" in str(config.getoption("-m") or ""):
        return
    slow = pytest.mark.skip(reason="slow proof: run `make proof`")
    for item in items:
        if "proof" in item.keywords:
            item.add_marker(slow)


@pytest.fixture(autouse=True)
def _only_on_tidb(request: pytest.FixtureRequest) -> None:
    """Skip, by name, what only a real TiDB can show."""
    if request.node.get_closest_marker("tidb") is not None:
        server: TargetServer = request.getfixturevalue("target_server")
        if not server.is_tidb:
            pytest.skip("needs a real TiDB: set MEMBERSHIFT_TIDB_SERVER")
