"""Tables made for the tests of the source and the stage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pymssql

from etl.settings import SourceSettings

if TYPE_CHECKING:
    from fixtures.legacy_server.launcher import LegacyServer

EVERY_TYPE = """
CREATE TABLE dbo.EveryType (
    Id int NOT NULL CONSTRAINT PK_EveryType PRIMARY KEY CLUSTERED,
    B bit NULL, T tinyint NULL, S smallint NULL, I int NULL, L bigint NULL,
    D5 decimal(5,2) NULL, D38 decimal(38,10) NULL, M money NULL, Sm smallmoney NULL, R real NULL, F float NULL,
    Da date NULL, Ti0 time(0) NULL, Ti7 time(7) NULL,
    Dt datetime NULL, Sdt smalldatetime NULL, Dt20 datetime2(0) NULL, Dt27 datetime2(7) NULL, Dto datetimeoffset(7) NULL,
    C char(5) NULL, V varchar(20) NULL, Vm varchar(max) NULL, N nchar(5) NULL, Nv nvarchar(20) NULL, Nm nvarchar(max) NULL,
    Bi binary(4) NULL, Vb varbinary(10) NULL, Vbm varbinary(max) NULL, G uniqueidentifier NULL, X xml NULL,
    Plus AS (I + 1), Rv rowversion NOT NULL
)
"""

COLUMNS = [
    *("Id", "B", "T", "S", "I", "L", "D5", "D38", "M", "Sm", "R", "F", "Da", "Ti0", "Ti7", "Dt", "Sdt", "Dt20", "Dt27", "Dto"),
    *("C", "V", "Vm", "N", "Nv", "Nm", "Bi", "Vb", "Vbm", "G", "X"),
]

LITERALS: dict[int, str] = {
    1: "1, 200, -300, 70000, 5000000000, 123.45, 1234567890123456789012345678.0123456789, 12.3456, 1.5, 0.5, 0.1, '2024-02-29',"
    " '23:59:59', '23:59:59.1234567', '2024-01-31T08:00:00.003', '2024-01-31T08:15:00', '2024-01-31T08:15:30',"
    " '2024-01-31T08:15:30.1234567', '2024-01-31T08:15:30.1234567+08:00', 'ab', N'李雷', N'中文 text', N'€x', N'😀é',"
    " N'long 文', 0x01020304, 0x00ff, 0xdeadbeef, '6F9619FF-8B86-D011-B42D-00C04FC964FF', N'<a>1</a>'",
    2: "0, 0, -32768, -2147483648, -9223372036854775808, -999.99, '-9999999999999999999999999999.9999999999',"
    " -922337203685477.5808, -214748.3648, -3.4E+38, -1.7976931348623157E+308, '0001-01-01', '00:00:00', '00:00:00',"
    " '1753-01-01T00:00:00', '1900-01-01T00:00:00', '0001-01-01T00:00:00', '0001-01-01T00:00:00',"
    " '0001-01-01T14:00:00+14:00', '', '', '', N'', N'', N'', 0x00000000, 0x, 0x, '00000000-0000-0000-0000-000000000000', N''",
    3: "1, 255, 32767, 2147483646, 9223372036854775807, 999.99, 9999999999999999999999999999.9999999999,"
    " 922337203685477.5807, 214748.3647, 3.4E+38, 1.7976931348623157E+308, '9999-12-31', '23:59:59', '23:59:59.9999999',"
    " '9999-12-31T23:59:59.997', '2079-06-06T23:59:00', '9999-12-31T23:59:59', '9999-12-31T23:59:59.9999999',"
    " '9999-12-31T09:59:59.9999999-14:00', 'abcde', '01234567890123456789', 'x', N'abcde', N'01234567890123456789', N'y',"
    " 0xffffffff, 0xffffffffffffffffffff, 0xff, 'FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF', N'<b/>'",
    4: ", ".join(["NULL"] * 30),
    5: "1, 1, 1, 1, 1, 0, 0, 0, 0, 0, -0.0, '1900-01-01', '12:00:00', '12:00:00.0000001', '1900-01-01T00:00:00.997',"
    " '2000-01-01T00:00:00', '2000-01-01T00:00:00', '2000-01-01T00:00:00.9999999', '2000-01-01T00:00:00+00:00', 'a  ', 'b  ',"
    " 'c  ', N'd  ', N'e  ', N'f  ', 0x20202020, 0x20, 0x00, '6f9619ff-8b86-d011-b42d-00c04fc964f0', N'<c> </c>'",
}


def run_sql(server: LegacyServer, *statements: str, database: str = "master") -> list[tuple[Any, ...]]:
    """Run statements as the administrator; the rows of the last one."""
    connection = pymssql.connect(
        server=server.host,
        port=str(server.port),
        user=server.user,
        password=server.password,
        database=database,
        autocommit=True,
        tds_version="7.4",
    )
    try:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall()) if cursor.description else []
    finally:
        connection.close()


def make_database(server: LegacyServer, name: str, *tables: str, snapshot: bool = True, tracking: bool = True) -> str:
    """A new database with tables; every table with a key tracks its changes when `tracking`."""
    run_sql(server, f"CREATE DATABASE {name} COLLATE Chinese_PRC_CI_AS")
    if snapshot:
        run_sql(server, f"ALTER DATABASE {name} SET ALLOW_SNAPSHOT_ISOLATION ON")
    if tracking:
        run_sql(server, f"ALTER DATABASE {name} SET CHANGE_TRACKING = ON (CHANGE_RETENTION = 7 DAYS, AUTO_CLEANUP = ON)")
    run_sql(server, *tables, database=name)
    return name


def insert_rows(server: LegacyServer, table: str, columns: Sequence[str], rows: Sequence[str]) -> None:
    """INSERT of literal rows, each the text between the parentheses."""
    names = ", ".join(f"[{name}]" for name in columns)
    for row in rows:
        run_sql(server, f"INSERT INTO {table} ({names}) VALUES ({row})")


def with_driver(settings: SourceSettings, driver: str) -> SourceSettings:
    """The same source read through the other driver."""
    return settings.model_copy(update={"driver": driver})
