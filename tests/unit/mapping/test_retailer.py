"""The retailer's mapping: whole, and right on a row of each kind."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

import polars as pl
import pytest

from etl.mapping.compile import polars_schema
from etl.source.extract import DAMAGED_SUFFIX
from tests.unit.mapping.frames import MEMBER, apply, reasons
from tests.unit.mapping.schemas import compiled, retailer, source_schema, source_tables, target_columns

PARTS = [part.name for part in retailer().parts]
# Known and meant: the target has no place for a login name, the offset of a registration, or when an order was last touched.
NOT_MAPPED = {("ecom.dbo.Account", "Username"), ("ecom.dbo.Account", "CreatedAt__offset"), ("ecom.dbo.Order", "UpdatedAt")}


@pytest.mark.parametrize("name", PARTS)
def test_every_part_fits_source_and_target_and_takes_no_rows(name: str) -> None:
    part = compiled(name)
    outcome = apply(name, [])
    assert outcome.rows.columns == [column.name for column in part.target_columns]
    assert list(outcome.rows.schema.values()) == [column.polars_type() for column in part.target_columns]
    assert outcome.rejects.is_empty()


def test_no_legacy_column_is_forgotten() -> None:
    used = {(str(part.part.source), column) for part in map(compiled, PARTS) for column in part.source_columns}
    staged = {
        (str(table), column)
        for table in source_tables()
        for column in source_schema(table).names
        if table.name != "TillNote" and not column.endswith(DAMAGED_SUFFIX)
    }
    assert staged - used == NOT_MAPPED


def test_every_target_column_is_filled_by_some_part() -> None:
    kept_by_server = {"updated_at", "synced_at", "merged_into"}
    for table in retailer().tables:
        mapped = {column.target for part in table.parts for column in part.columns}
        assert {column.name for column in target_columns()[table.target]} - mapped <= kept_by_server, table.target


def test_personal_columns_are_marked_in_every_part_that_defines_members() -> None:
    for part in retailer().parts:
        if part.defines_member is not None:
            mapped = {column.target for column in part.columns}
            wanted = {"name", "name_key", "phone", "email", "id_card", "union_id", "birthday", "address"} & mapped
            assert set(part.personal) >= wanted, part.name


def test_a_crm_member_keeps_its_id_and_its_values_are_made_alike() -> None:
    row = MEMBER | {
        "Phone": "+86 139-1234-5678",
        "Birthday": "1949-12-31T00:00:00",
        "Address": "上海市　１号",
        "StoreCode": "s0001 ",
    }
    outcome = apply("member/crm", [row])
    assert outcome.rows.row(0, named=True) == {
        "member_id": 7,
        "name": "王小明",
        "name_key": "王小明",
        "gender": "M",
        "phone": "+8613912345678",
        "email": "wang@example.com",
        "id_card": "11010519491231002X",
        "union_id": None,
        "birthday": date(1949, 12, 31),
        "address": "上海市 1号",
        "tier": "SILVER",
        "points": 120,
        "balance": Decimal("12.3400"),
        "store_code": "S0001",
        "registered_at": datetime(2015, 6, 1, 1, 30),
        "origin": "crm",
        "legacy_updated_at": datetime(2015, 12, 31, 16),
    }
    assert outcome.links is not None
    assert outcome.links.rows() == [("7", 7, datetime(2015, 6, 1, 1, 30))]
    assert outcome.rejects.is_empty()
    assert outcome.notes.is_empty()


def test_a_pos_member_takes_the_id_it_is_given_and_its_card_is_written_in_one_way() -> None:
    part = compiled("member/pos")
    row = {"CardNo": "p1 ", "Birthday": "90/1/2", "JoinedOn": "2015-06-01T09:30:00", "UpdatedAt": "2015-06-01T09:30:00"}
    outcome = apply("member/pos", [row], {"member_id": [2**32]})
    assert outcome.rows.row(0, named=True)["member_id"] == 2**32
    assert outcome.rows.row(0, named=True)["birthday"] == date(1990, 1, 2)
    assert outcome.links is not None
    assert outcome.links["source_id"].to_list() == ["P1"]
    assert [reference.system for reference in part.member_references] == ["pos"]


def test_sales_keep_what_was_paid_and_when() -> None:
    pos = {
        "SaleNo": "N1",
        "StoreCode": "S1",
        "CardNo": None,
        "TillNo": 3,
        "SoldAt": "2017-11-11T20:00:00.003",
        "PayMethod": "WX  ",
    }
    row = apply("sale/pos", [pos | {"Total": "100.0000", "Discount": "0.0100"}], {"member_id": [None]}).rows.row(0, named=True)
    assert (row["paid"], row["pay_method"], row["member_id"]) == (Decimal("99.9900"), "WX", None)
    assert row["sold_at"] == datetime(2017, 11, 11, 12, 0, 0, 3000)
    order = {"OrderNo": 12, "AccountId": "x", "PlacedAt": "2017-11-11T12:00:00", "PlacedAt__offset": 480, "Status": "PAID"}
    row = apply("sale/ecom", [order | {"Total": "10.00", "Freight": "6.00"}], {"member_id": [5]}).rows.row(0, named=True)
    assert (row["sale_no"], row["total"], row["paid"], row["sold_at_offset"]) == ("E12", Decimal(10), Decimal(16), 480)
    assert row["sold_at"] == datetime(2017, 11, 11, 12)


def test_a_sale_of_an_unknown_buyer_is_loaded_without_a_member_but_a_ledger_entry_is_not() -> None:
    sale = {"SaleNo": "N1", "StoreCode": "S1", "CardNo": "GONE", "TillNo": 1, "SoldAt": "2017-01-01T00:00:00"}
    outcome = apply("sale/pos", [sale | {"Total": "1.0000", "Discount": "0.0000"}], {"member_id": [None]})
    assert outcome.rows.height == 1
    assert reasons(outcome.notes) == [("N1", "member_id", "unknown_member")]
    entry = {"EntryId": 9, "MemberId": 1, "Delta": 5, "Reason": "EVENT", "CreatedAt": "2017-01-01T00:00:00"}
    outcome = apply("points_ledger/crm", [entry], {"member_id": [None]})
    assert outcome.rows.is_empty()
    assert reasons(outcome.rejects) == [("9", "member_id", "unknown_member")]


def test_sentinels_mean_none() -> None:
    coupon = {"CouponId": 1, "CampaignId": 1, "Code": "C", "FaceValue": "5", "MinSpend": "0", "ValidFrom": "2017-01-01T00:00:00"}
    outcome = apply("coupon/crm", [coupon | {"ValidTo": "9999-12-31T00:00:00"}])
    assert outcome.rows["valid_to"].to_list() == [None]
    campaign = {"CampaignId": 1, "Code": "C", "Name": "N", "StartsAt": "2017-01-01T00:00:00", "EndsAt": "2079-06-06T23:59:00"}
    assert apply("campaign/crm", [campaign]).rows["ends_at"].to_list() == [None]
    history = {"TierHistoryId": 1, "MemberId": 1, "ToTier": 2, "ChangedAt": "1900-01-01T00:00:00"}
    assert reasons(apply("tier_history/crm", [history]).rejects) == [("1", "changed_at", "null_not_allowed")]


def test_a_sign_in_is_one_moment() -> None:
    row = {"SignInId": 1, "MemberId": 1, "SignDate": date(2017, 1, 1), "SignTime": "07:59:59", "Channel": "APP"}
    assert apply("sign_in/crm", [row]).rows["signed_at"].to_list() == [datetime(2016, 12, 31, 23, 59, 59)]


def test_a_time_of_year_one_does_not_cost_an_account() -> None:
    row = {
        "AccountId": "6f9619ff-8b86-d011-b42d-00c04fc964ff",
        "CreatedAt": "2015-01-01T00:00:00",
        "UpdatedAt": "2015-01-01T00:00:00",
        "LastLoginAt": "0001-01-01T00:00:00",
    }
    outcome = apply("member/ecom", [row])
    assert outcome.rows["last_seen_at"].to_list() == [None]
    assert reasons(outcome.notes) == [(row["AccountId"], "last_seen_at", "out_of_range")]


def test_the_clock_of_1988_was_an_hour_ahead() -> None:
    outcome = apply("member/crm", [MEMBER | {"CreatedAt": "1988-07-01T12:00:00"}])
    assert outcome.rows["registered_at"].to_list() == [datetime(1988, 7, 1, 3)]


def test_staged_types_are_those_of_the_stage() -> None:
    schema = polars_schema(source_schema(retailer().part("member/crm").source))
    assert schema["Balance"] == pl.Decimal(19, 4)
    assert schema["MemberId"] == pl.Int32
    assert schema["Email__damaged"] == pl.Boolean
