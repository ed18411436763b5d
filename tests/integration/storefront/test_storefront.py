"""Stores that sell on both sides: their logs are true, and the judge sees whatever is not as they say."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import pytest
from pydantic import SecretStr

from etl.errors import ConfigurationError
from etl.settings import ConnectionSettings
from fixtures.storefront.connections import Sides, TargetSession, ask_legacy
from fixtures.storefront.effects import PointsMoved, ProfileSet, SaleMade
from fixtures.storefront.intents import DEFAULT_MIX
from fixtures.storefront.journal import Entry, read_journals
from fixtures.storefront.judge import JudgeRequest, Verdict, judge
from fixtures.storefront.routes import Routes
from fixtures.storefront.run import StorefrontPlan, StorefrontResult, run_storefront
from tests.integration.storefront.commit_wire import CommitWire
from tests.integration.storefront.conftest import Chain

Kind = TypeVar("Kind")
Connection = TypeVar("Connection", bound=ConnectionSettings)

# Rare actions as often as common ones: a few seconds show them all.
EVEN = dict.fromkeys(DEFAULT_MIX, 1.0)


@pytest.fixture(scope="module")
def sold(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> StorefrontResult:
    """Three seconds of trade, with a few hot members."""
    logs = tmp_path_factory.mktemp("logs") / "run"
    plan = StorefrontPlan(
        chain.sides, chain.routes, logs, seconds=3.0, legacy_rate=50, tidb_rate=60, workers=3, mix=EVEN, hot=5, hot_share=0.3
    )
    return run_storefront(plan)


def one_side(sides: Sides, sold: StorefrontResult) -> Verdict:
    return judge(JudgeRequest(sides, (sold.logs,)))


def effects(entries: Iterable[Entry], kind: type[Kind]) -> list[Kind]:
    return [effect for entry in entries for effect in entry.effects if isinstance(effect, kind)]


def acknowledged(sold: StorefrontResult, side: str) -> list[Entry]:
    return [entry for entry in read_journals((sold.logs,)) if entry.side == side and entry.outcome == "done"]


def test_every_kind_of_action_is_done_on_both_sides(sold: StorefrontResult) -> None:
    for side, result in (("legacy", sold.legacy), ("tidb", sold.tidb)):
        assert set(result.by_action) == set(EVEN), side
        assert not result.failed, side
        assert result.done == len(acknowledged(sold, side)), side


def test_both_sides_hold_what_the_logs_say(chain: Chain, sold: StorefrontResult) -> None:
    for sides, done in ((chain.legacy_only, sold.legacy.done), (chain.target_only, sold.tidb.done)):
        verdict = one_side(sides, sold)
        assert verdict.deviations == ()
        assert verdict.entries == done
        assert all(verdict.checked.values()), verdict.checked


def test_each_store_writes_only_where_its_route_says(chain: Chain, sold: StorefrontResult) -> None:
    routes = Routes(chain.routes)
    for side in ("legacy", "tidb"):
        assert {routes.side_of(entry.store) for entry in acknowledged(sold, side)} == {side}


def test_without_sync_the_judge_misses_on_each_side_what_was_sold_on_the_other(chain: Chain, sold: StorefrontResult) -> None:
    verdict = one_side(chain.sides, sold)
    lost = [deviation for deviation in verdict.deviations if deviation.kind == "sale_lost"]
    assert {deviation.side for deviation in lost} == {"legacy", "tidb"}
    assert len(lost) == verdict.checked["sales"]  # each on the other side
    assert not verdict.clean


def test_a_second_run_never_writes_into_the_logs_of_the_first(chain: Chain, sold: StorefrontResult) -> None:
    with pytest.raises(ConfigurationError):
        run_storefront(StorefrontPlan(chain.sides, chain.routes, sold.logs, seconds=1.0))


@pytest.fixture
def legacy_victims(chain: Chain, sold: StorefrontResult) -> dict[str, str]:
    """What was damaged on the legacy side, by the kind of deviation it must be found as."""
    entries = acknowledged(sold, "legacy")
    source = chain.sides.source()
    sale = next(one for one in effects(entries, SaleMade) if one.channel == "pos" and one.who is None)
    changed = next(one for one in effects(entries, SaleMade) if one.channel == "ecom")
    move, other = (one for one in effects(entries, PointsMoved)[:2])
    profile = effects(entries, ProfileSet)[-1]
    system, _, key = profile.who.partition(":")
    table, column, name = {
        "crm": ("crm.dbo.Member", "MemberId", "Name"),
        "pos": ("pos.dbo.PosMember", "CardNo", "Name"),
        "ecom": ("ecom.dbo.Account", "AccountId", "RealName"),
    }[system]
    field = name if profile.field == "name" else profile.field.capitalize()
    for statement in (
        f"DELETE FROM pos.dbo.Sale WHERE SaleNo = '{sale.number}'",
        f"DELETE FROM ecom.dbo.OrderLine WHERE OrderNo = {changed.number[1:]} AND [LineNo] = 1",
        "INSERT INTO crm.dbo.PointsLedger (MemberId, Delta, Reason, RefNo, CreatedAt) "
        f"SELECT MemberId, Delta, Reason, RefNo, CreatedAt FROM crm.dbo.PointsLedger WHERE RefNo = '{move.reference}'",
        f"UPDATE crm.dbo.Member SET Points = Points + 1 WHERE MemberId = {other.who[4:]}",
        f"UPDATE {table} SET {field} = '1' WHERE {column} = '{key}'",
    ):
        ask_legacy(source, statement)
    return {
        "sale_lost": sale.number,
        "lines_lost": changed.number,
        "ledger_doubled": move.reference,
        "points_wrong": other.who,
        "profile_lost": f"{profile.who} {profile.field}",
    }


def test_the_judge_finds_what_is_wrong_on_the_legacy_side(
    chain: Chain, sold: StorefrontResult, legacy_victims: dict[str, str]
) -> None:
    verdict = one_side(chain.legacy_only, sold)
    assert {deviation.kind: deviation.key for deviation in verdict.deviations} == legacy_victims
    assert len(verdict.deviations) == len(legacy_victims)


@pytest.fixture
def target_victims(chain: Chain, sold: StorefrontResult) -> dict[str, str]:
    """The same on the target."""
    entries = acknowledged(sold, "tidb")
    assert chain.sides.target is not None
    sale = next(one for one in effects(entries, SaleMade) if one.channel == "pos" and one.who is None)
    changed = next(one for one in effects(entries, SaleMade) if one.channel == "ecom")
    move, other = (one for one in effects(entries, PointsMoved)[:2])
    profile = effects(entries, ProfileSet)[-1]
    session = TargetSession(chain.sides.target)
    for statement in (
        f"DELETE FROM sale WHERE sale_no = '{sale.number}'",
        f"UPDATE sale SET total = total + 0.01 WHERE sale_no = '{changed.number}'",
        "INSERT INTO points_ledger (member_id, delta, reason, ref_no, occurred_at, origin, origin_id) "
        f"SELECT member_id, delta, reason, ref_no, occurred_at, 'crm', '1' FROM points_ledger WHERE ref_no = '{move.reference}'",
        f"UPDATE member SET points = points - 1 WHERE member_id = {other.who[7:]}",
        f"UPDATE member SET {profile.field} = 'x' WHERE member_id = {profile.who[7:]}",
    ):
        session.query(statement)
    session.commit()
    session.close()
    return {
        "sale_lost": sale.number,
        "sale_changed": changed.number,
        "ledger_doubled": move.reference,
        "points_wrong": other.who,
        "profile_lost": f"{profile.who} {profile.field}",
    }


def test_the_judge_finds_what_is_wrong_on_the_target(
    chain: Chain, sold: StorefrontResult, target_victims: dict[str, str]
) -> None:
    verdict = one_side(chain.target_only, sold)
    assert {deviation.kind: deviation.key for deviation in verdict.deviations} == target_victims
    assert len(verdict.deviations) == len(target_victims)


def test_commits_whose_answers_are_lost_are_noted_as_unknown_and_judged_as_such(chain: Chain, tmp_path: Path) -> None:
    assert chain.sides.target is not None
    legacy, target = CommitWire("127.0.0.1", chain.legacy.port), CommitWire("127.0.0.1", chain.target.port)
    with closing(legacy), closing(target):
        behind = Sides(
            over(chain.sides.source(), chain.legacy.url, chain.legacy.port, legacy),
            over(chain.sides.target, chain.target.url, chain.target.port, target),
        )
        plan = StorefrontPlan(behind, chain.routes, tmp_path / "logs", seconds=4.0, legacy_rate=50, tidb_rate=50, workers=2)
        result = run_storefront(plan)
    for sides, side in ((chain.legacy_only, result.legacy), (chain.target_only, result.tidb)):
        verdict = judge(JudgeRequest(sides, (tmp_path / "logs",)))
        assert verdict.deviations == ()
        assert side.done
        assert verdict.doubtful == side.unknown > 0


def over(settings: Connection, url: str, port: int, wire: CommitWire) -> Connection:
    """The same server at the near end of a wire."""
    return settings.model_copy(update={"url": SecretStr(url.replace(f":{port}", f":{wire.port}"))})
