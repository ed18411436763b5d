"""How many points a member earns, and what they are worth.

The retailer's rules: 1.2 points for each unit of money spent, twice that for platinum members in the month of their birthday; 5
for registering for an event; 1 for signing in, once a day; 50 on top for an order of 1,000 or more on 11 November. Points are
whole: what is earned is rounded down. Redemption is one to one, or three points for one unit of money, by the campaign.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_FLOOR, Decimal
from typing import Final

from etl.rules.tiers import Tier


@dataclass(frozen=True)
class PointsRules:
    """The figures behind the rules. A cap or an expiry of None is none.

    `double_eleven` is (month, day). `daily_cap`: most points of purchases a member earns in a day. `expires_after_months`: a lot
    of points is gone when this many whole months have passed since it was earned.
    """

    per_unit: Decimal = Decimal("1.2")
    event: int = 5
    sign_in: int = 1
    double_eleven: tuple[int, int] = (11, 11)
    double_eleven_from: Decimal = Decimal(1_000)
    double_eleven_bonus: int = 50
    birthday_factor: int = 2
    redemption_rates: tuple[int, ...] = (1, 3)
    daily_cap: int | None = None
    expires_after_months: int | None = None


DEFAULT_POINTS: Final = PointsRules()


def purchase_points(spend: Decimal, rules: PointsRules = DEFAULT_POINTS) -> int:
    """Points for a purchase; none for a refund.

    >>> purchase_points(Decimal("99.99")), purchase_points(Decimal("-5"))
    (119, 0)
    """
    return int((max(spend, Decimal(0)) * rules.per_unit).to_integral_value(ROUND_FLOOR))


def birthday_points(spend: Decimal, tier: Tier, birthday: date | None, day: date, rules: PointsRules = DEFAULT_POINTS) -> int:
    """Points on top of `purchase_points` for a platinum member whose birthday is in the month of `day`.

    >>> birthday_points(Decimal(100), Tier.PLATINUM, date(1990, 5, 31), date(2018, 5, 1))
    120
    >>> birthday_points(Decimal(100), Tier.GOLD, date(1990, 5, 31), date(2018, 5, 1))
    0
    """
    if tier is not Tier.PLATINUM or birthday is None or birthday.month != day.month:
        return 0
    return purchase_points(spend, rules) * (rules.birthday_factor - 1)


def double_eleven_points(total: Decimal, day: date, rules: PointsRules = DEFAULT_POINTS) -> int:
    """Points on top for a large order on 11 November. `day` is the retailer's local date.

    >>> double_eleven_points(Decimal(1000), date(2017, 11, 11)), double_eleven_points(Decimal("999.99"), date(2017, 11, 11))
    (50, 0)
    """
    on_the_day = (day.month, day.day) == rules.double_eleven
    return rules.double_eleven_bonus if on_the_day and total >= rules.double_eleven_from else 0


def sign_in_points(days: Iterable[date], rules: PointsRules = DEFAULT_POINTS) -> int:
    """Points for signing in on `days`; a day counts once.

    >>> sign_in_points([date(2018, 1, 1), date(2018, 1, 1), date(2018, 1, 2)])
    2
    """
    return len(set(days)) * rules.sign_in


def capped(points: int, earned_today: int, rules: PointsRules = DEFAULT_POINTS) -> int:
    """What is left of `points` under the daily cap, when `earned_today` were earned before.

    >>> capped(80, 50, PointsRules(daily_cap=100)), capped(80, 50)
    (50, 80)
    """
    return points if rules.daily_cap is None else max(0, min(points, rules.daily_cap - earned_today))


def expires_on(earned: date, rules: PointsRules = DEFAULT_POINTS) -> date | None:
    """The first day on which points earned on `earned` are gone; a month without that day ends before it.

    >>> expires_on(date(2017, 1, 31), PointsRules(expires_after_months=1))
    datetime.date(2017, 3, 1)
    >>> expires_on(date(2017, 1, 31)) is None
    True
    """
    if rules.expires_after_months is None:
        return None
    months = earned.month - 1 + rules.expires_after_months
    year, month = earned.year + months // 12, months % 12 + 1
    try:
        return date(year, month, earned.day)
    except ValueError:
        return date(year + month // 12, month % 12 + 1, 1)


def redemption_value(points: int, rate: int, rules: PointsRules = DEFAULT_POINTS) -> Decimal:
    """Money for `points` when `rate` of them buy one unit; points that buy no cent buy nothing.

    Raises ValueError for a rate the rules do not know, or fewer than no points.

    >>> redemption_value(300, 3), redemption_value(100, 3)
    (Decimal('100.00'), Decimal('33.33'))
    """
    if rate not in rules.redemption_rates or points < 0:
        raise ValueError("points must not be negative, and the rate must be one of the rules'")
    return (Decimal(points) / rate).quantize(Decimal("0.01"), ROUND_FLOOR)
