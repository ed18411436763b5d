"""What the plan and the gates read from a real target: stores, sync's sign of life, and figures by SQL."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from etl.errors import ConfigurationError, TargetError
from etl.records import RECONCILE_INVARIANTS, record_path, write_record
from etl.settings import TargetSettings
from etl.sync.heartbeat import heartbeat_text, write_heartbeat
from etl.target.bulk import BulkConnection
from etl.target.connect import connect_bulk
from fixtures.processes import free_port
from migrations.release.figures import Verdict
from migrations.release.gates.sync_facts import read_sync_facts
from migrations.release.gates.sync_lag import check_lag
from migrations.release.metrics.base import Sample
from migrations.release.metrics.open import open_metrics
from migrations.release.metrics.sync_counts import broken_invariants, read_sync_counts
from migrations.release.plan_file import parse_plan
from migrations.release.plan_gates import LagGate
from migrations.release.waves import resolve_waves
from migrations.schema.commands import schema_up

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
PLAN = Path("/nowhere/release.toml")
SQL = """
name = "r"
[metrics]
source = "sql"
[metrics.sql]
query = '''SELECT COUNT(*), SUM(failed), MAX(took), MAX(at) -- not :end
FROM request WHERE store IN (:stores) AND at >= :start AND at < :end AND note NOT LIKE '%:stores%' '''
"""


@pytest.fixture
def target(fresh_target: TargetSettings) -> TargetSettings:
    """With all tables, and five stores."""
    schema_up(fresh_target)
    with connect_bulk(fresh_target) as connection, connection.transaction():
        rows = [("S10", "Harbin", 90), ("S2", "Harbin", 300), ("S1", "Beijing", 50), ("X-1", None, 70), ("S3 ", "Beijing", 60)]
        for code, city, area in rows:
            connection.execute(
                "INSERT INTO store (store_code, name, city, area, is_open) VALUES (%s, %s, %s, %s, 1)", (code, code, city, area)
            )
    return fresh_target


@pytest.fixture
def connection(target: TargetSettings) -> Iterator[BulkConnection]:
    """To the business schema."""
    with connect_bulk(target) as opened:
        yield opened


def test_waves_of_the_stores_that_there_are(target: TargetSettings) -> None:
    text = """
name = "r"
wave = [{ name = "a", count = 1 }, { name = "b", region = "Harbin" },
        { name = "c", query = "SELECT store_code FROM store WHERE area <= 70 ORDER BY area DESC" }]
"""
    found = resolve_waves(parse_plan(text, PLAN), target)
    assert found.waves == (("S1",), ("S2", "S10"), ("X-1", "S3"))
    by_area = resolve_waves(parse_plan(text + '[stores]\norder = "area"', PLAN), target, moved={"S1"})
    assert by_area.waves[0] == ("S3",)
    assert resolve_waves(parse_plan('name = "r"', PLAN), target).waves == (("S1", "S2", "S3"), ("S10", "X-1"))


@pytest.mark.parametrize(
    "query", ["DELETE FROM store", "SELECT 1; DELETE FROM store", "SELECT 'S1' ; ", "CALL x()", "UPDATE store SET area = 1"]
)
def test_a_query_only_reads(target: TargetSettings, connection: BulkConnection, query: str) -> None:
    """What a bug would cost: a plan that is only drawn, and deletes the stores."""
    plan = parse_plan(f"name = 'r'\n[[wave]]\nname = 'a'\nquery = \"{query}\"", PLAN)
    if query.startswith("SELECT 'S1'"):
        assert resolve_waves(plan, target).waves == (("S1",),)
    else:
        with pytest.raises(ConfigurationError, match="not one SELECT"):
            resolve_waves(plan, target)
    assert connection.scalar("SELECT COUNT(*) FROM store") == 5


def test_a_query_that_is_wrong_is_the_targets_to_refuse(target: TargetSettings) -> None:
    plan = parse_plan("name = 'r'\n[[wave]]\nname = 'a'\nquery = 'SELECT nothing FROM store'", PLAN)
    with pytest.raises(TargetError):
        resolve_waves(plan, target)


def test_the_sign_of_life_of_sync(target: TargetSettings, connection: BulkConnection) -> None:
    """What a bug would cost: a gate that passes although sync died an hour ago."""
    assert check_lag(LagGate(), read_sync_facts(target), 5).verdict is Verdict.UNKNOWN
    write_heartbeat(connection, target.state_schema, heartbeat_text([], 1, "h", 5.0))
    assert "no stream" in check_lag(LagGate(), read_sync_facts(target), 5).evidence
    text = '{"pid": 1, "host": "h", "up": 5, "streams": [{"name": "reverse", "lag": 0.5, "rate": 1, "waiting": ""}]}'
    write_heartbeat(connection, target.state_schema, text)
    assert check_lag(LagGate(limit_s=60), read_sync_facts(target), 5).verdict is Verdict.PASS
    with connection.transaction():
        connection.execute(f"UPDATE {target.state_schema}.sync_control SET at = at - INTERVAL 1 HOUR")
    answer = check_lag(LagGate(limit_s=60), read_sync_facts(target), 5)
    assert (answer.verdict, answer.remedy) == (Verdict.UNKNOWN, "membershift sync run")
    write_heartbeat(connection, target.state_schema, heartbeat_text([], 1, "h", 5.0, ended="in order"))
    assert check_lag(LagGate(), read_sync_facts(target), 5).verdict is Verdict.FAIL


def test_figures_by_sql(target: TargetSettings, connection: BulkConnection) -> None:
    connection.execute(
        "CREATE TABLE request (id INT PRIMARY KEY, store VARCHAR(8), failed INT, took DOUBLE, at DATETIME(3), note VARCHAR(9))"
    )
    rows = [("S1", 0, 0.1, -61), ("S1", 1, 0.2, -60), ("S2", 0, 0.9, -30), ("S9", 1, 5.0, -30), ("S1", 0, 0.1, 0)]
    with connection.transaction():
        for number, (store, failed, took, after_s) in enumerate(rows):
            at = (NOON + timedelta(seconds=after_s)).replace(tzinfo=None)
            connection.execute("INSERT INTO request VALUES (%s, %s, %s, %s, %s, '')", (number, store, failed, took, at))
    source = open_metrics(parse_plan(SQL, PLAN), target)
    start = (NOON - timedelta(minutes=1)).astimezone()
    assert source.read(["S1", "S2"], start, NOON) == Sample(2, 1, 0.9, NOON - timedelta(seconds=30))
    assert source.read(["X"], start, NOON) == Sample(0, 0, None, NOON)
    assert source.read(["S1' OR '1'='1"], start, NOON).requests == 0
    assert not source.read([], start, NOON).known


def test_a_source_or_target_that_is_away_says_so(target: TargetSettings) -> None:
    """Nothing is raised into the controller, and nothing is waited for long."""
    away = target.model_copy(update={"url": SecretStr(f"mysql://nobody:geheim@127.0.0.1:{free_port()}"), "retries": 5})
    sample = open_metrics(parse_plan(SQL, PLAN), away).read(["S1"], NOON, NOON)
    assert not sample.known
    assert "failed" in sample.why
    assert "geheim" not in sample.why
    broken = open_metrics(parse_plan(SQL.replace("FROM request", "FROM nothing"), PLAN), target).read(["S1"], NOON, NOON)
    assert not broken.known
    with pytest.raises(TargetError):
        read_sync_facts(away)


def test_new_conflicts_and_letters_of_a_minute(target: TargetSettings, connection: BulkConnection) -> None:
    """What a bug would cost: a flood of conflicts that falls between two minutes because two clocks differ."""
    state = target.state_schema
    conflict = (
        f"INSERT INTO {state}.sync_conflict (conflict_id, direction, table_name, row_key, column_names, rule, winner, found_at) "
        "VALUES (%s, 'forward', 'member', '1', 'name', 'later', 'source', UTC_TIMESTAMP(6) - INTERVAL %s SECOND)"
    )
    letter = (
        f"INSERT INTO {state}.sync_dead_letter (letter_id, direction, part, row_key, reason, detail, attempts, first_at, "
        "last_at) VALUES (%s, 'reverse', 'p', %s, 'r', 'd', 3, UTC_TIMESTAMP(6) - INTERVAL %s SECOND, UTC_TIMESTAMP(6))"
    )
    with connection.transaction():
        for number, ago_s in enumerate((30, 90, 91, 150), 1):
            connection.execute(conflict, (number, ago_s))
        connection.execute(letter, (1, "a", 95))
        connection.execute(letter, (2, "b", 500))  # old, only tried again now
    wrong_clock = NOON - timedelta(days=400)
    for now in (datetime.now(UTC), wrong_clock):
        minutes = [(now - timedelta(seconds=60 * (n + 1)), now - timedelta(seconds=60 * n)) for n in range(3)]
        counts = [read_sync_counts(target, start, end, now) for start, end in minutes]
        assert [(one.conflicts, one.dead_letters) for one in counts] == [(1, 0), (2, 1), (1, 0)]
    away = target.model_copy(update={"url": SecretStr(f"mysql://nobody:geheim@127.0.0.1:{free_port()}")})
    nothing = read_sync_counts(away, NOON, NOON, NOON)
    assert (nothing.conflicts, nothing.dead_letters) == (None, None)
    assert nothing.why


def test_invariants_that_broke_since(tmp_path: Path) -> None:
    assert broken_invariants(tmp_path, NOON) == ()
    write_record(tmp_path, RECONCILE_INVARIANTS, NOON, {"checked": 2, "differing": ["points"]})
    assert broken_invariants(tmp_path, NOON) == ("points",)
    assert broken_invariants(tmp_path, NOON + timedelta(seconds=1)) == ()
    record_path(tmp_path, RECONCILE_INVARIANTS).write_text("{", "utf-8")
    assert broken_invariants(tmp_path, NOON) == ()
