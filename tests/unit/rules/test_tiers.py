"""The tier follows from what was spent, at each threshold and on both sides of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from etl.rules.tiers import DEFAULT_RULES, Tier, TierRules, in_window, tier_for


@pytest.mark.parametrize(
    ("month", "year", "tier"),
    [
        ("0", "0", Tier.BRONZE),
        ("499.9999", "499.9999", Tier.BRONZE),
        ("500", "500", Tier.SILVER),
        ("1999.9999", "1999.9999", Tier.SILVER),
        ("2000", "2000", Tier.GOLD),
        ("50000", "50000", Tier.GOLD),
        ("0", "50000.0001", Tier.PLATINUM),
        ("-10", "-10", Tier.BRONZE),
    ],
)
def test_thresholds(month: str, year: str, tier: Tier) -> None:
    assert tier_for(Decimal(month), Decimal(year)) is tier


def test_rules_can_be_changed_but_not_turned_upside_down() -> None:
    assert tier_for(Decimal(100), Decimal(100), TierRules(silver_from=Decimal(100))) is Tier.SILVER
    with pytest.raises(ValueError, match="silver_from"):
        TierRules(silver_from=Decimal(3000))


def test_a_window_has_its_first_moment_and_not_its_last() -> None:
    now = datetime(2018, 1, 2)
    assert in_window(now - timedelta(days=30), now, DEFAULT_RULES.month)
    assert not in_window(now - timedelta(days=30, microseconds=1), now, DEFAULT_RULES.month)
    assert not in_window(now, now, DEFAULT_RULES.month)
