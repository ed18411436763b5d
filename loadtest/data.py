"""The rows of a load test: a range of numbers that nothing else has, filled before, checked and emptied after.

Ids kept from the legacy side and given by deduplication are below 2^45, those made on the target are from 2^47 on. What has no
number of its own bears the origin of the test or a sale number that begins with its name.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

import numpy as np
import numpy.typing as npt

from etl.load.sql import sql
from etl.target.bulk import BulkConnection
from loadtest.scenario import World

FIRST: Final = 2**45
PAST: Final = 2**46
WRITTEN: Final = FIRST + 2**40
"""From here on numbers are given while the test runs; below are the members that it begins with, the campaign and the coupon."""
CAMPAIGN, COUPON = FIRST, FIRST
PRODUCT: Final = FIRST
ORIGIN: Final = "loadtest"
SALES: Final = "LOADTEST-"
POINTS: Final = 10_000
"""What each member begins with."""
BATCH: Final = 1_000
AT: Final = datetime(2020, 1, 1, tzinfo=UTC).replace(tzinfo=None)


def phone_of(member: int) -> str:
    """A number that cannot be dialled: no country has the code 0.

    >>> phone_of(FIRST + 7)
    '+035184372088839'
    """
    return f"+0{member}"


def sale_no(number: int) -> str:
    """The number of a sale of the test."""
    return f"{SALES}{number}"


def face_value() -> Decimal:
    """Of the one coupon."""
    return Decimal(10)


def prepare(target: BulkConnection, members: int, coupons: int, stores: Sequence[str]) -> World:
    """Insert the members, a campaign with a budget for so many coupons, and the coupon. Raises ServerError. What is left of an
    earlier test has to be cleaned away first (`clean`)."""
    with target.transaction():
        target.execute(
            "INSERT INTO campaign (campaign_id, code, name, budget, starts_at) VALUES (%s, %s, 'load test', %s, %s)",
            (CAMPAIGN, ORIGIN, face_value() * coupons, AT),
        )
        target.execute(
            "INSERT INTO coupon (coupon_id, campaign_id, code, face_value, min_spend, valid_from) VALUES (%s, %s, %s, %s, 0, %s)",
            (COUPON, CAMPAIGN, ORIGIN, face_value(), AT),
        )
    ids = range(FIRST, FIRST + members)
    columns = "member_id, name, name_key, phone, tier, points, balance, registered_at, origin"
    for begin in range(0, members, BATCH):
        part = ids[begin : begin + BATCH]
        rows = ", ".join(["(%s, 'load test', 'load test', %s, 'SILVER', %s, 0, %s, %s)"] * len(part))
        with target.transaction():
            target.execute(
                sql("INSERT INTO member ({columns}) VALUES {rows}", {}, columns=columns, rows=rows),
                [value for member in part for value in (member, phone_of(member), POINTS, AT, ORIGIN)],
            )
    return World(ids, tuple(stores))


RANGES: Final = (
    ("sale_line", "sale_no >= '{sales}' AND sale_no < '{sales}:'"),  # ':' comes after '9'
    ("sale", "sale_no >= '{sales}' AND sale_no < '{sales}:'"),
    ("points_ledger", "origin = '{origin}'"),
    ("tier_history", "tier_history_id >= {first} AND tier_history_id < {past}"),
    ("coupon_event", "coupon_event_id >= {first} AND coupon_event_id < {past}"),
    ("sign_in", "sign_in_id >= {first} AND sign_in_id < {past}"),
    ("coupon", "coupon_id >= {first} AND coupon_id < {past}"),
    ("campaign", "campaign_id >= {first} AND campaign_id < {past}"),
    ("member", "member_id >= {first} AND member_id < {past}"),
)
"""Where rows of a test are, in an order in which they can be deleted."""


def filled(template: str, **more: object) -> str:
    """SQL with the test's own numbers and names in it."""
    own = {"first": FIRST, "past": PAST, "written": WRITTEN, "points": POINTS, "campaign": CAMPAIGN, "coupon": COUPON}
    texts = {"origin": ORIGIN, "sales": SALES, "digits": len(SALES) + 1}
    return sql(template, {}, **{name: str(value) for name, value in (own | texts | more).items()})


def left_over(target: BulkConnection) -> bool:
    """Whether rows of an earlier test are there. Raises ServerError."""
    return any(
        target.query(filled("SELECT 1 FROM {table} WHERE {where} LIMIT 1", table=table, where=filled(where)))
        for table, where in RANGES
    )


def clean(target: BulkConnection, batch: int = 5_000) -> int:
    """Delete whatever tests have written, in small transactions; how many rows. Killed in between, the next call goes on. Raises
    ServerError."""
    deleted = 0
    for table, where in RANGES:
        statement = filled("DELETE FROM {table} WHERE {where} LIMIT {batch}", table=table, where=filled(where), batch=batch)
        while found := target.execute(statement):
            deleted += found
    return deleted


@dataclass(frozen=True)
class Check:
    """A rule, and how many rows break it. `examples`: numbers of the test's own, of some of them."""

    name: str
    broken: int
    examples: tuple[int, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether nothing breaks it."""
        return self.broken == 0


RULES: Final = {
    "no balance below zero": "SELECT member_id FROM member WHERE member_id >= {first} AND member_id < {past} AND points < 0",
    "points are what the ledger says": (
        "SELECT m.member_id FROM member m LEFT JOIN (SELECT member_id, SUM(delta) AS total FROM points_ledger "
        "WHERE origin = '{origin}' GROUP BY member_id) e ON e.member_id = m.member_id "
        "WHERE m.member_id >= {first} AND m.member_id < {past} "
        "AND m.points <> IF(m.member_id < {written}, {points}, 0) + COALESCE(e.total, 0)"
    ),
    "no coupon beyond the budget": (
        "SELECT campaign_id FROM campaign WHERE campaign_id = {campaign} AND (budget < 0 OR budget + "
        "(SELECT COALESCE(SUM(amount), 0) FROM coupon_event WHERE coupon_id = {coupon}) <> {budget})"
    ),
    "sales are what their lines come to": (
        "SELECT CAST(SUBSTRING(s.sale_no, {digits}) AS SIGNED) FROM sale s LEFT JOIN (SELECT sale_no, SUM(amount) AS total "
        "FROM sale_line WHERE sale_no >= '{sales}' AND sale_no < '{sales}:' GROUP BY sale_no) l ON l.sale_no = s.sale_no "
        "WHERE s.sale_no >= '{sales}' AND s.sale_no < '{sales}:' AND (l.total IS NULL OR l.total <> s.total)"
    ),
}
"""By name, the SQL that lists what breaks the rule."""

NUMBERED: Final = {
    "sell": "SELECT CAST(SUBSTRING(sale_no, {digits}) AS SIGNED) FROM sale WHERE sale_no >= '{sales}' AND sale_no < '{sales}:'",
    "redeem": "SELECT CAST(origin_id AS SIGNED) FROM points_ledger WHERE origin = '{origin}' AND reason = 'REDEEM'",
    "claim_coupon": "SELECT coupon_event_id FROM coupon_event WHERE coupon_event_id >= {written} AND coupon_event_id < {past}",
    "sign_in": "SELECT sign_in_id FROM sign_in WHERE sign_in_id >= {written} AND sign_in_id < {past}",
    "enrol": "SELECT member_id FROM member WHERE member_id >= {written} AND member_id < {past}",
}
"""By operation, the SQL that lists the numbers of what it wrote."""


def check_rules(target: BulkConnection, coupons: int) -> list[Check]:
    """Ask every rule. Raises ServerError."""
    found = []
    for name, rule in RULES.items():
        rows = target.query(filled(rule, budget=face_value() * coupons))
        found.append(Check(name, len(rows), tuple(int(row[0]) for row in rows[:5])))
    return found


def check_written(
    target: BulkConnection, acknowledged: dict[str, npt.NDArray[np.uint64]], unknown: dict[str, int]
) -> Iterable[Check]:
    """Whether every acknowledged write is there, and nothing else but what was sent and never answered. Raises ServerError.

    acknowledged: numbers, by operation. unknown: how many transactions of each ended without an answer.
    """
    for operation, listed in NUMBERED.items():
        there = np.array([int(row[0]) for row in target.query(filled(listed))], np.uint64)
        sent = acknowledged.get(operation, np.empty(0, np.uint64))
        lost = np.setdiff1d(sent, there)
        yield Check(f"every acknowledged {operation} is there", lost.size, tuple(int(one) for one in lost[:5]))
        more = np.setdiff1d(there, sent)
        beyond = max(0, more.size - unknown.get(operation, 0))
        yield Check(f"no {operation} that nobody was told of", beyond, tuple(int(one) for one in more[:5]) if beyond else ())
