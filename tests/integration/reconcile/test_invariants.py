"""Sums and rules, each computed by SQL of its own on both sides."""

from __future__ import annotations

from etl.progress import Silent
from etl.reconcile.invariant_model import InvariantResult, Verdict
from etl.reconcile.invariants import run_invariants
from etl.settings import Settings
from fixtures.data.generate import LegacyData
from tests.integration.reconcile.conftest import Damage


def checked(settings: Settings) -> dict[str, InvariantResult]:
    """Every invariant by name."""
    return {one.name: one for one in run_invariants(settings, Silent()).invariants}


def test_nothing_differs_beyond_what_quarantine_explains(moved: Settings) -> None:
    """Counts and sums differ by exactly the rows put aside; the sum of each is computed from the source by key."""
    result = run_invariants(moved, Silent())
    assert not result.failed
    by_name = {one.name: one for one in result.invariants}
    assert by_name["counts"].verdict is Verdict.EXPLAINED
    assert by_name["points"].verdict is Verdict.EXPLAINED
    assert by_name["merges_acyclic"].verdict is Verdict.OK
    assert int(by_name["ledger_member"].source) > 0, "the source has orphans"
    assert by_name["ledger_member"].target == "0"


def test_planted_defects_are_told_as_the_sources_own(moved: Settings, retailer: LegacyData) -> None:
    """A tier that is wrong on both sides came with the data, and is not an error of the migration."""
    defects = retailer.frame("truth_defect")
    result = checked(moved)
    for name, kind in (("tier_rule", "wrong_tier"), ("points_balance", "points_apart")):
        planted = set(defects.filter(kind=kind)["key"])
        found = {row.key for row in result[name].rows if row.verdict is Verdict.SAME_DEFECT}
        assert planted <= found
        assert result[name].differing == 0


def test_damage_is_found_by_the_sums_it_breaks(moved: Settings, damage: Damage) -> None:
    """Without looking at a single row."""
    damage(
        "UPDATE sale SET paid = paid + 1 WHERE channel = 'ecom' ORDER BY sale_no LIMIT 1",
        "UPDATE member SET points = points + 7 WHERE member_id = 11",
        "UPDATE member SET merged_into = 13 WHERE member_id = 12",
        "UPDATE member SET merged_into = 12 WHERE member_id = 13",
        "DELETE FROM store ORDER BY store_code LIMIT 1",
        tables=("sale", "member", "store"),
    )
    try:
        result = checked(moved)
    finally:
        # the column is not one that the mapping fills, so that repair does not touch it
        damage("UPDATE member SET merged_into = NULL WHERE member_id IN (12, 13)", tables=())
    differing = {name for name, one in result.items() if one.verdict is Verdict.DIFFERS}
    assert {"sales", "points_balance", "merges_acyclic", "counts"} <= differing
    assert "balances" not in differing
    assert [row.key for row in result["points_balance"].rows if row.verdict is Verdict.DIFFERS] == ["11"]
    assert {row.key for row in result["merges_acyclic"].rows} == {"12", "13"}
