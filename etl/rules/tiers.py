"""Which tier a member has: by what it spent lately.

The retailer's rule: by the spend of the trailing 30 days bronze below 500, silver from 500, gold from 2,000; platinum when the
spend of the trailing year is above 50,000, whatever the last 30 days were.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import IntEnum
from typing import Final


class Tier(IntEnum):
    """Tiers in rising order; the number is the legacy code, the name is what the target holds."""

    BRONZE = 0
    SILVER = 1
    GOLD = 2
    PLATINUM = 3


@dataclass(frozen=True)
class TierRules:
    """Thresholds, in the currency of the ledger. `silver_from` and `gold_from` are reached, `platinum_above` is exceeded."""

    silver_from: Decimal = Decimal(500)
    gold_from: Decimal = Decimal(2_000)
    platinum_above: Decimal = Decimal(50_000)
    month: timedelta = timedelta(days=30)
    year: timedelta = timedelta(days=365)

    def __post_init__(self) -> None:
        if not Decimal(0) <= self.silver_from <= self.gold_from:
            raise ValueError("silver_from must not be above gold_from")


DEFAULT_RULES: Final = TierRules()


def tier_for(spend_30d: Decimal, spend_year: Decimal, rules: TierRules = DEFAULT_RULES) -> Tier:
    """Tier by trailing spend, in the currency of the ledger. Platinum looks at the year, the others at 30 days.

    >>> tier_for(Decimal("499.99"), Decimal("0"), DEFAULT_RULES).name
    'BRONZE'
    >>> tier_for(Decimal("500"), Decimal("500")).name, tier_for(Decimal("2000"), Decimal("50000")).name
    ('SILVER', 'GOLD')
    >>> tier_for(Decimal("0"), Decimal("50000.01")).name
    'PLATINUM'
    """
    if spend_year > rules.platinum_above:
        return Tier.PLATINUM
    if spend_30d >= rules.gold_from:
        return Tier.GOLD
    return Tier.SILVER if spend_30d >= rules.silver_from else Tier.BRONZE


def in_window(moment: datetime, as_of: datetime, window: timedelta) -> bool:
    """Does a purchase count: as_of - window <= moment < as_of?

    >>> in_window(datetime(2018, 1, 1), datetime(2018, 1, 31), timedelta(days=30))
    True
    >>> in_window(datetime(2018, 1, 31), datetime(2018, 1, 31), timedelta(days=30))
    False
    """
    return as_of - window <= moment < as_of
