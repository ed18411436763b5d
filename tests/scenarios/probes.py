"""How long a change takes from one side to the other, seen from outside: from the answer to COMMIT until the row is there."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.scenarios.faults import legacy_session, target_session
from tests.scenarios.shops import Retailer

PAUSE_S = 0.2


def probe_forward(retailer: Retailer) -> float:
    """Seconds until a change of a member's legacy row is on the target."""
    mark, (member, record) = f"F{time.time():.3f}", lone_members(retailer)[-1]
    with legacy_session(retailer) as legacy, target_session(retailer) as target:
        legacy.query("UPDATE crm.dbo.Member SET UnionId = %s, UpdatedAt = GETDATE() WHERE MemberId = %d", (mark, record))

        def arrived() -> bool:
            found = target.query("SELECT 1 FROM member WHERE member_id = %s AND union_id = %s", (member, mark))
            target.rollback()  # the next look sees what is committed by then
            return bool(found)

        return seconds_until(arrived)


def probe_reverse(retailer: Retailer) -> float:
    """Seconds until a change of a member's row is on the legacy side."""
    mark, (member, record) = f"R{time.time():.3f}", lone_members(retailer)[-2]
    with legacy_session(retailer) as legacy, target_session(retailer) as target:
        target.query("UPDATE member SET union_id = %s WHERE member_id = %s", (mark, member))
        target.commit()
        asked = "SELECT 1 FROM crm.dbo.Member WHERE MemberId = %d AND UnionId = %s"
        return seconds_until(lambda: bool(legacy.query(asked, (record, mark))))


def lone_members(retailer: Retailer) -> list[tuple[int, int]]:
    """(member, CRM record) of persons of a single record, by member."""
    with target_session(retailer) as target:
        rows = target.query(
            "SELECT member_id, MIN(source_id) FROM member_source WHERE valid_to IS NULL GROUP BY member_id "
            "HAVING COUNT(*) = 1 AND MIN(source) = 'crm' ORDER BY member_id"
        )
        there = {int(key) for (key,) in target.query("SELECT member_id FROM member WHERE merged_into IS NULL AND origin = 'crm'")}
    return [(int(member), int(record)) for member, record in rows if int(member) in there]


def seconds_until(come: Callable[[], bool], most: float = 40.0) -> float:
    """How long it takes until something is there."""
    began = time.monotonic()
    while not come():
        assert time.monotonic() - began < most, "it never came"
        time.sleep(0.02)
    return time.monotonic() - began


@dataclass
class Lags:
    """Lags of probes, in seconds, by direction. `recovered`: of the first after a fault; `calm`: of all others."""

    recovered: dict[str, list[float]] = field(default_factory=lambda: {"forward": [], "reverse": []})
    calm: dict[str, list[float]] = field(default_factory=lambda: {"forward": [], "reverse": []})

    def watch(self, retailer: Retailer, seconds: float) -> None:
        """Probe both directions for so long, at least once."""
        ends, known = time.monotonic() + seconds, self.recovered
        while known is self.recovered or time.monotonic() < ends:
            known["forward"].append(probe_forward(retailer))
            known["reverse"].append(probe_reverse(retailer))
            known = self.calm
            time.sleep(PAUSE_S)

    def figures(self) -> dict[str, dict[str, float]]:
        """Count, median and greatest of each."""
        return {
            f"{name}/{direction}": {"count": len(lags), "p50": sorted(lags)[len(lags) // 2], "max": max(lags)}
            for name, group in (("recovered", self.recovered), ("calm", self.calm))
            for direction, lags in group.items()
            if lags
        }
