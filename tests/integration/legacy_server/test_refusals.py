"""What the server cannot or must not do ends in SQL Server's error number, through the driver that tells numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import mssql_python
import pymssql
import pytest

from tests.integration.legacy_server.support import error_number, fast, rows, scalar

if TYPE_CHECKING:
    from fixtures.legacy_server.launcher import LegacyServer

NUMBERS = {
    "SELECT FROM WHERE": 102,
    "SELEKT 1": 2812,
    "SELECT N'open": 105,
    "SELECT @nowhere": 137,
    "SELECT nothing FROM dbo.Item": 207,
    "SELECT * FROM dbo.Nothing": 208,
    "SELECT * FROM nowhere.dbo.Item": 208,
    "SELECT Name FROM dbo.Item AS a JOIN dbo.Item AS b ON a.ItemId = b.ItemId": 209,
    "SELECT i.Name FROM dbo.Item": 4104,
    "SELECT STRING_AGG(Code, ',') FROM dbo.Item": 195,
    "SELECT Name, COUNT(*) FROM dbo.Item": 8120,
    "SELECT 1 / 0": 8134,
    "SELECT CAST('x' AS int)": 245,
    "SELECT CAST('x' AS money)": 8114,
    "SELECT CAST(300 AS tinyint)": 220,
    "SELECT CAST(3000000000 AS int)": 8115,
    "SELECT CAST('2024-13-01' AS datetime)": 242,
    "SELECT CAST('tomorrow' AS date)": 241,
    "SELECT CAST('x' AS uniqueidentifier)": 8169,
    "SELECT CAST(GETDATE() AS uniqueidentifier)": 529,
    "SELECT SUM(n) FROM (VALUES (2147483647), (1)) AS v (n)": 8115,
    "SELECT 1 UNION SELECT 1, 2": 205,
    "SELECT (SELECT n FROM (VALUES (1), (2)) AS v (n))": 512,
    "SELECT 1 WHERE 5": 4145,
    "SELECT 1 ORDER BY 2": 108,
    "INSERT INTO dbo.Item (Code) VALUES (NULL)": 515,
    "INSERT INTO dbo.Item (Code, Nope) VALUES ('a', 1)": 207,
    "INSERT INTO dbo.Item (Code, Name) VALUES ('a')": 109,
    "INSERT INTO dbo.Item (ItemId, Code) VALUES (1, 'a')": 544,
    "INSERT INTO dbo.Item (Code, RowVer) VALUES ('a', 0x00)": 273,
    "INSERT INTO dbo.Item (Code, Total) VALUES ('a', 1)": 271,
    "INSERT INTO dbo.Item (Code) VALUES ('01234567890')": 8152,
    "INSERT INTO dbo.Item (Code) VALUES (N'一二三四五六')": 8152,
    "INSERT INTO dbo.Item (Code) VALUES ('a'), ('A ')": 2627,
    "UPDATE dbo.Item SET ItemId = 1": 8102,
    "EXEC dbo.nothing": 2812,
    "USE nowhere": 911,
    "CREATE TABLE dbo.Item (a int)": 2714,
    "DROP TABLE dbo.Nothing": 3701,
    "COMMIT": 3902,
    "MERGE dbo.Item AS t USING dbo.Item AS s ON t.ItemId = s.ItemId WHEN MATCHED THEN UPDATE SET Sold = 1;": 40510,
    "SELECT * FROM dbo.Item FOR XML PATH('')": 40510,
    "SELECT TOP (10) PERCENT * FROM dbo.Item": 40510,
    "SELECT * FROM dbo.Item AS a FULL JOIN dbo.Item AS b ON a.ItemId = b.ItemId": 40510,
    "SELECT Code COLLATE Klingon_CI_AS FROM dbo.Item": 448,
    "RAISERROR('no', 16, 1)": 50000,
    "THROW 51000, 'no', 1": 51000,
}


@pytest.mark.parametrize(("statement", "number"), NUMBERS.items(), ids=[text[:60] for text in NUMBERS])
def test_error_number(sql: Any, statement: str, number: int) -> None:
    assert error_number(sql, statement) == number
    assert scalar(sql, "SELECT 1") == 1  # the connection goes on


def test_an_error_ends_its_statement_and_the_batch_goes_on(sql: Any) -> None:
    assert error_number(sql, "INSERT INTO dbo.Item (Code) VALUES (NULL); INSERT INTO dbo.Item (Code) VALUES ('after')") == 515
    assert rows(sql, "SELECT Code FROM dbo.Item") == [("after",)]


def test_with_xact_abort_an_error_undoes_the_transaction(sql: Any) -> None:
    batch = "SET XACT_ABORT ON; BEGIN TRAN; INSERT INTO dbo.Item (Code) VALUES ('a'); INSERT INTO dbo.Item (Code) VALUES (NULL)"
    assert error_number(sql, batch) == 515
    assert rows(sql, "SELECT @@TRANCOUNT, (SELECT COUNT(*) FROM dbo.Item)") == [(0, 0)]


def test_both_drivers_give_their_classes(legacy: LegacyServer, home: str, sql: Any) -> None:
    with pytest.raises(pymssql.IntegrityError), sql.cursor() as cursor:
        cursor.execute("INSERT INTO dbo.Item (Code) VALUES (NULL)")
    with fast(legacy, home) as connection:
        with pytest.raises(mssql_python.IntegrityError):
            rows(connection, "INSERT INTO dbo.Item (Code) VALUES (?)", (None,))
        with pytest.raises(mssql_python.ProgrammingError):
            rows(connection, "SELECT nothing FROM dbo.Item")
        with pytest.raises(mssql_python.DataError):
            rows(connection, "SELECT CAST('x' AS int)")
        assert scalar(connection, "SELECT 1") == 1
