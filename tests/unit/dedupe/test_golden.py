"""The golden record, by column."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from pydantic import SecretStr

from etl.dedupe.golden import golden_rows
from etl.dedupe.golden_rules import parse_golden_rules, read_golden_rules
from etl.errors import ConfigurationError, RefusedError
from etl.settings import Settings, SourceSettings, TargetSettings

SETTINGS = Settings(
    source=SourceSettings(url=SecretStr("mssql://a:b@c:1")), target=TargetSettings(url=SecretStr("mysql://a:b@c:1"))
)
RULES = read_golden_rules(SETTINGS)
SCHEMA = pl.Schema(
    {
        "member_id": pl.Int64(),
        "name": pl.String(),
        "name_key": pl.String(),
        "phone": pl.String(),
        "address": pl.String(),
        "tier": pl.String(),
        "points": pl.Int64(),
        "balance": pl.Decimal(19, 4),
        "registered_at": pl.Datetime("us"),
        "legacy_updated_at": pl.Datetime("us"),
        "system": pl.String(),
        "source_id": pl.String(),
    }
)
ROWS = pl.DataFrame(
    [
        (7, "张伟", "zw1", "111", "a", "GOLD", 5, Decimal("1.50"), datetime(2015, 1, 1), datetime(2016, 1, 1), "crm", "7"),
        (7, "张玮", "zw2", "222", "a longer one", "BRONZE", 3, Decimal("2"), datetime(2012, 1, 1), None, "pos", "P1"),
        (7, "张玮", "zw3", "333", None, "BRONZE", 0, Decimal("0"), datetime(2016, 1, 1), datetime(2015, 1, 1), "ecom", "e"),
        (9, None, None, None, None, "BRONZE", 1, Decimal("0"), datetime(2016, 1, 1), None, "pos", "P2"),
        (9, None, None, "444", None, "BRONZE", 1, Decimal("0"), datetime(2017, 1, 1), None, "pos", "P3"),
    ],
    schema=SCHEMA,
    orient="row",
)


def test_each_column_by_its_rule() -> None:
    golden = golden_rows(ROWS, RULES)

    assert golden.rows.columns == [name for name in SCHEMA if name not in ("system", "source_id")]
    assert golden.rows.schema == {name: kind for name, kind in SCHEMA.items() if name not in ("system", "source_id")}
    assert golden.rows.row(0, named=True) == {
        "member_id": 7,
        "name": "张玮",  # most frequent; e-commerce goes before the tills
        "name_key": "zw3",  # of the same record
        "phone": "333",  # verified, though older
        "address": "a longer one",
        "tier": "GOLD",
        "points": 8,
        "balance": Decimal("3.5000"),
        "registered_at": datetime(2012, 1, 1),
        "legacy_updated_at": datetime(2016, 1, 1),
    }
    assert golden.rows.row(1, named=True)["phone"] == "444"
    assert golden.rows.row(1, named=True)["name"] is None


def test_lineage_tells_what_is_not_the_first_records() -> None:
    lineage = golden_rows(ROWS, RULES).lineage

    assert lineage.rows() == [
        (7, "address", "longest", "pos", "P1"),
        (7, "name", "most_frequent", "ecom", "e"),
        (7, "name_key", "most_frequent", "ecom", "e"),
        (7, "phone", "most_recent_verified", "ecom", "e"),
        (7, "registered_at", "earliest", "pos", "P1"),
        (9, "phone", "most_recent_verified", "pos", "P3"),
    ]


def test_the_order_of_rows_plays_no_part() -> None:
    straight, shuffled = golden_rows(ROWS, RULES), golden_rows(ROWS.sample(fraction=1, shuffle=True, seed=3), RULES)

    assert straight.rows.equals(shuffled.rows)
    assert straight.lineage.equals(shuffled.lineage)


def test_nobody_has_no_golden_record() -> None:
    assert golden_rows(ROWS.clear(), RULES).rows.is_empty()


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ('[columns]\nname = "most_recnt"', "most_recent"),
        ('defualt = "longest"', "default"),
        ("[columns]\nname = 3", "follows"),
        ('verified = "ecom"', "verified ="),
        ('[columns]\na = { follows = "b" }\nb = { follows = "c" }', "leads"),
        ("x = ", "docs/registry.md"),
    ],
)
def test_a_mistake_in_the_rules_is_told(text: str, hint: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_golden_rules(Path("golden.toml"), text)

    assert hint in caught.value.remedy


@pytest.mark.parametrize(
    ("column", "kind", "value"),
    [
        ("balance", pl.Decimal(19, 4), Decimal("900000000000000")),
        ("points", pl.Int64(), 2**63 - 1),
        ("points", pl.Int32(), 2**31 - 1),
    ],
)
def test_a_sum_that_does_not_fit_is_refused_not_cut_or_wrapped(column: str, kind: pl.DataType, value: object) -> None:
    rows = ROWS.with_columns(pl.when(pl.col("member_id") == 7).then(pl.lit(value, kind)).otherwise(pl.lit(1, kind)).alias(column))

    with pytest.raises(RefusedError, match=f"Column {column}: .* for 1 of the merged members") as refused:
        golden_rows(rows, RULES)

    assert str(value) not in f"{refused.value} {refused.value.remedy}"
