"""A table without a mapping is moved with its types, key and indexes, row by row."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time
from decimal import Decimal

import polars as pl
import pytest

from etl.errors import RefusedError
from etl.load.model import LoadRequest, LoadResult
from etl.load.rejects import RejectFilter, read_rejects
from etl.load.run import run_load
from etl.names import SourceTable
from etl.progress import Silent
from etl.settings import Settings, TargetSettings
from etl.stage.run import StageRequest, run_stage
from etl.target.bulk import BulkConnection
from fixtures.legacy_server.launcher import LegacyServer
from fixtures.legacy_server.seed import load_table
from tests.conftest import SettingsFactory
from tests.integration.source.legacy_tables import make_database

DATABASE = "asis"
FOO = """CREATE TABLE dbo.Foo (
    Id int IDENTITY(1,1) NOT NULL CONSTRAINT PK_Foo PRIMARY KEY CLUSTERED,
    Code varchar(12) NOT NULL, Name nvarchar(30) NULL, Amount money NOT NULL, Ratio float NULL, Small real NULL,
    Active bit NOT NULL, Level tinyint NULL, OpenedOn date NULL, ClosesAt time(0) NULL, At datetime2(7) NULL,
    Placed datetimeoffset(3) NULL, Guid uniqueidentifier NULL, Raw varbinary(16) NULL, RowVer rowversion NOT NULL)"""
INDEXES = ("CREATE UNIQUE INDEX UX_Foo_Code ON dbo.Foo (Code)", "CREATE INDEX IX_Foo_Name ON dbo.Foo (Name)")
NOTE = "CREATE TABLE dbo.Note (StoreCode varchar(8) NOT NULL, Note nvarchar(200) NULL)"


@pytest.fixture(scope="module")
def database(legacy: LegacyServer) -> str:
    """Two tables, one without a key."""
    make_database(
        legacy,
        DATABASE,
        FOO,
        NOTE,
        "CREATE UNIQUE INDEX UX_Foo_Code ON dbo.Foo (Code)",
        "CREATE INDEX IX_Foo_Name ON dbo.Foo (Name)",
    )
    foo = {
        "Id": [3, 7, 2_000_000_000],
        "Code": ["A", "b ", "汉"],
        "Name": ["x\ty\\n\"z\"", None, ""],
        "Amount": [Decimal("-1.0001"), Decimal("922337203685477.5807"), Decimal("0.0000")],
        "Ratio": [0.1, None, -1e300],
        "Small": [0.1, 3.5, None],
        "Active": [True, False, True],
        "Level": [255, None, 0],
        "OpenedOn": [date(1, 1, 2), None, date(9999, 12, 31)],
        "ClosesAt": [time(23, 59, 59), None, time(0)],
        "At": ["2024-02-29 23:59:59.9999999", None, "1900-01-01 00:00:00.0000000"],
        "Placed": ["2024-05-06 10:20:30.123 +08:00", None, "2024-05-06 10:20:30.123 -03:30"],
        "Guid": ["6F9619FF-8B86-D011-B42D-00C04FC964FF", None, "00000000-0000-0000-0000-000000000001"],
        "Raw": [b"\x00\xff\n'", None, b""],
    }  # fmt: skip
    load_table(
        legacy,
        f"{DATABASE}.dbo.Foo",
        pl.DataFrame(foo, schema_overrides={"Small": pl.Float32, "Level": pl.UInt8, "Amount": pl.Decimal(19, 4)}),
    )
    load_table(legacy, f"{DATABASE}.dbo.Note", pl.DataFrame({"StoreCode": ["S1", "S1", "S2"], "Note": ["same", "same", None]}))
    return DATABASE


@pytest.fixture
def settings(
    legacy: LegacyServer, database: str, ready_target: TargetSettings, settings_for: SettingsFactory, connection: BulkConnection
) -> Iterator[Settings]:
    """Both tables staged; the tables that a test creates are dropped."""
    settings = settings_for(source=legacy, databases=(database,), target=ready_target)
    run_stage(settings, StageRequest(tables=(f"{database}.dbo.Foo", f"{database}.dbo.Note")), Silent())
    yield settings
    for table in ("asis_foo", "asis_note", "moved"):
        connection.execute(f"DROP TABLE IF EXISTS `{ready_target.schema_name}`.`{table}`")


def move(settings: Settings, table: str, **options: object) -> LoadResult:
    """Load a table as it is."""
    chosen = {"execute": True, **options}
    request = LoadRequest(as_is=SourceTable.parse(f"{DATABASE}.dbo.{table}"), **chosen)  # type: ignore[arg-type]  # any option
    return run_load(settings, request, Silent())


def test_types_key_and_indexes_are_kept_and_every_value_arrives(settings: Settings, connection: BulkConnection) -> None:
    result = move(settings, "Foo")

    assert result.complete
    assert result.rows == 3
    schema = settings.target.schema_name
    columns = {row[0]: row[1] for row in connection.query(f"SHOW COLUMNS FROM `{schema}`.asis_foo")}
    assert (columns["Code"], columns["Amount"], columns["Guid"], columns["At"]) == (
        "varchar(12)",
        "decimal(19,4)",
        "char(36)",
        "datetime(6)",
    )
    assert "RowVer" not in columns
    indexes = {
        row[0] for row in connection.query("SELECT INDEX_NAME FROM INFORMATION_SCHEMA.STATISTICS WHERE TABLE_NAME = 'asis_foo'")
    }
    assert indexes == {"PRIMARY", "UX_Foo_Code", "IX_Foo_Name"}
    first, second, third = connection.query(
        "SELECT Code, Name, Amount, Ratio, Small, Active, Level, OpenedOn, At, Placed, Placed__offset, Guid, Raw "
        f"FROM `{schema}`.asis_foo ORDER BY Id"
    )
    assert first[:4] == ("A", 'x\ty\\n"z"', Decimal("-1.0001"), 0.1)
    assert first[4] == pytest.approx(0.1, rel=1e-7)
    assert first[7:11] == (date(1, 1, 2), datetime(2024, 2, 29, 23, 59, 59, 999999), datetime(2024, 5, 6, 2, 20, 30, 123000), 480)
    assert first[11:] == ("6f9619ff-8b86-d011-b42d-00c04fc964ff", b"\x00\xff\n'")
    assert second[:3] == ("b ", None, Decimal("922337203685477.5807"))
    assert (third[0], third[1], third[7], third[10], third[12]) == ("汉", "", date(9999, 12, 31), -210, b"")


def test_again_changes_nothing_even_without_a_key(settings: Settings, connection: BulkConnection) -> None:
    first, again = move(settings, "Note"), move(settings, "Note")

    assert (first.rows, again.rows) == (3, 0)
    assert any("no primary key" in note for note in first.notes)
    assert int(connection.scalar(f"SELECT COUNT(*) FROM `{settings.target.schema_name}`.asis_note")) == 3


def test_dry_run_shows_the_statements_only(settings: Settings, connection: BulkConnection) -> None:
    result = move(settings, "Foo", execute=False)

    assert result.statements[0].startswith("CREATE TABLE")
    assert len(result.statements) == 3
    assert result.tables[0].pending == 3
    assert not connection.query("SELECT 1 FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_NAME = 'asis_foo'")


def test_damaged_text_goes_into_quarantine(settings: Settings, connection: BulkConnection, legacy: LegacyServer) -> None:
    half = "好".encode("utf-16-le") + b"\x3d\xd8"
    load_table(legacy, f"{DATABASE}.dbo.Note", pl.DataFrame({"StoreCode": ["S9"], "Note": [half]}))
    run_stage(settings, StageRequest(tables=(f"{DATABASE}.dbo.Note",), restart=(f"{DATABASE}.dbo.Note",)), Silent())

    result = move(settings, "Note", as_name="moved")

    assert (result.rows, result.rejected) == (3, 1)
    (reject,) = read_rejects(connection, settings.target.state_schema, RejectFilter())
    assert (reject.column_name, reject.reason, reject.masked_value) == ("Note", "damaged_text", "***")


def test_a_table_of_that_name_with_other_columns_is_refused(settings: Settings) -> None:
    with pytest.raises(RefusedError, match="other columns"):
        move(settings, "Foo", as_name="store")


def test_not_staged_names_the_command(settings: Settings, legacy: LegacyServer) -> None:
    bare = settings.model_copy(update={"state": settings.state.model_copy(update={"dir": settings.state_dir / "elsewhere"})})
    run_stage(bare, StageRequest(tables=(f"{DATABASE}.dbo.Note",)), Silent())
    with pytest.raises(RefusedError) as caught:
        move(bare, "Foo")
    assert caught.value.remedy == f"Run: membershift stage --table {DATABASE}.dbo.Foo"
