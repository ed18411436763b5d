"""What a row sends, where the legacy type is coarser than the target's."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import pytest

from etl.mapping.sync_rules import SyncRules
from etl.reconcile.plan import TablePlan
from etl.sync.base import RowBase
from etl.sync.digest import digest
from etl.sync.plan import SyncTable
from etl.sync.reverse.decide import Columns, decide
from etl.target.columns import TargetColumn

KEPT = ("granted", "granted_at", "origin")
COARSE, FINE = datetime(2026, 11, 11, 12, 0, 0, 123_000), datetime(2026, 11, 11, 12, 0, 0, 123_456)
FACTS = Columns(frozenset({"granted", "granted_at", "points"}), frozenset({"points"}), {"granted_at": 1_000}, frozenset())


def table(*columns: str, rules: SyncRules | None = None) -> SyncTable:
    """A table with a key and these columns."""
    live = tuple(TargetColumn(name, "integer") for name in ("id", *columns))
    return SyncTable(TablePlan("consent", ("id",), live, (), ()), rules or SyncRules(together=(("granted", "granted_at"),)))


@pytest.mark.parametrize("known", [COARSE, FINE], ids=["as the legacy side has it", "as the target has it"])
def test_a_time_that_only_its_type_changed_does_not_hold_what_belongs_to_it(known: datetime) -> None:
    source, target = {"granted": 0, "granted_at": COARSE, "origin": "crm"}, {"granted": 1, "granted_at": FINE, "origin": "tidb"}
    base = RowBase({"granted": digest(0), "granted_at": digest(known), "origin": digest("crm")})
    found = decide(table(*KEPT), FACTS, source, target, base, {})
    assert (found.send, found.agreed, found.held) == ({"granted": 1}, ("granted_at",), ())
    assert found.echoes == {"granted_at": COARSE}
    assert found.unplaced == {"origin": "crm"}


def test_equal_but_for_the_type_is_agreed() -> None:
    source, target = {"granted": 1, "granted_at": COARSE}, {"granted": 1, "granted_at": FINE}
    found = decide(table("granted", "granted_at"), FACTS, source, target, None, {})
    assert (found.send, set(found.agreed), found.echoes) == ({}, {"granted", "granted_at"}, {"granted_at": COARSE})


def test_a_counter_gains_once() -> None:
    counted = table("points", rules=SyncRules(columns={"points": "sum"}))
    base = RowBase({}, {"points": Decimal(10)})
    found = decide(counted, FACTS, {"points": 12}, {"points": 15}, base, {"points": Decimal(2)})
    assert (found.send, found.gains, found.returned) == ({"points": 15}, {"points": Decimal(3)}, {"points": Decimal(5)})
    again = decide(counted, FACTS, {"points": 15}, {"points": 15}, base, {"points": Decimal(5)})
    assert (again.send, again.gains) == ({}, {})
    born = decide(counted, FACTS, None, {"id": 1, "points": 15}, None, {})
    assert (born.new, born.gains) == (True, {"points": Decimal(15)})
