"""T-SQL expressions and what SQL Server answers: types, rounding, text by UTF-16 units and code page, dates."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from tests.integration.legacy_server.support import plain, rows

if TYPE_CHECKING:
    from fixtures.legacy_server.launcher import LegacyServer

D = Decimal
ANSWERS: dict[str, dict[str, Any]] = {
    "numbers": {
        "7 / 2": 3,
        "-7 / 2": -3,
        "7 % 3": 1,
        "7 / 2.0": D("3.500000"),
        "2.0 / 3": D("0.666666"),
        "CAST(10 AS money) / 3": D("3.3333"),
        "1.5 * 1.25": D("1.875"),
        "CAST(0.1 AS float) + 0.2": 0.30000000000000004,
        "CAST(2147483647 AS bigint) + 1": 2147483648,
        "CAST(1.5 AS int)": 1,
        "CAST(1.25 AS decimal(5, 1))": D("1.3"),
        "ROUND(2.345, 2)": D("2.350"),
        "FLOOR(-1.5)": D("-2"),
        "5 & 3": 1,
        "~5": -6,
        "-(2 - 5)": 3,
        "CAST('12' AS int) + 1": 13,
        "ISNULL(NULLIF(3, 3), 9)": 9,
        "CASE WHEN 1 = 2 THEN 1 ELSE 2.5 END": D("2.5"),
        "IIF(2 > 1, N'是', N'否')": "是",
        "TRY_CONVERT(int, 'x1')": None,
        "TRY_CAST('99999999999' AS int)": None,
        "CONVERT(bigint, 0x00000000000007D1)": 2001,
        "CONVERT(binary(8), CONVERT(bigint, 258))": b"\0\0\0\0\0\0\x01\x02",
        "CAST(258 AS varbinary(4))": b"\0\0\x01\x02",
    },
    "text": {
        "LEN(N'a  ')": 1,
        "DATALENGTH(N'中a')": 4,
        "DATALENGTH('中a')": 3,
        "LEN(N'😀')": 2,
        "DATALENGTH(N'😀')": 4,
        "SUBSTRING(N'北京市朝阳区', 3, 2)": "市朝",
        "SUBSTRING('abc', 0, 2)": "a",
        "LEFT(N'中文', 1) + RIGHT('xyz', 2)": "中yz",
        "UPPER(N'aé') + LOWER('B')": "AÉb",
        "CHARINDEX('C', 'abcabc')": 3,
        "CHARINDEX('c', 'abcabc', 4)": 6,
        "PATINDEX('%[^0-9]%', '138x0')": 4,
        "REPLACE('a-b-c', '-', '')": "abc",
        "REPLICATE('ab', 3)": "ababab",
        "STUFF('abcdef', 2, 3, 'X')": "aXef",
        "CONCAT('a', NULL, 1)": "a1",
        "'a' + CAST(5 AS varchar(3))": "a5",
        "QUOTENAME('a]b')": "[a]]b]",
        "CAST(N'中文' AS varbinary(8))": "中文".encode("utf-16-le"),
        "CAST('中文' AS varbinary(8))": "中文".encode("gbk"),
        "CAST(N'中😀' AS varchar(10))": "中??",
        "CAST('abcdef' AS varchar(3))": "abc",
        "CONVERT(varchar(10), 0x00FF, 1)": "0x00FF",
        "CAST(12.5 AS varchar(10))": "12.5",
        "CAST(CAST(1234.5678 AS money) AS varchar(20))": "1234.57",
        "CONVERT(nvarchar(4), 0x2D4E8765)": "中文",
        "UNICODE(N'中')": 20013,
        "CASE WHEN 'abc ' = 'ABC' THEN 1 ELSE 0 END": 1,
        "CASE WHEN N'é' = N'e' THEN 1 ELSE 0 END": 0,
        "CASE WHEN N'é' = N'É' THEN 1 ELSE 0 END": 1,
        "CASE WHEN 'a' = 'A' COLLATE Latin1_General_BIN2 THEN 1 ELSE 0 END": 0,
        "CASE WHEN 'a' LIKE '[A-C]' THEN 1 ELSE 0 END": 1,
        "CASE WHEN '5%' LIKE '5!%' ESCAPE '!' THEN 1 ELSE 0 END": 1,
        "CASE WHEN N'a中' LIKE N'_[一-龥]' THEN 1 ELSE 0 END": 1,
    },
    "moments": {
        "CAST('2024-01-31 08:00:00.678' AS datetime)": datetime(2024, 1, 31, 8, 0, 0, 677000),
        "CAST('20240131' AS date)": date(2024, 1, 31),
        "CAST('2024-01-31T23:59:59.9999999' AS datetime2(3))": datetime(2024, 2, 1),
        "CAST('2024-01-31 08:15:30' AS smalldatetime)": datetime(2024, 1, 31, 8, 16),
        "DATEADD(month, 1, CAST('2024-01-31' AS date))": date(2024, 2, 29),
        "DATEADD(day, -30, CONVERT(datetime2(0), '2018-01-02T00:00:00', 126))": datetime(2017, 12, 3),
        "DATEDIFF(day, '2024-02-28', '2024-03-01')": 2,
        "DATEDIFF(month, '2024-01-31', '2024-02-01')": 1,
        "DATEDIFF(year, '2023-12-31', '2024-01-01')": 1,
        "YEAR('2024-05-06') * 100 + MONTH('2024-05-06')": 202405,
        "DATEPART(TZOFFSET, CAST('2024-01-02 03:04:05 +08:00' AS datetimeoffset))": 480,
        "CAST(SWITCHOFFSET(CAST('2024-01-02 03:04:05.1234567 +08:00' AS datetimeoffset(7)), 0) AS datetime2(7))": datetime(
            2024, 1, 1, 19, 4, 5, 123456
        ),
        "CONVERT(varchar(8), CAST('2024-05-06 07:08:09' AS datetime), 112)": "20240506",
        "CONVERT(varchar(23), CAST('2024-05-06 07:08:09.123' AS datetime), 121)": "2024-05-06 07:08:09.123",
        "CONVERT(varchar(30), CAST('2024-05-06 07:08:09.1234567' AS datetime2(7)), 126)": "2024-05-06T07:08:09.1234567",
        "CAST(CAST('2024-05-06 17:08:09' AS datetime) AS varchar(20))": "May  6 2024  5:08PM",
        "EOMONTH('2024-02-03')": date(2024, 2, 29),
        "TRY_CONVERT(date, '20240230')": None,
        "CASE WHEN CAST('2024-01-02 08:00 +08:00' AS datetimeoffset) = CAST('2024-01-02 00:00 +00:00' AS datetimeoffset) THEN "
        "1 END": 1,
    },
    "other": {
        "CAST('6F9619FF-8B86-D011-B42D-00C04FC964FF' AS uniqueidentifier)": UUID("6F9619FF-8B86-D011-B42D-00C04FC964FF"),
        "HASHBYTES('MD5', 'a')": bytes.fromhex("0cc175b9c0f1b6a831c399e269772661"),
        "HASHBYTES('MD5', N'a')": bytes.fromhex("4144e195f46de78a3623da7364d04f11"),
        "SERVERPROPERTY('EngineEdition')": b"\x02\0\0\0",
        "CAST(SERVERPROPERTY('ProductVersion') AS nvarchar(128))": "11.0.7001.0",
        "DB_NAME()": "master",
        "SUSER_SNAME()": "sa",
        "@@TRANCOUNT": 0,
        "OBJECT_ID('nowhere.dbo.nothing')": None,
        "(SELECT COUNT(*) FROM (VALUES (1, N'a'), (2, N'b')) AS v (id, name) WHERE id > 1)": 1,
        "(SELECT SUM(x) FROM (SELECT 1 AS x UNION ALL SELECT 2) AS u)": 3,
    },
}
CASES = [(text, expected) for group in ANSWERS.values() for text, expected in group.items()]


@pytest.fixture(scope="module")
def answers(legacy: LegacyServer) -> dict[str, Any]:
    """Every expression's answer, a group of them a statement."""
    found: dict[str, Any] = {}
    with plain(legacy) as connection:
        for group in ANSWERS.values():
            texts = list(group)
            for start in range(0, len(texts), 20):
                part = texts[start : start + 20]
                found |= dict(zip(part, rows(connection, f"SELECT {', '.join(part)}")[0], strict=True))
    return found


@pytest.mark.parametrize(("text", "expected"), CASES, ids=[text[:60] for text, _ in CASES])
def test_expression(answers: dict[str, Any], text: str, expected: Any) -> None:
    found = answers[text]
    assert found == expected
    assert type(found) is type(expected)


def test_guids_sort_as_sql_server_sorts_them(legacy: LegacyServer) -> None:
    """The last six bytes count first, then the groups from right to left."""
    ordered = [
        "FF000000-0000-0000-0000-000000000000",
        "00000000-FF00-0000-0000-000000000000",
        "00000000-0000-FF00-0000-000000000000",
        "00000000-0000-0000-FF00-000000000000",
        "00000000-0000-0000-0000-000000000001",
        "00000000-0000-0000-0000-010000000000",
    ]
    values = ", ".join(f"(CAST('{text}' AS uniqueidentifier))" for text in reversed(ordered))
    with plain(legacy) as connection:
        found = [str(row[0]).upper() for row in rows(connection, f"SELECT g FROM (VALUES {values}) AS v (g) ORDER BY g")]
    assert found == ordered
