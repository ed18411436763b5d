"""The real data arrives whole: every transaction, every cent, and no key that a generated row could have."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from fixtures.data.complete_journey import FIRST_MEMBER, map_complete_journey, read_set
from fixtures.data.generate import MAX_MEMBERS, TRUTH_DEFECT, LegacyData


@pytest.fixture(scope="module")
def journey(tmp_path_factory: pytest.TempPathFactory) -> LegacyData:
    """The whole set, mapped."""
    return map_complete_journey(1, tmp_path_factory.mktemp("journey"))


def test_every_transaction_is_a_line_and_every_basket_a_sale(journey: LegacyData) -> None:
    assert journey.rows["pos.dbo.SaleLine"] == 1_469_307
    assert journey.rows["pos.dbo.Sale"] == 155_848
    assert journey.rows["crm.dbo.Member"] == journey.rows["pos.dbo.PosMember"] == 2_469
    assert journey.rows["pos.dbo.Product"] == 92_331
    lines = journey.frame("pos.dbo.SaleLine")
    assert lines.select("SaleNo", "LineNo").is_unique().all()


def test_every_cent_is_there(journey: LegacyData) -> None:
    received = Decimal(str(round(float(read_set("transactions")["sales_value"].sum()), 2)))
    sales = journey.frame("pos.dbo.Sale")
    assert sales.select(pl.col("Total") - pl.col("Discount")).to_series().sum() == received
    assert journey.frame("pos.dbo.SaleLine")["Amount"].sum() == sales["Total"].sum()


def test_redemptions_name_sales_of_the_same_member(journey: LegacyData) -> None:
    events = journey.frame("crm.dbo.CouponEvent")
    redeemed = events.filter(pl.col("Event") == "REDEEMED")
    assert redeemed.height == read_set("coupon_redemptions").height
    named = redeemed.filter(pl.col("SaleNo").is_not_null())
    assert named.height > 900
    sold = named.join(journey.frame("pos.dbo.Sale").select("SaleNo", "CardNo", "SoldAt"), on="SaleNo", how="left")
    assert (sold["CardNo"].str.slice(1).cast(pl.Int64) + FIRST_MEMBER == sold["MemberId"]).all()
    assert (sold["SoldAt"].dt.date() == sold["EventAt"].dt.date()).all()


def test_points_are_the_ledgers_sum(journey: LegacyData) -> None:
    ledger = journey.frame("crm.dbo.PointsLedger").group_by("MemberId").agg(pl.col("Delta").sum())
    both = journey.frame("crm.dbo.Member").join(ledger, on="MemberId", how="left")
    assert (both["Points"] == both["Delta"]).all()


def test_no_key_meets_a_generated_one(journey: LegacyData) -> None:
    assert min(journey.frame("crm.dbo.Member")["MemberId"]) > MAX_MEMBERS
    assert min(journey.frame("pos.dbo.Product")["ProductId"]) > 5_000
    assert journey.frame("pos.dbo.Store")["StoreCode"].str.starts_with("C").all()
    assert journey.frame("pos.dbo.PosMember")["CardNo"].str.starts_with("H").all()
    assert journey.frame("pos.dbo.Sale")["SaleNo"].str.starts_with("CJ").all()
    for table, key in (("crm.dbo.PointsLedger", "EntryId"), ("crm.dbo.CouponEvent", "CouponEventId")):
        assert min(journey.frame(table)[key]) >= 5_000_000_000_000


def test_lines_of_unknown_products_are_told(journey: LegacyData) -> None:
    unknown = journey.frame("pos.dbo.SaleLine").join(journey.frame("pos.dbo.Product"), on="ProductId", how="anti")
    told = journey.frame(TRUTH_DEFECT)
    assert unknown.height == told.height == 4_836
    assert set(told["column"]) == {"ProductId"}


def test_a_missing_package_is_told_with_its_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from etl.errors import ConfigurationError

    monkeypatch.setattr("fixtures.data.complete_journey.find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match="not installed") as raised:
        map_complete_journey(1, tmp_path)
    assert "--no-complete-journey" in raised.value.remedy
