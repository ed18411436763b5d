"""Merging members that are loaded already: ids end, rows follow, and nothing is made or lost."""

from __future__ import annotations

from typing import Any

import pytest

from etl.dedupe.repoint import member_columns
from etl.errors import RefusedError
from etl.load.model import LoadRequest
from etl.load.run import run_load
from etl.mapping.load_mapping import load_mapping
from etl.progress import Silent
from etl.reconcile.run import ReconcileRequest, run_reconcile
from etl.settings import DedupeSettings, Settings
from etl.target.bulk import BulkConnection
from tests.integration.dedupe.test_run import content, dedupe, in_new_tables

SUMS = (
    "SELECT SUM(points), SUM(balance) FROM member",
    "SELECT SUM(delta), COUNT(*) FROM points_ledger",
    "SELECT SUM(total), COUNT(*), COUNT(member_id) FROM sale",
    "SELECT COUNT(*) FROM coupon_event",
    "SELECT COUNT(*) FROM member_source",
)


def sums(target: BulkConnection) -> list[Any]:
    """What must be the same before and after."""
    return [target.query(statement) for statement in SUMS]


def dependents(target: BulkConnection, settings: Settings) -> set[tuple[str, int]]:
    """(table, member id) of everything that refers to a member."""
    mapping = load_mapping(settings.mapping, settings.config_dir)
    return {
        (table, int(member))
        for table, column in member_columns(mapping)
        for (member,) in target.query(f"SELECT DISTINCT {column} FROM {table} WHERE {column} IS NOT NULL")
    }


def apart_from_ledger(target: BulkConnection) -> int:
    """Members whose points are not the sum of their ledger: some are planted."""
    ledgers = "SELECT member_id, SUM(delta) AS total FROM points_ledger GROUP BY member_id"
    beside = f"SELECT COUNT(*) FROM member m LEFT JOIN ({ledgers}) s ON s.member_id = m.member_id"
    return int(target.scalar(f"{beside} WHERE m.points <> COALESCE(s.total, 0)"))


@pytest.mark.parametrize("large", [False, True], ids=["in one transaction", "in new tables"])
def test_loaded_members_merge_and_everything_follows(settings: Settings, target: BulkConnection, large: bool) -> None:
    settings = in_new_tables(settings) if large else settings
    run_load(settings, LoadRequest(execute=True), Silent())
    before, loaded, apart = sums(target), int(target.scalar("SELECT COUNT(*) FROM member")), apart_from_ledger(target)

    result = dedupe(settings)

    assert sums(target) == before
    assert result.written.retired == result.merged_records - result.merged_members
    retired = dict(target.query("SELECT member_id, merged_into FROM member WHERE merged_into IS NOT NULL"))
    assert len(retired) == result.written.retired
    assert target.scalar("SELECT COUNT(*) FROM member") == loaded
    assert not {member for _, member in dependents(target, settings)} & set(retired)
    assert not set(retired.values()) & set(retired)
    assert sum(result.written.repointed.values()) > 100
    assert target.query("SELECT points FROM member WHERE merged_into IS NOT NULL AND (points <> 0 OR balance <> 0)") == []
    assert apart_from_ledger(target) <= apart
    if not large:
        assert run_reconcile(settings, ReconcileRequest(), Silent()).total_differences == 0
    assert dedupe(settings).written.nothing


def test_members_changed_on_the_target_are_not_overwritten(settings: Settings, target: BulkConnection) -> None:
    run_load(settings, LoadRequest(tables=("member",), execute=True), Silent())
    with target.transaction():
        target.execute("UPDATE member SET points = points + 1")
    before = content(target)

    with pytest.raises(RefusedError, match="sum of points"):
        dedupe(settings)

    assert content(target) == before
    with pytest.raises(RefusedError, match="sum of points"):
        dedupe(in_new_tables(settings))
    assert content(target) == before


def test_an_id_that_ended_leads_on_when_its_survivor_ends(settings: Settings, target: BulkConnection) -> None:
    """Half of the pairs are merged first, by a high threshold; then the rest, which ends some survivors."""
    careful = DedupeSettings(threads=2, memory_limit_gib=1, match_weight=25)
    run_load(settings, LoadRequest(tables=("member",), execute=True), Silent())
    first = dedupe(settings.model_copy(update={"dedupe": careful}))

    second = dedupe(settings)

    retired = dict(target.query("SELECT member_id, merged_into FROM member WHERE merged_into IS NOT NULL"))
    assert first.written.retired > 20
    assert second.written.retired > 20
    assert len(retired) == first.written.retired + second.written.retired
    assert not set(retired.values()) & set(retired)
