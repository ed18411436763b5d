"""Bulk loads: every value as given, text no driver could carry, and change tracking that knows nothing of it."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import polars as pl
import psutil
import pytest

from fixtures.legacy_server.launcher import running_legacy_server, start_legacy_server, stop_legacy_server
from fixtures.legacy_server.seed import create_tables, load_table
from tests.integration.legacy_server.support import ITEM, new_database, plain, rows, scalar

if TYPE_CHECKING:
    from pathlib import Path

    from fixtures.legacy_server.launcher import LegacyServer

TRACKED = "ALTER TABLE dbo.Item ENABLE CHANGE_TRACKING"
MOMENTS = """CREATE TABLE dbo.Moments (Id int NOT NULL PRIMARY KEY, Da date, Tm time(7), Dt datetime, Sd smalldatetime,
    D2 datetime2(7), Do datetimeoffset(7), Bt bit, Gu uniqueidentifier, Vb varbinary(10), De decimal(20, 3), Fl float)"""


def test_rows_are_there_as_if_they_always_had_been(legacy: LegacyServer) -> None:
    name = new_database(legacy, ITEM, TRACKED, tracking=True)
    frame = pl.DataFrame(
        {"ItemId": [5, 9], "Code": ["a", "b"], "Name": ["王", None], "Price": [Decimal("1.2500"), Decimal("2")], "Sold": [2, 3]}
    )
    assert load_table(legacy, f"{name}.dbo.Item", frame) == 2
    with plain(legacy, name) as connection:
        found = rows(connection, "SELECT ItemId, Code, Name, Total FROM dbo.Item ORDER BY ItemId")
        assert found == [(5, "a", "王", Decimal("2.5")), (9, "b", None, Decimal("6"))]
        assert scalar(connection, "SELECT CHANGE_TRACKING_CURRENT_VERSION()") == 0
        assert scalar(connection, "SELECT CHANGE_TRACKING_MIN_VALID_VERSION(OBJECT_ID('dbo.Item'))") == 0
        assert scalar(connection, "SELECT COUNT(*) FROM CHANGETABLE(CHANGES dbo.Item, 0) AS c") == 0
        assert scalar(connection, "SELECT COUNT(DISTINCT RowVer) FROM dbo.Item WHERE RowVer <= @@DBTS") == 2
        assert scalar(connection, "SELECT CONVERT(int, last_value) FROM sys.identity_columns") == 9
        rows(connection, "INSERT INTO dbo.Item (Code) VALUES ('c')")
        assert scalar(connection, "SELECT SCOPE_IDENTITY()") == 10


def test_text_that_no_driver_can_carry(legacy: LegacyServer) -> None:
    name = new_database(legacy, ITEM)
    awkward = ["a\ud800b", "\udc00", "😀", "tab\tline\nback\\slash", "nul\0here", "\x1a\x1e\x1f", "", " pad ", "\\N"]
    texts = [text.encode("utf-16-le", "surrogatepass") for text in awkward]
    frame = pl.DataFrame({"Code": [str(n) for n in range(len(texts))], "Name": pl.Series(texts, dtype=pl.Binary)})
    assert load_table(legacy, f"{name}.dbo.Item", frame) == len(texts)
    with plain(legacy, name) as connection:
        found = rows(connection, "SELECT CAST(Name AS varbinary(40)), DATALENGTH(Name) FROM dbo.Item ORDER BY ItemId")
        assert found == [(text, len(text)) for text in texts]
        pattern = "%[\ud800-\udfff]%".encode("utf-16-le", "surrogatepass").hex()
        like = (
            f"SELECT Code FROM dbo.Item WHERE Name COLLATE Latin1_General_BIN2 LIKE CONVERT(nvarchar(7), 0x{pattern}) ORDER BY 1"
        )
        assert [row[0] for row in rows(connection, like)] == ["0", "1", "2"]
        high_alone = "%[\ud800-\udbff][^\udc00-\udfff]%".encode("utf-16-le", "surrogatepass").hex()
        like = f"SELECT Code FROM dbo.Item WHERE Name COLLATE Latin1_General_BIN2 LIKE CONVERT(nvarchar(14), 0x{high_alone})"
        assert [row[0] for row in rows(connection, like)] == ["0"]


def test_plain_text_with_special_characters_of_the_file_format(legacy: LegacyServer) -> None:
    name = new_database(legacy, ITEM)
    awkward = ["tab\tline\nback\\slash", "\x1e\x1f", "", "\\N", "quote'\"", None, "😀"]
    load_table(legacy, f"{name}.dbo.Item", pl.DataFrame({"Code": [str(n) for n in range(len(awkward))], "Name": awkward}))
    with plain(legacy, name) as connection:
        assert [row[0] for row in rows(connection, "SELECT Name FROM dbo.Item ORDER BY Code")] == awkward


def test_moments_and_the_rest(legacy: LegacyServer) -> None:
    name = new_database(legacy, MOMENTS)
    frame = pl.DataFrame(
        {
            "Id": [1], "Da": [date(1, 1, 1)], "Tm": ["23:59:59.9999999"], "Dt": [datetime(2024, 1, 2, 3, 4, 5, 678000)],
            "Sd": [datetime(2024, 1, 2, 3, 4, 30)], "D2": ["9999-12-31 23:59:59.9999999"],
            "Do": ["2024-01-02 03:04:05.1234567 +08:00"],
            "Bt": [True], "Gu": ["6F9619FF-8B86-D011-B42D-00C04FC964FF"], "Vb": [b"\0\x1f\n"],
            "De": [Decimal("-12345678901234567.891")],
            "Fl": [0.1],
        }
    )  # fmt: skip
    load_table(legacy, f"{name}.dbo.Moments", frame)
    texts = "CONVERT(varchar(30), Tm), CONVERT(varchar(30), D2, 121), CONVERT(varchar(40), Do), CONVERT(varchar(36), Gu)"
    with plain(legacy, name) as connection:
        found = rows(connection, f"SELECT Da, Dt, Sd, Bt, Vb, De, Fl, {texts} FROM dbo.Moments")[0]
    assert found == (
        date(1, 1, 1), datetime(2024, 1, 2, 3, 4, 5, 677000), datetime(2024, 1, 2, 3, 5), True, b"\0\x1f\n",
        Decimal("-12345678901234567.891"),
        0.1, "23:59:59.9999999", "9999-12-31 23:59:59.9999999", "2024-01-02 03:04:05.1234567 +08:00",
        "6F9619FF-8B86-D011-B42D-00C04FC964FF",
    )  # fmt: skip


def test_a_value_that_does_not_fit_loads_nothing(legacy: LegacyServer) -> None:
    name = new_database(legacy, ITEM)
    with pytest.raises(ValueError, match=r"dbo\.Item"):
        load_table(legacy, f"{name}.dbo.Item", pl.DataFrame({"Code": ["fits", "far too long to fit"]}))
    with plain(legacy, name) as connection:
        assert scalar(connection, "SELECT COUNT(*) FROM dbo.Item") == 0
    with pytest.raises(ValueError, match="no column Nope"):
        load_table(legacy, f"{name}.dbo.Item", pl.DataFrame({"Nope": [1]}))


def test_killed_and_started_again_on_the_same_port(tmp_path: Path) -> None:
    server = start_legacy_server(tmp_path, password="Long enough 1", databases=("shop",))
    try:
        create_tables(server, f"USE shop\nGO\n{ITEM}\nGO\nINSERT INTO dbo.Item (Code) VALUES ('kept')\nGO\n")
        process = psutil.Process(server.pid)
        process.kill()
        process.wait(60)
        again = start_legacy_server(tmp_path, password="Long enough 1", port=server.port, databases=("shop",))
        assert again.port == server.port
        assert running_legacy_server(tmp_path) == again
        with plain(again, "shop") as connection:
            assert rows(connection, "SELECT Code, Sold FROM dbo.Item") == [("kept", 0)]
    finally:
        stop_legacy_server(tmp_path)
    assert running_legacy_server(tmp_path) is None
