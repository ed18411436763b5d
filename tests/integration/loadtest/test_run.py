"""Whole load tests, of some seconds: what they prove, what they refuse, and that nothing of them stays behind."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from etl.errors import ConfigurationError, RefusedError
from etl.records import LOADTEST, read_record
from etl.settings import Settings, SourceSettings, StateSettings, TargetSettings
from etl.target.bulk import BulkConnection
from etl.target.connect import connect_bulk
from fixtures.target import TargetServer
from loadtest import safety
from loadtest.data import clean, left_over, prepare
from loadtest.latency import Latency
from loadtest.plans import Targets, double_eleven
from loadtest.run import RunRequest, run_load
from loadtest.timeline import Second
from loadtest.verdict import Verdict
from loadtest.worker import Ticks
from migrations.release.figures import Verdict as GateVerdict
from migrations.release.gates.loadtest import check_loadtest
from migrations.release.plan_gates import LoadTestGate
from migrations.schema.commands import schema_up
from tests.conftest import drop_schemas

PATIENT = Targets(p95_ms=5_000, p99_ms=10_000, late=0.2)
"""The machine that runs the tests is no server, and has other things to do."""


@pytest.fixture(scope="module")
def tables(target_server: TargetServer) -> Iterator[TargetSettings]:
    """Both schemas, marked as one that may be tested."""
    settings = TargetSettings(url=SecretStr(target_server.url), schema="ltr_m", state_schema="ltr_s", retries=1, loadtest=True)
    drop_schemas(settings)
    schema_up(settings)
    yield settings
    drop_schemas(settings)


@pytest.fixture
def settings(tables: TargetSettings, tmp_path: Path) -> Settings:
    return Settings(
        source=SourceSettings(url=SecretStr("mssql://nobody:x@127.0.0.1:1"), retries=0),
        target=tables,
        state=StateSettings(dir=tmp_path / "state"),
        origin=tmp_path / "membershift.toml",
    )


@pytest.fixture
def target(tables: TargetSettings) -> Iterator[BulkConnection]:
    with connect_bulk(tables) as connection:
        connection.execute("INSERT IGNORE INTO store (store_code, name, is_open) VALUES ('S001', 'one', 1)")
        yield connection
        clean(connection)


def small(tmp_path: Path, **more: object) -> RunRequest:
    """Some seconds at 60 transactions a second, with a burst."""
    plan = double_eleven(60, steady_s=3, burst_s=1, warm_up_s=1, after_s=1, targets=PATIENT)
    return RunRequest(plan, tmp_path / "results", members=200, coupons=50, threads=16, **more)  # type: ignore[arg-type]  # by name


class Seconds:
    """What was told while it ran."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.asked: dict[int, int] = {}

    def told(self, step: str) -> None:
        self.steps.append(step)

    def second(self, second: int, tallies: Second, ticks: Sequence[Ticks]) -> None:
        self.asked[second] = sum(tally.asked for tally in tallies.values())


def test_a_plan_is_carried_out_judged_and_cleaned_away(settings: Settings, target: BulkConnection, tmp_path: Path) -> None:
    watcher, request = Seconds(), small(tmp_path)
    result = run_load(settings, request, watcher)
    assert result.judgement.verdict is Verdict.PASS, result.judgement
    assert watcher.steps == ["fill", "run", "check", "clean"]
    assert sorted(watcher.asked) == list(range(6))
    assert watcher.asked[4] > 2 * watcher.asked[2], "the burst"
    asked = sum(tally.asked for tally in result.operations.values())
    assert (
        asked == sum(watcher.asked.values()) == sum(tally.asked for part in result.stretches.values() for tally in part.values())
    )
    assert result.judgement.held_rate == pytest.approx(60, rel=0.3)
    assert [check.name for check in result.checks if check.broken] == []
    assert not left_over(target)
    lines = [json.loads(line) for line in (request.results / "seconds.jsonl").read_text().splitlines()]
    assert sum(sum(line["outcomes"].values()) for line in lines) == asked
    whole = Latency()
    whole.merge(Latency.decode(line["response"].encode()) for line in lines if line["operation"] == "sell")
    assert whole.at(99) == result.operations["sell"].response.at(99)
    now = datetime.now(UTC)  # and the gate of a release reads it
    for rate, verdict in ((60, GateVerdict.PASS), (2_000, GateVerdict.FAIL)):
        assert check_loadtest(LoadTestGate(rate=rate), settings.state_dir, 5.0, now).verdict is verdict


def test_one_that_was_ended_early_proves_nothing(settings: Settings, target: BulkConnection, tmp_path: Path) -> None:
    end = threading.Event()
    end.set()
    result = run_load(settings, small(tmp_path, end=end))
    assert (result.cut_short, result.judgement.verdict) == (True, Verdict.VOID)
    assert "before its time" in " ".join(result.judgement.why)
    record = read_record(settings.state_dir, LOADTEST)
    assert record is not None
    assert record.body["passed"] is False
    assert not left_over(target)


def test_where_it_must_not_begin(
    settings: Settings, target: BulkConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a bug would cost: a production cluster under full load, on a bad night."""
    unmarked = settings.model_copy(update={"target": settings.target.model_copy(update={"loadtest": False})})
    with pytest.raises(RefusedError, match="not marked"):
        run_load(unmarked, small(tmp_path))
    with pytest.raises(RefusedError, match="2 stores sell"):
        run_load(settings, small(tmp_path, live=("S001", "S002")))
    prepare(target, 10, 1, ["S001"])
    with pytest.raises(RefusedError, match="earlier load test") as caught:
        run_load(settings, small(tmp_path))
    assert "loadtest clean" in caught.value.remedy
    assert left_over(target), "what somebody may want to look at is not taken away"
    clean(target)
    monkeypatch.setattr(safety, "LEAST_FREE", 2**70)
    with pytest.raises(ConfigurationError, match="MiB left"):
        run_load(settings, small(tmp_path))
    nowhere = settings.model_copy(update={"target": settings.target.model_copy(update={"schema_name": "ltr_s"})})
    with pytest.raises(RefusedError, match="no table"):
        run_load(nowhere, small(tmp_path))
