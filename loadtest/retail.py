"""What tills, the app and the shop do on double eleven, over the real tables, with members of the test's own.

Everything that is written bears a number of the test's own range (loadtest/data.py): it can be looked for, and taken away.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from etl.load.sql import sql
from loadtest.data import CAMPAIGN, COUPON, ORIGIN, PRODUCT, face_value, phone_of, sale_no
from loadtest.scenario import Body, Call, Refused, Scenario

TIERS: Final = ((20_000, "GOLD"), (5_000, "SILVER"), (0, "BRONZE"))
"""From so many points on a member has this tier."""
LINES: Final = (1, 1, 1, 2, 2, 3, 5)
"""How many lines sales have, as often as they have them."""
PAGE: Final = 20
MINUTES: Final = 480
"""Shanghai, east of Greenwich."""


def find_by_phone(call: Call) -> None:
    """The till asks for the phone number."""
    if not call.query("SELECT member_id, name, tier, points FROM member WHERE phone = %s", (phone_of(call.member()),)):
        raise Refused


def open_wallet(call: Call) -> None:
    """Points, balance, and the last coupons."""
    member = call.member()
    call.query("SELECT points, balance, tier FROM member WHERE member_id = %s", (member,))
    call.query(
        "SELECT coupon_id, event, amount FROM coupon_event WHERE member_id = %s ORDER BY occurred_at DESC LIMIT 10", (member,)
    )


def see_history(call: Call) -> None:
    """The newest sales of somebody, as the app lists them."""
    call.query(
        "SELECT sale_no, store_code, sold_at, status, paid FROM sale WHERE member_id = %s ORDER BY sold_at DESC LIMIT %s",
        (call.member(), PAGE),
    )


def report_store_day(call: Call) -> None:
    """What a store has sold since midnight."""
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    call.query(
        "SELECT channel, COUNT(*), SUM(paid) FROM sale WHERE store_code = %s AND sold_at >= %s GROUP BY channel",
        (call.store(), midnight),
    )


def sell(call: Call) -> None:
    """A sale with its lines, the points, and the tier that they make."""
    number, member, store, now = call.number(), call.member(), call.store(), moment()
    lines = [(line, call.chance.randint(1, 4), Decimal(call.chance.randint(100, 30_000)) / 100) for line in lines_of(call)]
    total = sum((quantity * price for _, quantity, price in lines), Decimal())
    call.execute(
        "INSERT INTO sale (sale_no, channel, store_code, member_id, till_no, sold_at, status, total, discount, freight, paid, "
        "pay_method) VALUES (%s, 'pos', %s, %s, 1, %s, 'DONE', %s, 0, 0, %s, 'CARD')",
        (sale_no(number), store, member, now, total, total),
    )
    cells = [(sale_no(number), line, PRODUCT, quantity, price, quantity * price) for line, quantity, price in lines]
    insert = "INSERT INTO sale_line (sale_no, line_no, product_id, quantity, unit_price, amount) VALUES {rows}"
    rows = ", ".join(["(%s, %s, %s, %s, %s, %s)"] * len(lines))
    call.execute(sql(insert, {}, rows=rows), [value for row in cells for value in row])
    move_points(call, member, int(total), "PURCHASE", number, store, now)
    check_tier(call, member, number, now)


def redeem(call: Call) -> None:
    """Points for goods, as many as there are and no more."""
    member, points, now = call.member(), call.chance.randint(50, 500), moment()
    ((balance,),) = call.query("SELECT points FROM member WHERE member_id = %s FOR UPDATE", (member,))
    if balance < points:
        raise Refused
    move_points(call, member, -points, "REDEEM", call.number(), call.store(), now)


def claim_coupon(call: Call) -> None:
    """One of few coupons, all of which come out of one budget: a row that everybody wants to change."""
    changed = call.execute(
        "UPDATE campaign SET budget = budget - %s WHERE campaign_id = %s AND budget >= %s", (face_value(), CAMPAIGN, face_value())
    )
    if changed == 0:
        raise Refused
    call.execute(
        "INSERT INTO coupon_event (coupon_event_id, coupon_id, member_id, event, amount, occurred_at) "
        "VALUES (%s, %s, %s, 'CLAIM', %s, %s)",
        (call.number(), COUPON, call.member(), face_value(), moment()),
    )


def sign_in(call: Call) -> None:
    """A point a day for opening the app; here as often as it is opened."""
    number, member, now = call.number(), call.member(), moment()
    call.execute(
        "INSERT INTO sign_in (sign_in_id, member_id, signed_at, channel) VALUES (%s, %s, %s, 'app')", (number, member, now)
    )
    move_points(call, member, 1, "SIGN_IN", number, None, now)


def enrol(call: Call) -> None:
    """A new member."""
    number = call.number()
    call.execute(
        "INSERT INTO member (member_id, name, name_key, phone, tier, points, balance, registered_at, origin) "
        "VALUES (%s, 'load test', 'load test', %s, 'BRONZE', 0, 0, %s, %s)",
        (number, phone_of(number), moment(), ORIGIN),
    )


def change_profile(call: Call) -> None:
    """Somebody moves."""
    address = f"{call.chance.randint(1, 999)} Load Test Road"
    call.execute("UPDATE member SET address = %s WHERE member_id = %s", (address, call.member()))


def move_points(call: Call, member: int, delta: int, reason: str, number: int, store: str | None, now: datetime) -> None:
    """The entry, and the balance that it belongs to."""
    call.execute(
        "INSERT INTO points_ledger (member_id, delta, reason, ref_no, store_code, occurred_at, origin, origin_id) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
        (member, delta, reason, str(number), store, now, ORIGIN, str(number)),
    )
    call.execute("UPDATE member SET points = points + %s, last_seen_at = %s WHERE member_id = %s", (delta, now, member))


def check_tier(call: Call, member: int, number: int, now: datetime) -> None:
    """The tier that the points make, noted when it changes."""
    ((points, tier),) = call.query("SELECT points, tier FROM member WHERE member_id = %s", (member,))
    due = next((name for least, name in TIERS if points >= least), TIERS[-1][1])
    if due == tier:
        return
    call.execute(
        "INSERT INTO tier_history (tier_history_id, member_id, from_tier, to_tier, reason, changed_at) "
        "VALUES (%s, %s, %s, %s, 'load test', %s)",
        (number, member, tier, due, now),
    )
    call.execute("UPDATE member SET tier = %s WHERE member_id = %s", (due, member))


def lines_of(call: Call) -> range:
    """Numbers of a sale's lines."""
    return range(1, call.chance.choice(LINES) + 1)


def moment() -> datetime:
    """Now, as the tables have it: UTC without a zone."""
    return datetime.now(UTC).replace(tzinfo=None)


READS: Final[tuple[Body, ...]] = (find_by_phone, open_wallet, see_history, report_store_day)
WRITES: Final[tuple[Body, ...]] = (sell, redeem, claim_coupon, sign_in, enrol, change_profile)
MIXES: Final[dict[str, dict[str, float]]] = {
    "everyday": {
        "find_by_phone": 30, "open_wallet": 18, "see_history": 8, "report_store_day": 0.2, "sell": 25, "redeem": 4,
        "claim_coupon": 0.8, "sign_in": 10, "enrol": 1, "change_profile": 3,
    },
    "double-eleven": {
        "find_by_phone": 22, "open_wallet": 20, "see_history": 6, "report_store_day": 0.1, "sell": 35, "redeem": 6,
        "claim_coupon": 4, "sign_in": 5, "enrol": 1.4, "change_profile": 0.5,
    },
    "flash-coupon": {"open_wallet": 25, "claim_coupon": 70, "sell": 5},
    "enrolment": {"enrol": 95, "find_by_phone": 5},
}  # fmt: skip
"""How often each operation comes, in each mix. They are judgements about a retailer's app and tills, not measurements."""


def mix(name: str) -> Scenario:
    """A mix as a scenario.

    >>> [one.name for one in mix("enrolment").operations]
    ['enrol', 'find_by_phone']
    """
    bodies = {getattr(body, "__name__", ""): (body, body in WRITES) for body in (*READS, *WRITES)}
    made = Scenario(name)
    for operation, weight in MIXES[name].items():
        body, writes = bodies[operation]
        made.operation(weight, writes=writes)(body)
    return made
