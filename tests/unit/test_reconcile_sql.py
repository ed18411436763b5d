"""The SQL that reconcile and repair send, as text."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import polars as pl
import pytest

from etl.names import SourceTable
from etl.reconcile.actual import select
from etl.reconcile.by_key import key_condition, statement
from etl.reconcile.invariant_sides import fill
from etl.reconcile.invariants import zone_offset
from etl.reconcile.members import WrongLink
from etl.reconcile.plan import PartPlan, TablePlan, decode_keys, encode_keys
from etl.reconcile.write_rows import delete_row, insert_row, link_row, update_row
from etl.source.catalog import Column, Table
from etl.target.columns import TargetColumn

LINES = TablePlan(
    target="sale_line",
    key=("sale_no", "line_no"),
    columns=(
        TargetColumn("sale_no", "text", length=32),
        TargetColumn("line_no", "integer", precision=32),
        TargetColumn("amount", "decimal", precision=19, scale=4),
        TargetColumn("weight", "float", precision=32, type_name="float"),
    ),
    parts=(),
    left_out=("updated_at",),
)
SEEN = {"sale_no": "S1", "line_no": 2, "amount": Decimal("1.0000"), "weight": 0.5}


def test_floats_are_read_with_all_their_digits() -> None:
    assert select("m", LINES) == ("SELECT `sale_no`, `line_no`, `amount`, CAST(`weight` AS DOUBLE) FROM `m`.`sale_line`")


def test_an_update_writes_only_the_columns_that_differ() -> None:
    assert update_row("m", LINES, SEEN | {"amount": Decimal("2.0000")}, SEEN) == (
        "UPDATE `m`.`sale_line` SET `amount` = %s WHERE `sale_no` = %s AND `line_no` = %s",
        (Decimal("2.0000"), "S1", 2),
    )


def test_an_insert_names_its_columns_and_a_delete_its_key() -> None:
    assert insert_row("m", LINES, SEEN) == (
        "INSERT INTO `m`.`sale_line` (`sale_no`, `line_no`, `amount`, `weight`) VALUES (%s, %s, %s, %s)",
        ("S1", 2, Decimal("1.0000"), 0.5),
    )
    assert delete_row("m", LINES, SEEN) == (
        "DELETE FROM `m`.`sale_line` WHERE `sale_no` = %s AND `line_no` = %s",
        ("S1", 2),
    )


@pytest.mark.parametrize(
    ("found", "sql", "values"),
    [
        (
            7,
            "UPDATE `m`.member_source SET member_id = %s, linked_by = %s WHERE source = %s AND source_id = %s AND member_id = %s",
            (5, "repair", "pos", "C1", 7),
        ),
        (
            None,
            "INSERT INTO `m`.member_source (source, source_id, member_id, valid_from, linked_by) "
            "SELECT %s, %s, member_id, registered_at, %s FROM `m`.member WHERE member_id = %s",
            ("pos", "C1", "repair", 5),
        ),
    ],
)
def test_a_link_is_changed_only_where_it_leads_where_it_was_seen(found: int | None, sql: str, values: tuple[object, ...]) -> None:
    part = PartPlan.__new__(PartPlan)  # its contents do not matter here
    assert link_row("m", WrongLink(part, "pos", "C1", "C1", 5, found)) == (sql, values)


TABLE = Table(
    SourceTable("pos", "dbo", "T"),
    (
        Column("No", "varchar", 24, 0, 0, False, "Chinese_PRC_CI_AS", 936),
        Column("Id", "uniqueidentifier", 16, 0, 0, False),
        Column("At", "datetime", 8, 23, 3, False),
    ),
    ("No",),
)


def test_keys_of_the_source_are_literals_of_their_own_type() -> None:
    assert key_condition(TABLE, pl.DataFrame({"No": ["S'1", "店2"]})) == (
        "[No] IN ('S''1', CAST(CONVERT(nvarchar(2), 0x975e3200) COLLATE Chinese_PRC_CI_AS AS varchar(24)))"
    )
    guid = "0f9619ff-8b86-d011-b42d-00c04fc964ff"
    assert key_condition(TABLE, pl.DataFrame({"Id": [guid]})) == f"[Id] IN (CONVERT(uniqueidentifier, '{guid}'))"
    several = key_condition(TABLE, pl.DataFrame({"No": ["A", "B"], "At": [datetime(2026, 1, 1), datetime(2026, 1, 2)]}))
    assert several == (
        "([No] = 'A' AND [At] = CONVERT(datetime, '2026-01-01T00:00:00.000', 126)) OR "
        "([No] = 'B' AND [At] = CONVERT(datetime, '2026-01-02T00:00:00.000', 126))"
    )


def test_encoded_keys_come_back_as_they_were() -> None:
    keys = pl.DataFrame(
        {
            "a": ["x|y", "中 ", ""],
            "b": [1, -2, 3],
            "c": [Decimal("1.50"), Decimal("0.00"), Decimal("-1.00")],
            "d": [b"\x00", b"", b"\xff"],
        },
        schema={"a": pl.String, "b": pl.Int32, "c": pl.Decimal(9, 2), "d": pl.Binary},
    )
    assert decode_keys(encode_keys(keys), dict(keys.schema)).equals(keys)
    moments = pl.DataFrame({"t": [datetime(2026, 1, 1, 0, 0, 0, 1)]}, schema={"t": pl.Datetime("us")})
    assert decode_keys(encode_keys(moments), dict(moments.schema)).equals(moments)


def test_member_ids_are_looked_up_by_system_and_id() -> None:
    assert statement("m", 2) == "SELECT source_id, member_id FROM `m`.member_source WHERE source = %s AND source_id IN (%s, %s)"


def test_placeholders_of_invariants_are_filled_and_other_braces_stay() -> None:
    assert (
        fill("SELECT '{x}' WHERE {only} AND z = '{zone}'", only="1 = 1", zone="+08:00")
        == "SELECT '{x}' WHERE 1 = 1 AND z = '+08:00'"
    )
    assert zone_offset("America/St_Johns", datetime(2026, 1, 1)) == ("-03:30", -210)
