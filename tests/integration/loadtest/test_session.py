"""Operations on a real target: true transactions, counted as an application would count them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from etl.names import backtick
from etl.settings import TargetSettings
from etl.target.bulk import BulkConnection
from etl.target.connect import connect_bulk
from loadtest.arrivals import constant
from loadtest.engine import Load, running
from loadtest.samples import Outcome, Samples
from loadtest.scenario import Scenario, World
from loadtest.session import Sessions
from tests.integration.loadtest.own import FIRST, SCHEMA, scenario_lossy, scenario_own

MEMBERS = tuple(range(1, 21))


@pytest.fixture
def target(fresh_target: TargetSettings) -> Iterator[BulkConnection]:
    """Twenty members with 100 points each."""
    with connect_bulk(fresh_target, "") as connection:
        connection.execute(f"CREATE DATABASE {backtick(fresh_target.schema_name)}")
    with connect_bulk(fresh_target) as connection:
        for statement in SCHEMA:
            connection.execute(statement)
        for member in MEMBERS:
            connection.execute("INSERT INTO lt_member VALUES (%s, 100)", (member,))
        yield connection


def run(settings: TargetSettings, scenario: Callable[[], Scenario], rate: float = 200, seconds: float = 2) -> Samples:
    """Two processes at this rate."""
    sessions = Sessions(settings, scenario, World(MEMBERS, ()), FIRST, 1)
    weights = [one.weight for one in scenario().operations]
    with running(Load([constant(rate, seconds)], weights, sessions, processes=2, threads=8)) as reports:
        found = list(reports)
    assert not any(report.trouble for report in found)
    return np.concatenate([report.samples for report in found])


def balances(target: BulkConnection) -> int:
    """Members whose balance is not what their entries come to."""
    return int(
        target.scalar(
            "SELECT COUNT(*) FROM lt_member m LEFT JOIN "
            "(SELECT member_id, SUM(delta) AS total FROM lt_entry GROUP BY member_id) e "
            "ON e.member_id = m.member_id WHERE m.points <> 100 + COALESCE(e.total, 0) OR m.points < 0"
        )
    )


def test_what_was_acknowledged_is_there_and_nothing_else(target: BulkConnection, fresh_target: TargetSettings) -> None:
    samples = run(fresh_target, scenario_own)
    outcomes = {Outcome(one) for one in np.unique(samples["outcome"]).tolist()}
    assert outcomes <= {Outcome.DONE, Outcome.REFUSED, Outcome.CONFLICT}
    written = samples["written"][samples["written"] > 0].tolist()
    assert len(written) > 100
    assert len(set(written)) == len(written)
    assert sorted(written) == [int(row[0]) for row in target.query("SELECT entry_id FROM lt_entry ORDER BY entry_id")]
    assert balances(target) == 0


def test_a_lost_update_leaves_balances_that_entries_do_not_explain(target: BulkConnection, fresh_target: TargetSettings) -> None:
    """What a check that cannot fail would hide: the server answered fast, and wrongly."""
    samples = run(fresh_target, scenario_lossy, rate=300)
    assert (samples["outcome"] == Outcome.DONE).sum() > 100
    assert balances(target) > 0
