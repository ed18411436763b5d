"""The merges that would cost most if they were wrong: those with the most points and money, as the target holds them."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from etl.load.crosswalk import DEDUPE
from etl.load.sql import sql
from etl.settings import Settings
from etl.target.columns import text_of
from etl.target.connect import connect_bulk

MOST: Final = 20
LARGEST: Final = """SELECT m.member_id, m.points, m.balance, COUNT(*), GROUP_CONCAT(DISTINCT s.source ORDER BY s.source)
FROM {schema}.member m JOIN {schema}.member_source s ON s.member_id = m.member_id AND s.linked_by = %s
WHERE m.merged_into IS NULL AND (m.points > 0 OR m.balance > 0)
GROUP BY m.member_id, m.points, m.balance ORDER BY m.{by} DESC, m.member_id LIMIT %s"""


@dataclass(frozen=True)
class Stake:
    """One merged member: what it holds together, and how many records of which systems that comes from."""

    member_id: int
    points: int
    balance: Decimal
    records: int
    systems: str


def read_stakes(settings: Settings) -> tuple[Stake, ...] | None:
    """The merged members with the most points and the most money, each once; None while no member is merged on the target."""
    found: dict[int, Stake] = {}
    with connect_bulk(settings.target) as connection:
        for by in ("points", "balance"):
            rows = connection.query(sql(LARGEST, {"schema": settings.target.schema_name, "by": by}), (DEDUPE, MOST // 2))
            for member_id, points, balance, records, systems in rows:
                found[int(member_id)] = Stake(int(member_id), int(points), Decimal(str(balance)), int(records), text_of(systems))
    return tuple(sorted(found.values(), key=lambda stake: (-stake.points, -stake.balance, stake.member_id))) or None
