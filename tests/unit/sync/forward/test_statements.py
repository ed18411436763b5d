"""The SQL of forward as text, and what it makes of one row."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

import polars as pl
import pytest

from etl.errors import RefusedError
from etl.names import SourceTable
from etl.reconcile.plan import PartPlan, plan_table
from etl.source.catalog import Catalog, Column
from etl.sync.base import RowBase
from etl.sync.digest import digest
from etl.sync.forward.literals import in_statements, row_literals
from etl.sync.forward.merged_rows import MergedRow, Merging, merge_row
from etl.sync.forward.positions import Reached, parse_detail, reached_of
from etl.sync.forward.read_changes import tracked_statement
from etl.sync.forward.read_rows import changed_since, rows_statement
from etl.sync.forward.versions import check_forward, check_shape
from etl.sync.plan import SyncTable
from tests.unit.mapping.schemas import retailer, source_tables, target_columns

NOW = datetime(2026, 5, 1, 10, tzinfo=UTC).replace(tzinfo=None)
LINE = SourceTable("pos", "dbo", "SaleLine")


@cache
def table(name: str) -> SyncTable:
    """A table of the retailer's."""
    mapping = next(one for one in retailer().tables if one.target == name)
    keys = {part.source: part.key for part in retailer().parts}
    catalog = Catalog({source: replace(found, key=keys.get(source, ())) for source, found in source_tables().items()})
    return SyncTable(plan_table(mapping, catalog, target_columns()), mapping.sync)


def part(name: str) -> PartPlan:
    """A part by its name."""
    return next(one for one in table(name.split("/", 1)[0]).plan.parts if one.part.name == name)


def test_changes_are_read_with_their_rows_in_key_order() -> None:
    assert tracked_statement(part("store/pos"), 7, None, 100).startswith(
        "SELECT TOP (100) CASE WHEN t.[StoreCode] IS NULL THEN 0 ELSE 1 END AS [__there], "
        "CASE WHEN ct.[__context] = 0x6d656d626572736869667400 THEN 1 ELSE 0 END AS [__ours], ct.[__version], "
        "CAST([__k0] AS nvarchar(8)) AS [__k0], CAST([StoreCode] AS nvarchar(8)) AS [StoreCode], "
    )
    assert tracked_statement(part("store/pos"), 7, None, 100).endswith(
        "FROM (SELECT c.[StoreCode] AS [__k0], c.SYS_CHANGE_VERSION AS [__version], c.SYS_CHANGE_CONTEXT AS [__context] "
        "FROM CHANGETABLE(CHANGES [dbo].[Store], 7) AS c) AS ct "
        "LEFT JOIN [dbo].[Store] AS t ON t.[StoreCode] = ct.[__k0] ORDER BY ct.[__k0]"
    )


def test_a_page_goes_on_after_a_key_of_several_columns() -> None:
    assert (
        " WHERE (ct.[__k0] > 'S''1') OR (ct.[__k0] = 'S''1' AND ct.[__k1] > 2) ORDER BY ct.[__k0], ct.[__k1]"
        in tracked_statement(part("sale_line/pos"), 7, "S'1\x1f2", 10)
    )
    assert rows_statement(part("sale_line/pos"), "t.[x] = 1", "S1\x1f2", 10).endswith(
        "FROM [dbo].[SaleLine] AS t WHERE (t.[x] = 1) AND ((t.[SaleNo] > 'S1') OR (t.[SaleNo] = 'S1' AND t.[LineNo] > 2)) "
        "ORDER BY t.[SaleNo], t.[LineNo]"
    )


def test_an_overlap_reads_back() -> None:
    clock = Column("UpdatedAt", "datetime", 8, 23, 3, nullable=False)
    since = (NOW - datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None)) // timedelta(microseconds=1)
    assert changed_since(clock, since, timedelta(minutes=5)) == (
        "t.[UpdatedAt] >= CONVERT(datetime, '2026-05-01T09:55:00.000', 126)"
    )
    assert "1970-01-01T00:00:00.000" in changed_since(clock, 0, timedelta(minutes=5))


def test_rows_are_written_as_text_that_means_the_same() -> None:
    rows = pl.DataFrame(
        {"t": ["a'b\\c\x00", None], "d": [Decimal("1.50"), None], "b": [b"\x01\xff", None], "at": [NOW, None], "y": [True, False]}
    )
    assert row_literals(rows, rows.columns).to_list() == [
        "('a''b\\\\c\\0',1.50,X'01ff','2026-05-01 10:00:00.000000',1)",
        "(NULL,NULL,NULL,NULL,0)",
    ]
    assert list(in_statements(pl.Series(["(1)", "(2)", "(3)"]), most=6)) == ["(1)", "(2),(3)"]


def test_a_position_tells_where_a_long_span_goes_on() -> None:
    reached = Reached(LINE, 5, "tracking:x", 9, "S1\x1f2")
    assert reached_of(LINE, 5, reached.detail) == reached
    assert reached_of(LINE, 5, None) == Reached(LINE, 5)
    assert reached_of(LINE, 5, replace(reached, after="k" * 500).detail) == Reached(LINE, 5, "tracking:x")
    assert parse_detail("noted by hand") == {}


@pytest.mark.parametrize("version", [4, None])
def test_a_version_that_went_back_is_refused(version: int | None) -> None:
    with pytest.raises(RefusedError) as refused:
        check_forward(Reached(LINE, 5), version)
    assert "membershift sync resync pos.dbo.SaleLine" in refused.value.remedy


def test_a_shape_that_nobody_noted_is_any_shape() -> None:
    check_shape(Reached(LINE, 5), "tracking:x")
    with pytest.raises(RefusedError):
        check_shape(Reached(LINE, 5, "tracking:y"), "tracking:x")


def member(**values: Any) -> dict[str, Any]:
    """A member."""
    names = table("member").plan.schema
    return {**dict.fromkeys(names), "member_id": 7, "points": 10, "balance": Decimal(0), "__key": "7", **values}


def merged(row: dict[str, Any], there: dict[str, Any] | None, base: RowBase | None, **returned: Decimal) -> MergedRow | None:
    """The row merged."""
    return merge_row(Merging(table("member"), timedelta(0)), row, there, base, returned)


def in_step(**values: Any) -> dict[str, Any]:
    """A row of the target that is in step."""
    return member(**values) | {"updated_at": NOW, "synced_at": NOW}


def test_a_row_in_step_without_a_base_has_itself_in_common() -> None:
    found = merged(member(name="new", points=12), in_step(name="old"), None)
    assert found is not None
    assert (found.values["name"], found.values["points"], found.in_step, found.conflicts) == ("new", 12, True, ())
    assert found.base.added == {"points": Decimal(12), "balance": Decimal(0)}


def test_what_reverse_has_added_is_no_change_of_the_legacy_side() -> None:
    base = RowBase({}, {"points": Decimal(10), "balance": Decimal(0)})
    there = in_step(points=17)
    hashes = {name: digest(there[name]) for name in table("member").kept}
    found = merged(member(points=17), there, RowBase(hashes, base.added), points=Decimal(7))
    assert found is not None
    assert (found.values["points"], found.write, found.in_step) == (17, False, True)


def test_a_row_deleted_on_the_target_comes_back_only_if_the_legacy_row_changed() -> None:
    row = member(name="n")
    base = RowBase({name: digest(row[name]) for name in table("member").kept}, {"points": Decimal(10), "balance": Decimal(0)})
    assert merged(row, None, base) is None
    back = merged(member(name="m"), None, base)
    assert back is not None
    assert [conflict.column for conflict in back.conflicts] == ["deleted"]


def test_a_row_that_was_not_known_to_be_dirty_is_left_for_reverse() -> None:
    """What both have in common says that the target changed; its mark does not."""
    row = member(name="n")
    base = RowBase({name: digest(row[name]) for name in table("member").kept}, {"points": Decimal(10), "balance": Decimal(0)})
    found = merged(row, in_step(name="mine"), base)
    assert found is not None
    assert (found.values["name"], found.write, found.in_step) == ("mine", True, False)
