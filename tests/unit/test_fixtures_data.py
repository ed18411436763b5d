"""The generated legacy data is what its truth says: defects where they were planted, and order everywhere else."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime, timedelta
from functools import reduce
from pathlib import Path

import polars as pl
import pytest

from etl.errors import UsageError
from fixtures.data import plan
from fixtures.data.defects import UTF16_SUFFIX
from fixtures.data.generate import TABLES, TRUTH_DEFECT, TRUTH_PERSON, LegacyData, generate, open_generated
from fixtures.data.plan import AS_OF

SCHEMA = (Path(__file__).parents[2] / "fixtures/data/legacy_schema.sql").read_text("utf-8")
COLUMN = re.compile(r"^    \[?(?!CONSTRAINT)(\w+)\]? (?!AS )(\w+)(?:\((\w+)(?:,\d+)?\))?(.*?),?$", re.MULTILINE)
KEYS = {
    "crm.dbo.Member": "MemberId",
    "pos.dbo.PosMember": "CardNo",
    "ecom.dbo.Account": "AccountId",
    "crm.dbo.PointsLedger": "EntryId",
    "crm.dbo.TierHistory": "TierHistoryId",
    "crm.dbo.CouponEvent": "CouponEventId",
    "crm.dbo.SignIn": "SignInId",
    "crm.dbo.Consent": "ConsentId",
    "crm.dbo.Campaign": "CampaignId",
    "crm.dbo.Coupon": "CouponId",
    "pos.dbo.Sale": "SaleNo",
    "ecom.dbo.Order": "OrderNo",
    "pos.dbo.Store": "StoreCode",
    "pos.dbo.Product": "ProductId",
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> LegacyData:
    """3,000 members in three blocks, so that what must hold across blocks is seen."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "BLOCK_MEMBERS", 1_000)
        return generate(3_000, 11, tmp_path_factory.mktemp("generated"))


def defects(data: LegacyData, table: str, kind: str) -> set[str]:
    """Keys of the rows in which `kind` was planted."""
    truth = data.frame(TRUTH_DEFECT).filter((pl.col("table") == table) & (pl.col("kind") == kind))
    return set(truth["key"])


def digest(folder: Path) -> dict[str, str]:
    """The content of every file of a folder."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_same_seed_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        generate(300, seed, tmp_path / name)
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
    different = {name for name, value in digest(tmp_path / "c").items() if value != digest(tmp_path / "a")[name]}
    assert "crm.dbo.Member.parquet" in different
    assert "pos.dbo.SaleLine.parquet" in different


@pytest.mark.parametrize("members", [1, 2, 7, 60])
def test_any_size_will_do(members: int, tmp_path: Path) -> None:
    made = generate(members, 1, tmp_path)
    assert made.rows["crm.dbo.Member"] == members
    assert open_generated(tmp_path).rows == made.rows


@pytest.mark.parametrize("members", [0, -1, 10_000_001])
def test_other_sizes_are_refused(members: int, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        generate(members, 1, tmp_path)


def test_fifteen_per_cent_of_all_ids_are_surplus(data: LegacyData) -> None:
    truth = data.frame(TRUTH_PERSON)
    persons = truth["person_id"].n_unique()
    assert truth.height == sum(data.rows[table] for table in ("crm.dbo.Member", "pos.dbo.PosMember", "ecom.dbo.Account"))
    surplus = truth.filter(pl.col("is_surplus")).height
    assert surplus == truth.height - persons
    assert abs(surplus - 0.15 * truth.height) <= 1
    assert truth.filter(~pl.col("is_surplus"))["person_id"].is_unique().all()
    systems = truth.group_by("person_id").agg(pl.col("system").sort().str.join("+"))["system"].value_counts()
    assert {"crm+pos", "crm+ecom", "ecom+pos", "crm+crm", "pos+pos", "ecom+ecom", "crm+ecom+pos"} <= set(systems["system"])


@pytest.mark.parametrize(
    ("system", "table"), [("crm", "crm.dbo.Member"), ("pos", "pos.dbo.PosMember"), ("ecom", "ecom.dbo.Account")]
)
def test_truth_names_every_id_once(data: LegacyData, system: str, table: str) -> None:
    known = data.frame(TRUTH_PERSON).filter(pl.col("system") == system)["legacy_id"]
    assert sorted(known) == sorted(data.frame(table)[KEYS[table]].cast(pl.String))


@pytest.mark.parametrize("table", list(KEYS))
def test_keys_are_unique_across_blocks(data: LegacyData, table: str) -> None:
    assert data.frame(table)[KEYS[table]].is_unique().all()


def test_every_defect_names_a_row_that_is_there(data: LegacyData) -> None:
    for (table,), truth in data.frame(TRUTH_DEFECT).group_by("table"):
        keys = data.frame(str(table))[KEYS[str(table)]].cast(pl.String)
        assert set(truth["key"]) <= set(keys), table


def test_every_kind_of_the_readme_is_planted(data: LegacyData) -> None:
    readme = (Path(__file__).parents[2] / "fixtures/data/README.md").read_text("utf-8")
    listed = set(re.findall(r"^\| ([a-z_]+(?:, [a-z_]+)*) \|", readme, re.MULTILINE)) - {"kind"}
    assert {name for names in listed for name in names.split(", ")} == set(data.frame(TRUTH_DEFECT)["kind"])


def test_points_are_the_ledgers_sum_but_where_planted(data: LegacyData) -> None:
    ledger = data.frame("crm.dbo.PointsLedger").group_by("MemberId").agg(pl.col("Delta").sum())
    members = data.frame("crm.dbo.Member").join(ledger, on="MemberId", how="left").with_columns(pl.col("Delta").fill_null(0))
    apart = members.filter(pl.col("Points") != pl.col("Delta"))
    assert set(apart["MemberId"].cast(pl.String)) == defects(data, "crm.dbo.Member", "points_apart")
    assert (members["Delta"] >= 0).all()


def test_tiers_follow_the_rule_but_where_planted(data: LegacyData) -> None:
    members = data.frame("crm.dbo.Member").join(spend_of(data), on="MemberId", how="left").fill_null(0)
    month, year = pl.col("month"), pl.col("year")
    ruled = pl.when(year > 50_000).then(3).when(month >= 2_000).then(2).when(month >= 500).then(1).otherwise(0)
    wrong = members.filter(pl.col("Tier") != ruled)
    assert set(wrong["MemberId"].cast(pl.String)) == defects(data, "crm.dbo.Member", "wrong_tier")
    assert set(members["Tier"]) == {0, 1, 2, 3}


def spend_of(data: LegacyData) -> pl.DataFrame:
    """What each member paid in the 30 and the 365 days before now, found by way of the ledger, as README.md says."""
    sales = data.frame("pos.dbo.Sale").select(
        pl.col("SaleNo").alias("RefNo"), (pl.col("Total") - pl.col("Discount")).alias("paid"), pl.col("SoldAt").alias("at")
    )
    orders = data.frame("ecom.dbo.Order").select(
        ("E" + pl.col("OrderNo").cast(pl.String)).alias("RefNo"),
        pl.col("Total").cast(pl.Decimal(19, 4)).alias("paid"),
        shanghai("PlacedAt").alias("at"),
    )
    bought = pl.concat([sales, orders.with_columns(pl.col("paid").cast(sales.schema["paid"]))])
    purchases = data.frame("crm.dbo.PointsLedger").filter(pl.col("Reason") == "PURCHASE").join(bought, on="RefNo")
    paid = pl.col("paid").cast(pl.Float64)
    return purchases.group_by("MemberId").agg(
        paid.filter(pl.col("at") >= AS_OF - timedelta(days=30)).sum().alias("month"),
        paid.filter(pl.col("at") >= AS_OF - timedelta(days=365)).sum().alias("year"),
    )


def shanghai(column: str) -> pl.Expr:
    """datetimeoffset text as a time by the retailer's clocks, cut to microseconds."""
    local = pl.col(column).str.slice(0, 26).str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us")
    offset = pl.col(column).str.slice(-6)
    sign = pl.when(offset.str.starts_with("-")).then(-1).otherwise(1)
    minutes = sign * (offset.str.slice(1, 2).cast(pl.Int64) * 60 + offset.str.slice(4, 2).cast(pl.Int64))
    return local + pl.duration(minutes=480 - minutes)


@pytest.mark.parametrize(
    ("table", "column", "referred"),
    [
        ("crm.dbo.PointsLedger", "MemberId", "crm.dbo.Member"),
        ("crm.dbo.CouponEvent", "MemberId", "crm.dbo.Member"),
        ("crm.dbo.TierHistory", "MemberId", "crm.dbo.Member"),
        ("crm.dbo.SignIn", "MemberId", "crm.dbo.Member"),
        ("crm.dbo.Consent", "MemberId", "crm.dbo.Member"),
        ("pos.dbo.Sale", "CardNo", "pos.dbo.PosMember"),
        ("ecom.dbo.Order", "AccountId", "ecom.dbo.Account"),
        ("crm.dbo.CouponEvent", "CouponId", "crm.dbo.Coupon"),
        ("crm.dbo.CouponEvent", "SaleNo", "pos.dbo.Sale"),
        ("pos.dbo.SaleLine", "SaleNo", "pos.dbo.Sale"),
        ("ecom.dbo.OrderLine", "OrderNo", "ecom.dbo.Order"),
        ("pos.dbo.SaleLine", "ProductId", "pos.dbo.Product"),
        ("ecom.dbo.OrderLine", "ProductId", "pos.dbo.Product"),
        ("crm.dbo.Coupon", "CampaignId", "crm.dbo.Campaign"),
        ("pos.dbo.Sale", "StoreCode", "pos.dbo.Store"),
        ("crm.dbo.Member", "StoreCode", "pos.dbo.Store"),
    ],
)
def test_orphans_are_those_planted(data: LegacyData, table: str, column: str, referred: str) -> None:
    rows = data.frame(table)
    known = data.frame(referred).select(pl.col(KEYS[referred]).alias(column))
    orphans = rows.filter(pl.col(column).is_not_null()).join(known, on=column, how="anti")
    truth = data.frame(TRUTH_DEFECT).filter(
        (pl.col("table") == table) & (pl.col("kind") == "orphan") & (pl.col("column") == column)
    )
    assert set(orphans[KEYS.get(table, column)].cast(pl.String)) == set(truth["key"])


@pytest.mark.parametrize(
    ("heads", "lines", "key"),
    [("pos.dbo.Sale", "pos.dbo.SaleLine", "SaleNo"), ("ecom.dbo.Order", "ecom.dbo.OrderLine", "OrderNo")],
)
def test_totals_are_the_sums_of_their_lines(data: LegacyData, heads: str, lines: str, key: str) -> None:
    sums = data.frame(lines).group_by(key).agg(pl.col("Amount").sum())
    both = data.frame(heads).join(sums, on=key, how="left")
    assert (
        both["Total"].cast(pl.String).str.strip_chars_end("0") == both["Amount"].cast(pl.String).str.strip_chars_end("0")
    ).all()


@pytest.mark.parametrize("table", ["crm.dbo.Member", "pos.dbo.PosMember"])
def test_identity_cards_have_right_check_digits_but_where_planted(data: LegacyData, table: str) -> None:
    rows = data.frame(table).filter(pl.col("IdCard").is_not_null())
    wrong = {str(key) for key, card in rows.select(KEYS[table], "IdCard").iter_rows() if not is_valid_card(card)}
    assert wrong == defects(data, table, "bad_id_check")


def is_valid_card(card: str) -> bool:
    """ISO 7064, mod 11-2: read as polynomial in 2, the number is 1 modulo 11."""
    values = [10 if letter in "xX" else int(letter) for letter in card]
    return reduce(lambda rest, value: (rest * 2 + value) % 11, values, 0) == 1


def test_nothing_happens_after_now_but_sentinels(data: LegacyData) -> None:
    sentinels = {datetime(9999, 12, 31), datetime(2079, 6, 6)}
    for table in TABLES:
        for frame in data.frames(table):
            for column in (name for name, dtype in frame.schema.items() if dtype == pl.Datetime("us")):
                late = set(frame[column].filter(frame[column] > AS_OF)) - sentinels
                assert not late, f"{table}.{column}"


def test_planted_half_characters_are_not_well_formed(data: LegacyData) -> None:
    seen = 0
    for table, column in (("crm.dbo.Member", "Address"), ("crm.dbo.PointsLedger", "Note"), ("ecom.dbo.Account", "RealName")):
        frame = data.frame(table).filter(pl.col(column + UTF16_SUFFIX).is_not_null())
        assert set(frame[KEYS[table]].cast(pl.String)) == defects(data, table, "lone_surrogate")
        for raw in frame[column + UTF16_SUFFIX]:
            seen += 1
            with pytest.raises(UnicodeDecodeError):
                bytes(raw).decode("utf-16-le")
    assert seen >= 3


def columns_of(table: str) -> dict[str, tuple[str, str, str]]:
    """name -> (type, length, the rest) of a table in legacy_schema.sql."""
    database, _, name = table.split(".")
    part = SCHEMA.split(f"USE {database};")[1].split("\nUSE ")[0]
    body = re.split(rf"CREATE TABLE dbo\.\[?{name}\]? \(", part)[1].split("\n);")[0]
    return {found[1]: (found[2], found[3] or "", found[4]) for found in COLUMN.finditer(body)}


@pytest.mark.parametrize("table", TABLES)
def test_rows_fit_the_legacy_schema(data: LegacyData, table: str) -> None:
    columns = columns_of(table)
    filled = {name for name, (kind, _, _) in columns.items() if kind != "rowversion"}
    frame = data.frame(table)
    assert filled == {name for name in frame.columns if not name.endswith(UTF16_SUFFIX)}
    for name in filled:
        kind, length, rest = columns[name]
        if "NOT NULL" in rest:
            assert frame[name].null_count() == 0, name
        if kind in ("varchar", "char"):
            widest = max((len(text.encode("cp936")) for text in frame[name].drop_nulls().unique()), default=0)
            assert widest <= int(length), name
        if kind == "nvarchar" and length != "max":
            units = max((len(text.encode("utf-16-le")) // 2 for text in frame[name].drop_nulls().unique()), default=0)
            assert units <= int(length), name


def test_twins_differ_in_case_or_accent_only(data: LegacyData) -> None:
    truth = data.frame(TRUTH_DEFECT).filter(pl.col("kind").is_in(["case_twin", "accent_twin"]))
    assert truth.height >= 4
    for row in truth.iter_rows(named=True):
        table, column = row["table"], row["column"]
        values = dict(data.frame(table).select(pl.col(KEYS[table]).cast(pl.String), column).iter_rows())
        twin, model = values[row["key"]], values[row["note"]]
        assert twin != model
        assert twin.replace("á", "a").casefold() == model.casefold()
