"""The retailer's operations over the real tables: what they leave behind is checked, found and taken away."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import pytest
from pydantic import SecretStr

from etl.settings import TargetSettings
from etl.target.bulk import BulkConnection
from etl.target.connect import connect_bulk
from fixtures.target import TargetServer
from loadtest.arrivals import constant
from loadtest.data import CAMPAIGN, FIRST, WRITTEN, check_rules, check_written, clean, left_over, prepare
from loadtest.engine import Load, running
from loadtest.retail import MIXES, mix
from loadtest.samples import Outcome, Samples
from loadtest.scenario import World
from loadtest.session import Sessions
from migrations.schema.commands import schema_up
from tests.conftest import drop_schemas

MEMBERS, COUPONS = 2_500, 12
TORN_READ = 8133
"""A TiDB on its own, without TiKV, finds an index and its rows at odds now and then, when it reads beside writes."""


@pytest.fixture(scope="module")
def tables(target_server: TargetServer) -> Iterator[TargetSettings]:
    """Both schemas, made once."""
    settings = TargetSettings(url=SecretStr(target_server.url), schema="lt_m", state_schema="lt_s", retries=1)
    drop_schemas(settings)
    schema_up(settings)
    yield settings
    drop_schemas(settings)


@pytest.fixture
def target(tables: TargetSettings) -> Iterator[BulkConnection]:
    """One store, and a member who is not the test's."""
    with connect_bulk(tables) as connection:
        connection.execute("INSERT IGNORE INTO store (store_code, name, is_open) VALUES ('S001', 'one', 1)")
        connection.execute(
            "INSERT IGNORE INTO member (member_id, phone, tier, points, balance, registered_at, origin) "
            "VALUES (7, '+8613912345678', 'GOLD', -5, 0, '2020-01-01', 'crm')"
        )
        yield connection
        clean(connection)


@pytest.fixture
def world(target: BulkConnection) -> World:
    """Members of the test."""
    return prepare(target, MEMBERS, COUPONS, ["S001"])


def run(settings: TargetSettings, world: World, name: str, rate: float = 120, seconds: float = 3) -> Samples:
    """A mix, for some seconds."""
    weights = [one.weight for one in mix(name).operations]
    sessions = Sessions(settings, partial(mix, name), world, WRITTEN, 1)
    with running(Load([constant(rate, seconds)], weights, sessions, threads=12)) as reports:
        found = list(reports)
    assert [report.trouble for report in found if report.trouble] == []
    return np.concatenate([report.samples for report in found])


def written(samples: Samples, name: str) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """Acknowledged numbers by operation, and how many transactions got no answer."""
    numbers: dict[str, np.ndarray] = {}
    unknown: dict[str, int] = {}
    for place, operation in enumerate(mix(name).operations):
        mine = samples[samples["operation"] == place]
        numbers[operation.name] = mine["written"][mine["written"] > 0]
        unknown[operation.name] = int(np.isin(mine["outcome"], [Outcome.LOST, Outcome.TIMEOUT]).sum())
    return numbers, unknown


@pytest.mark.parametrize("name", sorted(MIXES))
def test_every_mix_keeps_the_rules_and_all_that_was_acknowledged(
    target: BulkConnection, tables: TargetSettings, world: World, name: str
) -> None:
    samples = run(tables, world, name)
    seen = {mix(name).operations[place].name for place in np.unique(samples["operation"]).tolist()}
    assert {one.name for one in mix(name).operations if one.weight > 3} <= seen
    failed = samples[samples["outcome"] == Outcome.FAILED]["error"].tolist()
    assert set(failed) <= {TORN_READ}
    assert len(failed) <= 2
    numbers, unknown = written(samples, name)
    assert sum(one.size for one in numbers.values()) > 20
    checks = [*check_rules(target, COUPONS), *check_written(target, numbers, unknown)]
    assert [check for check in checks if not check.holds] == []
    if name == "flash-coupon":  # scarce: it runs out, and no further
        assert numbers["claim_coupon"].size == COUPONS
        assert (samples["outcome"] == Outcome.REFUSED).sum() > COUPONS
        assert target.scalar("SELECT budget FROM campaign WHERE campaign_id = %s", (CAMPAIGN,)) == 0


def test_what_breaks_a_rule_is_named(target: BulkConnection, tables: TargetSettings, world: World) -> None:
    """Each rule, broken by hand, and no other."""
    samples = run(tables, world, "double-eleven", seconds=2)
    numbers, unknown = written(samples, "double-eleven")
    sold = int(numbers["sell"][0])
    for statement, rule in (
        (f"UPDATE member SET points = points + 1 WHERE member_id = {FIRST}", "points are what the ledger says"),
        (f"UPDATE campaign SET budget = budget + 10 WHERE campaign_id = {CAMPAIGN}", "no coupon beyond the budget"),
        (f"UPDATE sale SET total = total + 1 WHERE sale_no = 'LOADTEST-{sold}'", "sales are what their lines come to"),
    ):
        assert rule not in broken(target)
        target.execute(statement)
        assert rule in broken(target)
    target.execute(f"DELETE FROM sale WHERE sale_no = 'LOADTEST-{sold}'")
    lost = [check for check in check_written(target, numbers, unknown) if not check.holds]
    assert [(check.name, check.broken, check.examples) for check in lost] == [("every acknowledged sell is there", 1, (sold,))]


def broken(target: BulkConnection) -> set[str]:
    """Rules that do not hold."""
    return {check.name for check in check_rules(target, COUPONS) if not check.holds}


def test_everything_is_taken_away_and_nothing_else(target: BulkConnection, tables: TargetSettings, world: World) -> None:
    run(tables, world, "everyday", seconds=1)
    assert left_over(target)
    assert clean(target, batch=500) > MEMBERS
    assert not left_over(target)
    for table in ("sale", "sale_line", "points_ledger", "sign_in", "coupon_event", "coupon", "campaign", "tier_history"):
        assert target.scalar(f"SELECT COUNT(*) FROM {table}") == 0
    assert target.query("SELECT member_id FROM member") == [(7,)]
    assert clean(target) == 0
