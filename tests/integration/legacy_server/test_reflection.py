"""SQLAlchemy through both dialects, unchanged: reflection, inserts that return keys, paging, savepoints."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects.mssql import MONEY

from tests.integration.legacy_server.support import ITEM, new_database

if TYPE_CHECKING:
    from fixtures.legacy_server.launcher import LegacyServer

PART = """CREATE TABLE dbo.Part (
    ItemId int NOT NULL CONSTRAINT FK_Part_Item REFERENCES dbo.Item (ItemId), [LineNo] smallint NOT NULL, Note nvarchar(max) NULL,
    CONSTRAINT PK_Part PRIMARY KEY CLUSTERED (ItemId, [LineNo]))"""


@pytest.fixture(scope="module")
def database(legacy: LegacyServer) -> str:
    return new_database(legacy, ITEM, PART, "CREATE INDEX IX_Item_Name ON dbo.Item (Name DESC, Sold)")


@pytest.fixture(params=["pymssql", "mssqlpython"])
def engine(request: pytest.FixtureRequest, legacy: LegacyServer, database: str) -> Iterator[sa.Engine]:
    query = {"Encrypt": "no"} if request.param == "mssqlpython" else {}
    url = sa.URL.create(f"mssql+{request.param}", "sa", legacy.password, legacy.host, legacy.port, database, query)
    made = sa.create_engine(url)
    yield made
    made.dispose()


def test_what_is_declared_is_reflected(engine: sa.Engine) -> None:
    found = sa.inspect(engine)
    assert found.get_table_names() == ["Item", "Part"]
    assert "dbo" in found.get_schema_names()
    assert not found.has_table("Nothing")
    columns = {column["name"]: column for column in found.get_columns("Item")}
    assert isinstance(columns["Price"]["type"], MONEY)
    assert (str(columns["Code"]["type"]), columns["Code"]["nullable"]) == ('VARCHAR(10) COLLATE "Chinese_PRC_CI_AS"', False)
    assert columns["ItemId"]["autoincrement"]
    assert columns["Total"]["computed"] == {"sqltext": "(Price * Sold)", "persisted": True}
    assert columns["ChangedAt"]["default"] == "(getdate())"
    assert found.get_pk_constraint("Part")["constrained_columns"] == ["ItemId", "LineNo"]
    (key,) = found.get_foreign_keys("Part")
    assert (key["name"], key["referred_table"], key["referred_columns"]) == ("FK_Part_Item", "Item", ["ItemId"])
    indexes = {index["name"]: index["column_names"] for index in found.get_indexes("Item")}
    assert indexes == {"UQ_Item_Code": ["Code"], "IX_Item_Name": ["Name", "Sold"]}


def test_rows_go_in_and_come_back(engine: sa.Engine) -> None:
    item = sa.Table("Item", sa.MetaData(), autoload_with=engine)
    with engine.begin() as connection:
        connection.execute(sa.delete(item))
        (first,) = connection.execute(sa.insert(item).values(Code="a", Name="甲", Price=Decimal("1.5"))).inserted_primary_key or (
            None,
        )
        connection.execute(sa.insert(item), [{"Code": f"m{n}", "Name": None, "Sold": n} for n in range(5)])
        nested = connection.begin_nested()
        connection.execute(sa.delete(item))
        nested.rollback()
        page = connection.execute(sa.select(item.c.Code).order_by(item.c.ItemId).limit(2).offset(1)).scalars().all()
        assert page == ["m0", "m1"]
        assert connection.execute(sa.update(item).where(item.c.ItemId == first).values(Name="乙")).rowcount == 1
        assert connection.execute(sa.select(item.c.Name).where(item.c.Code == "A")).scalar() == "乙"
    with pytest.raises(sa.exc.IntegrityError), engine.begin() as connection:
        connection.execute(sa.insert(item).values(Code="a"))
    with engine.connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(item)).scalar() == 6
