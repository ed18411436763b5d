"""The source's failures on a real connection: each one clear message, the right number, no secret; passing ones ridden out."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from etl.errors import SourceError, UsageError
from etl.names import SourceTable
from etl.settings import Settings, SourceSettings
from etl.source.address import address_of
from etl.source.catalog import open_databases, read_catalog
from etl.source.connect import Source, open_source
from etl.source.errors import ServerError
from etl.source.session import open_plain
from etl.source.versions import changes_lost, read_versions, was_changed
from fixtures.proxy import proxied
from tests.integration.source.legacy_tables import make_database, run_sql, with_driver

if TYPE_CHECKING:
    from fixtures.legacy_server.launcher import LegacyServer

DRIVERS = ["plain"] + (["fast"] if importlib.util.find_spec("mssql_python") else [])
TABLE = SourceTable("src_shop", "dbo", "Item")


@pytest.fixture(scope="module")
def shop(legacy: LegacyServer) -> str:
    make_database(
        legacy,
        "src_shop",
        "CREATE TABLE dbo.Kind (KindId int NOT NULL PRIMARY KEY, Name nvarchar(20) NOT NULL)",
        """CREATE TABLE dbo.Item (
            ItemId int IDENTITY(1,1) NOT NULL CONSTRAINT PK_Item PRIMARY KEY CLUSTERED,
            KindId int NOT NULL CONSTRAINT FK_Item_Kind REFERENCES dbo.Kind (KindId),
            Code varchar(12) NOT NULL CONSTRAINT UQ_Item_Code UNIQUE,
            Price money NOT NULL DEFAULT (0), Double AS (Price * 2), RowVer rowversion NOT NULL)""",
        "CREATE INDEX IX_Item_Kind ON dbo.Item (KindId, Price)",
        "CREATE TABLE dbo.Loose (Word varchar(10) NULL)",
        "ALTER TABLE dbo.Item ENABLE CHANGE_TRACKING",
        "INSERT INTO dbo.Kind (KindId, Name) VALUES (1, N'茶')",
        "INSERT INTO dbo.Item (KindId, Code) VALUES (1, 'a'), (1, 'b')",
    )
    return "src_shop"


@pytest.fixture
def settings(legacy: LegacyServer, settings_for: Callable[..., Settings]) -> SourceSettings:
    return settings_for(source=legacy).source


def changed(settings: SourceSettings, **update: object) -> SourceSettings:
    return settings.model_copy(update=update)


def test_catalog_describes_tables_as_they_were_declared(shop: str, settings: SourceSettings) -> None:
    with open_source(settings) as source:
        tables = read_catalog(source, [shop]).tables
    assert [name.name for name in tables] == ["Item", "Kind", "Loose"]
    item = tables[TABLE]
    assert item.key == ("ItemId",)
    assert item.change_tracking
    assert not tables[SourceTable(shop, "dbo", "Kind")].change_tracking
    assert tables[SourceTable(shop, "dbo", "Loose")].key == ()
    by_name = item.by_name
    assert by_name["ItemId"].is_identity
    assert by_name["Double"].is_computed
    assert by_name["RowVer"].is_rowversion
    assert (by_name["Code"].type_name, by_name["Code"].max_length, by_name["Code"].code_page) == ("varchar", 12, 936)
    assert by_name["Price"].default is not None
    (foreign,) = item.foreign_keys
    assert (foreign.columns, str(foreign.references)) == (("KindId",), "src_shop.dbo.Kind")
    indexes = {index.name: index for index in item.indexes}
    assert indexes["IX_Item_Kind"].columns == ("KindId", "Price")
    assert indexes["PK_Item"].primary
    assert indexes["UQ_Item_Code"].unique
    assert item.rows == 2


def test_names_match_in_any_case_and_unknown_ones_are_named(shop: str, settings: SourceSettings) -> None:
    with open_source(settings) as source:
        assert list(read_catalog(source, (), [SourceTable("SRC_SHOP", "DBO", "item")]).tables) == [TABLE]
        with pytest.raises(UsageError, match="no table") as caught:
            read_catalog(source, (), [SourceTable(shop, "dbo", "Itm")])
        assert "src_shop.dbo.Item" in caught.value.remedy
        with pytest.raises(SourceError, match="no database nowhere"):
            open_databases(source, ["nowhere"])


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize(
    ("sql", "number"), [("SELECT [Nope] FROM [src_shop].[dbo].[Item]", 207), ("SELECT 1 FROM [src_shop].[dbo].[Gone]", 208)]
)
def test_a_missing_column_or_table_is_told_by_number_through_both(
    shop: str, settings: SourceSettings, driver: str, sql: str, number: int
) -> None:
    with open_source(with_driver(settings, driver)) as source, pytest.raises(ServerError) as caught:
        list(source.arrow_batches(sql, database=shop))
    assert caught.value.number == number
    assert "assess" in caught.value.remedy


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_wrong_password_is_refused_without_showing_it(legacy: LegacyServer, settings: SourceSettings, driver: str) -> None:
    url = SecretStr(f"mssql://{legacy.user}:hush-hush@{legacy.host}:{legacy.port}")
    with pytest.raises(ServerError, match="refused the login") as caught, open_source(changed(settings, url=url, driver=driver)):
        pass
    assert caught.value.number == 18456
    assert "hush" not in caught.value.message + caught.value.remedy


def test_nobody_at_the_port_is_told_at_once(settings: SourceSettings) -> None:
    url = SecretStr("mssql://sa:x@127.0.0.1:9")
    with pytest.raises(ServerError, match="connection refused"), open_source(changed(settings, url=url, retries=0)):
        pass


def test_an_unknown_host_is_told(settings: SourceSettings) -> None:
    url = SecretStr("mssql://sa:x@no-such-host.invalid:1433")
    with pytest.raises(ServerError, match="unknown host name"), open_source(changed(settings, url=url, retries=0)):
        pass


def test_tls_is_refused_with_its_reason_where_the_server_has_none(settings: SourceSettings) -> None:
    with pytest.raises(SourceError, match="does not encrypt"), open_source(changed(settings, tls="verify", retries=0)):
        pass


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_snapshot_sees_one_instant(shop: str, legacy: LegacyServer, settings: SourceSettings, driver: str) -> None:
    with open_source(with_driver(settings, driver)) as source, source.snapshot(shop) as snapshot:
        assert snapshot.consistent
        before = snapshot.session.query("SELECT COUNT_BIG(*) FROM [src_shop].[dbo].[Item]")[0][0]
        run_sql(legacy, f"INSERT INTO src_shop.dbo.Item (KindId, Code) VALUES (1, 'snap-{driver}')")
        assert snapshot.session.query("SELECT COUNT_BIG(*) FROM [src_shop].[dbo].[Item]")[0][0] == before
        assert source.scalar("SELECT COUNT_BIG(*) FROM [src_shop].[dbo].[Item]") == before + 1


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_snapshot_whose_connection_was_cut_says_so(
    shop: str, legacy: LegacyServer, settings: SourceSettings, driver: str
) -> None:
    """It once said 3902, of a COMMIT that was tried again on another connection; sync took that for a bug, and ended."""
    with open_source(with_driver(settings, driver)) as source, source.snapshot(shop) as snapshot:
        run_sql(legacy, f"KILL {snapshot.session.query('SELECT @@SPID')[0][0]}")
        with pytest.raises(ServerError, match="was lost") as raised:
            snapshot.renew()
        assert raised.value.transient


def test_where_snapshots_are_not_allowed_reads_see_what_is_committed(legacy: LegacyServer, settings: SourceSettings) -> None:
    make_database(legacy, "src_plain", "CREATE TABLE dbo.T (Id int NOT NULL PRIMARY KEY)", snapshot=False, tracking=False)
    with open_source(settings) as source, source.snapshot("src_plain") as snapshot:
        assert (snapshot.consistent, snapshot.isolation) == (False, "read committed")
        assert snapshot.session.query("SELECT COUNT_BIG(*) FROM [src_plain].[dbo].[T]") == [(0,)]


def test_versions_tell_whether_a_table_was_written_to(shop: str, legacy: LegacyServer, settings: SourceSettings) -> None:
    with open_source(settings) as source:
        table = read_catalog(source, (), [TABLE]).tables[TABLE]
        versions = read_versions(source, shop)
        assert versions.change_tracking is not None
        assert was_changed(source, table, versions) is False
        assert not changes_lost(source, TABLE, versions.change_tracking)
        run_sql(legacy, "UPDATE src_shop.dbo.Item SET Price = 5 WHERE Code = 'a'")
        assert was_changed(source, table, versions) is True
        assert changes_lost(source, SourceTable(shop, "dbo", "Kind"), 0)


def test_a_connection_that_was_cut_is_replaced(shop: str, legacy: LegacyServer, settings: SourceSettings) -> None:
    with open_source(changed(settings, retries=2)) as source:
        spid = source.scalar("SELECT @@SPID")
        run_sql(legacy, f"KILL {spid}")
        assert source.scalar("SELECT COUNT_BIG(*) FROM [src_shop].[dbo].[Kind]") == 1


@pytest.mark.parametrize("driver", DRIVERS)
def test_short_readers_share_a_connection_which_keeps_nothing(
    shop: str, legacy: LegacyServer, settings: SourceSettings, driver: str
) -> None:
    """A reader that left its snapshot to the next one would show it the past."""

    def look(source: Source) -> tuple[int, int]:
        with source.snapshot(shop, pooled=True) as snapshot:
            rows = snapshot.session.query("SELECT COUNT_BIG(*) FROM dbo.Item")[0][0]
            return snapshot.session.query("SELECT @@SPID")[0][0], rows

    def stream(source: Source, what: str) -> int:
        [batch] = source.arrow_batches(f"SELECT CONVERT(bigint, {what}) AS n FROM dbo.Item", database=shop)
        found: int = batch["n"][0].as_py()
        return found

    with open_source(with_driver(changed(settings, retries=0), driver)) as source:
        spid, rows = look(source)
        run_sql(legacy, f"INSERT INTO src_shop.dbo.Item (KindId, Code) VALUES (1, 'pool-{driver}')")
        assert look(source) == (spid, rows + 1)
        assert stream(source, "@@SPID") == spid
        assert stream(source, "COUNT_BIG(*)") == rows + 1
        run_sql(legacy, f"KILL {spid}")
        other, again = look(source)
        assert (other != spid, again) == (True, rows + 1), "one that was cut while idle is replaced, without a retry"


def test_a_connection_that_was_lost_is_not_why_a_later_login_is_refused(legacy: LegacyServer) -> None:
    """pymssql keeps what it says of a connection that is closed: a wrong password would be told as a server that went away, and
    tried again for ever."""
    with proxied(legacy.host, legacy.port) as net:
        through = legacy.url.replace(f":{legacy.port}", f":{net.port}")
        right, wrong = (SourceSettings(url=SecretStr(url), retries=0) for url in (through, through.replace("://", "://nobody-")))
        for _ in range(2):
            with pytest.raises(ServerError) as caught:
                open_plain(wrong, address_of(wrong))
            assert (caught.value.number, caught.value.transient) == (18456, False)
            session = open_plain(right, address_of(right))
            net.drop()
            with pytest.raises(ServerError, match="was lost"):
                session.query("SELECT 1")
            session.close()
