"""What the legacy server's own tests share: one database with one table, and connections to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.legacy_server.support import ITEM, fast, new_database, plain, rows

if TYPE_CHECKING:
    from fixtures.legacy_server.launcher import LegacyServer


@pytest.fixture(scope="module")
def home(legacy: LegacyServer) -> str:
    """A database of the module's own, with the table Item."""
    return new_database(legacy, ITEM)


@pytest.fixture
def sql(legacy: LegacyServer, home: str) -> Iterator[Any]:
    """A pymssql connection to `home`, whose Item is empty."""
    with plain(legacy, home) as connection:
        rows(connection, "DELETE FROM dbo.Item")
        yield connection


@pytest.fixture
def odbc(legacy: LegacyServer, home: str) -> Iterator[Any]:
    """An mssql-python connection to `home`, whose Item is empty."""
    with fast(legacy, home) as connection:
        rows(connection, "DELETE FROM dbo.Item")
        yield connection
