"""Points are whole, never earned twice, and worth what the rules say."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from etl.rules.points import (
    PointsRules,
    birthday_points,
    capped,
    double_eleven_points,
    expires_on,
    purchase_points,
    redemption_value,
    sign_in_points,
)
from etl.rules.tiers import Tier


@pytest.mark.parametrize(("spend", "points"), [("0.83", 0), ("0.84", 1), ("100", 120), ("99.9999", 119), ("-100", 0), ("0", 0)])
def test_purchases_are_rounded_down(spend: str, points: int) -> None:
    assert purchase_points(Decimal(spend)) == points


def test_a_platinum_birthday_month_earns_twice() -> None:
    spend, day = Decimal("99.99"), date(2018, 2, 1)
    assert purchase_points(spend) + birthday_points(spend, Tier.PLATINUM, date(2000, 2, 29), day) == 2 * purchase_points(spend)
    assert birthday_points(spend, Tier.PLATINUM, date(2000, 3, 1), day) == 0
    assert birthday_points(spend, Tier.PLATINUM, None, day) == 0
    assert birthday_points(spend, Tier.GOLD, date(2000, 2, 29), day) == 0


def test_double_eleven_is_one_day_and_a_large_order() -> None:
    assert double_eleven_points(Decimal(1000), date(2017, 11, 11)) == 50
    assert double_eleven_points(Decimal(5000), date(2017, 11, 12)) == 0
    assert double_eleven_points(Decimal("999.9999"), date(2017, 11, 11)) == 0


def test_signing_in_twice_a_day_counts_once() -> None:
    assert sign_in_points([date(2018, 1, 1)] * 5) == 1
    assert sign_in_points([]) == 0


def test_a_cap_leaves_no_debt() -> None:
    assert capped(10, 200, PointsRules(daily_cap=100)) == 0


@pytest.mark.parametrize(
    ("earned", "months", "gone"),
    [
        (date(2017, 1, 15), 12, date(2018, 1, 15)),
        (date(2016, 2, 29), 12, date(2017, 3, 1)),
        (date(2017, 12, 31), 2, date(2018, 3, 1)),
    ],
)
def test_expiry_counts_whole_months(earned: date, months: int, gone: date) -> None:
    assert expires_on(earned, PointsRules(expires_after_months=months)) == gone


def test_redemption_never_gives_more_than_the_points_are_worth() -> None:
    assert redemption_value(100, 1) == Decimal(100)
    assert redemption_value(100, 3) * 3 <= 100
    with pytest.raises(ValueError, match="rate"):
        redemption_value(100, 2)
    with pytest.raises(ValueError, match="negative"):
        redemption_value(-1, 1)
