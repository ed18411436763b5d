"""Both drivers against one server: the same columns, the same values, exactly what T-SQL wrote."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from etl.names import SourceTable
from etl.settings import Settings, SourceSettings
from etl.source.catalog import read_catalog
from etl.source.connect import open_source
from etl.source.extract import canonical_schema, select_statement
from tests.integration.source.legacy_tables import COLUMNS, EVERY_TYPE, LITERALS, insert_rows, make_database, with_driver

if TYPE_CHECKING:
    from fixtures.legacy_server.launcher import LegacyServer

DRIVERS = ["plain"] + (["fast"] if importlib.util.find_spec("mssql_python") else [])
NAME = SourceTable("src_types", "dbo", "EveryType")


@pytest.fixture(scope="module")
def types_database(legacy: LegacyServer) -> str:
    make_database(legacy, "src_types", EVERY_TYPE)
    rows = [f"{number}, {values}" for number, values in LITERALS.items()]
    insert_rows(legacy, "src_types.dbo.EveryType", COLUMNS, rows)
    return "src_types"


@pytest.fixture
def source(legacy: LegacyServer, settings_for: Callable[..., Settings]) -> SourceSettings:
    return settings_for(source=legacy).source


def read_all(settings: SourceSettings, driver: str) -> pa.Table:
    with open_source(with_driver(settings, driver)) as source:
        table = read_catalog(source, (), [NAME]).tables[NAME]
        schema = canonical_schema(table)
        batches = list(source.arrow_batches(select_statement(table), 2, schema, database=NAME.database))
        return pa.Table.from_batches(batches, schema)


@pytest.mark.parametrize("driver", DRIVERS)
def test_values_arrive_exactly_as_written(types_database: str, source: SourceSettings, driver: str) -> None:
    first, low, high, nulls, blank = read_all(source, driver).to_pylist()
    assert [first[name] for name in ("B", "T", "S", "I", "L")] == [True, 200, -300, 70000, 5000000000]
    assert first["D38"] == Decimal("1234567890123456789012345678.0123456789")
    assert (first["M"], first["Sm"], first["R"], first["F"]) == (Decimal("12.3456"), Decimal("1.5"), 0.5, 0.1)
    assert (first["Da"], first["Ti0"], first["Ti7"]) == (date(2024, 2, 29), time(23, 59, 59), time(23, 59, 59, 123456))
    assert first["Dt"] == datetime(2024, 1, 31, 8, 0, 0, 3000)
    assert first["Dt27"] == datetime(2024, 1, 31, 8, 15, 30, 123456)
    assert (first["Dto"], first["Dto__offset"]) == (datetime(2024, 1, 31, 0, 15, 30, 123456), 480)
    assert (first["V"], first["Vm"], first["Nv"], first["Nm"]) == ("李雷", "中文 text", "😀é", "long 文")
    assert (first["Bi"], first["Vb"], first["Vbm"]) == (b"\x01\x02\x03\x04", b"\x00\xff", b"\xde\xad\xbe\xef")
    assert (first["G"], first["X"]) == ("6f9619ff-8b86-d011-b42d-00c04fc964ff", "<a>1</a>")
    assert not first["Nv__damaged"]
    assert (low["M"], low["Sm"]) == (Decimal("-922337203685477.5808"), Decimal("-214748.3648"))
    assert (low["Da"], low["Dt27"], low["Dto"]) == (date(1, 1, 1), datetime(1, 1, 1), datetime(1, 1, 1))
    assert (low["V"], low["Nv"], low["Vb"], low["Nm"]) == ("", "", b"", "")
    assert high["Ti7"] == time(23, 59, 59, 999999)
    assert high["Dt27"] == datetime(9999, 12, 31, 23, 59, 59, 999999)
    assert (high["L"], high["F"]) == (9223372036854775807, 1.7976931348623157e308)
    assert {name for name, value in nulls.items() if value is not None} - {"Id"} <= {"N__damaged", "Nv__damaged", "Nm__damaged"}
    assert blank["V"] == "b  "
    assert blank["Ti7"] == time(12)
    assert blank["Dt27"] == datetime(2000, 1, 1, 0, 0, 0, 999999)


@pytest.mark.skipif(len(DRIVERS) < 2, reason="mssql-python is not installed")
def test_both_drivers_give_the_same_table(types_database: str, source: SourceSettings) -> None:
    plain, fast = read_all(source, "plain"), read_all(source, "fast")
    assert plain.schema == fast.schema
    different = [name for name in plain.schema.names if not plain[name].combine_chunks().equals(fast[name].combine_chunks())]
    assert different == []


def test_columns_that_are_not_staged_are_not_read(types_database: str, source: SourceSettings) -> None:
    assert {"Plus", "Rv"}.isdisjoint(read_all(source, DRIVERS[-1]).schema.names)
