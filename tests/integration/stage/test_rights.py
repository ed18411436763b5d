"""Staging with the least rights, and with less than that: what is missing is named, with the right to grant."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from etl.errors import SourceError
from etl.progress import Silent
from etl.settings import Settings, StageSettings
from etl.source.errors import ServerError
from etl.stage.run import StageRequest, run_stage
from tests.integration.stage.stage_tables import Seeded, assert_staged_exactly, seed

if TYPE_CHECKING:
    from fixtures.legacy_server.launcher import LegacyServer

READER, NARROW = "reader", "narrow"


@pytest.fixture(scope="module")
def passwords() -> dict[str, str]:
    return {name: secrets.token_urlsafe(12) for name in (READER, NARROW)}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, passwords: dict[str, str]) -> Iterator[LegacyServer]:
    """A server with logins that may not do everything."""
    from fixtures.legacy_server.launcher import Login, start_legacy_server, stop_legacy_server

    folder: Path = tmp_path_factory.mktemp("guarded")
    logins = (
        Login(READER, passwords[READER], databases=("least",)),
        Login(NARROW, passwords[NARROW], databases=("least",), denied=("least.dbo.Card",), change_tracking=False),
    )
    server = start_legacy_server(folder, password=secrets.token_urlsafe(12), databases=(), logins=logins)
    yield server
    stop_legacy_server(folder)


@pytest.fixture(scope="module")
def seeded(guarded: LegacyServer) -> Seeded:
    seed(guarded, "hidden", 400)
    return seed(guarded, "least", 2000)


@pytest.fixture
def settings_as(
    guarded: LegacyServer, seeded: Seeded, passwords: dict[str, str], settings_for: Callable[..., Settings]
) -> Callable[[str], Settings]:
    def build(login: str) -> Settings:
        settings = settings_for(source=guarded, databases=("least",), stage=StageSettings(min_free_disk_gib=0))
        url = SecretStr(f"mssql://{login}:{passwords[login]}@{guarded.host}:{guarded.port}")
        return settings.model_copy(update={"source": settings.source.model_copy(update={"url": url})})

    return build


def test_select_and_view_change_tracking_are_enough(settings_as: Callable[[str], Settings], seeded: Seeded) -> None:
    settings = settings_as(READER)
    result = run_stage(settings, StageRequest(max_load=50), Silent())
    assert result.complete
    assert result.blind_to_load
    assert_staged_exactly(settings, seeded)


@pytest.mark.parametrize("driver", ["plain", "auto"])
def test_a_table_that_may_not_be_read_is_named(settings_as: Callable[[str], Settings], driver: str) -> None:
    settings = settings_as(NARROW)
    settings = settings.model_copy(update={"source": settings.source.model_copy(update={"driver": driver})})
    with pytest.raises(SourceError, match=r"(?s)lacks a right.*Card|no table least.dbo.Card") as caught:
        run_stage(settings, StageRequest(tables=("least.dbo.Card",)), Silent())
    assert "SELECT" in caught.value.remedy


def test_tracking_that_may_not_be_seen_is_named(settings_as: Callable[[str], Settings]) -> None:
    with pytest.raises(ServerError, match="lacks a right") as caught:
        run_stage(settings_as(NARROW), StageRequest(tables=("least.dbo.Member",)), Silent())
    assert caught.value.number == 229
    assert "VIEW CHANGE TRACKING" in caught.value.remedy


def test_a_database_that_may_not_be_entered_is_named(settings_as: Callable[[str], Settings]) -> None:
    settings = settings_as(READER)
    closed = settings.model_copy(update={"source": settings.source.model_copy(update={"databases": ("hidden",)})})
    with pytest.raises(SourceError, match="no database hidden"):
        run_stage(closed, StageRequest(), Silent())
