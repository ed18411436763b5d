"""Every gate of a wave: with good figures all pass; with one that is missing, NaN, old or from the future none does."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from etl.errors import TargetError
from etl.reconcile.differences import Kind, ReconcileResult, TableResult
from etl.reconcile.invariant_model import InvariantResult, InvariantsResult
from etl.reconcile.invariant_model import Verdict as RuleVerdict
from etl.reconcile.record import invariants_body, rows_body
from etl.records import LOADTEST, RECONCILE_INVARIANTS, RECONCILE_ROWS, read_record, record_path, write_record
from etl.settings import Settings, SourceSettings, StateSettings, TargetSettings
from etl.sync.heartbeat import Heartbeat, StreamStatus
from migrations.release.alerts.book import raise_alerts, resolve_alert
from migrations.release.alerts.model import Alert
from migrations.release.event_log import LEASE_S
from migrations.release.events import Approved, Forced, Planned, Started
from migrations.release.figures import Limits, Verdict
from migrations.release.gates.base import GATES, Answer, Proof, judge_share
from migrations.release.gates.check import Sources, check_gates
from migrations.release.gates.sources import open_sources
from migrations.release.gates.sync_facts import SyncFacts
from migrations.release.haste import hasty
from migrations.release.machine import fold
from migrations.release.metrics.base import NoSource, Sample
from migrations.release.metrics.prometheus import PrometheusSource
from migrations.release.model import ReleaseState, Route
from migrations.release.plan import Plan
from migrations.release.plan_file import parse_plan
from migrations.release.plan_metrics import PrometheusSettings

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
AGO = NOW - timedelta(seconds=30)
STREAMS = (StreamStatus("forward/crm", 0.4, 10.0, ""), StreamStatus("reverse", 0.2, 5.0, ""))
BEAT = Heartbeat(1, "host", 100.0, 1.0, STREAMS)
WRONG: list[Any] = [None, math.nan, math.inf, -math.inf, -1, "many", True, [], {}]
NOWHERE = PrometheusSettings(url=SecretStr("http://127.0.0.1:1"))
TEXT = """
name = "r"
gates.tests.file = "critical.xml"
gates.training.file = "staff.csv"
gates.loadtest.rate = 2000
wave = [{ name = "a", count = 2, approvals = 1 }, { name = "b", count = 1, gates.training.enabled = false }]
roles.approver = ["li"]
"""


class Fixed:
    """A source of figures that always answers the same, and remembers for which stores."""

    def __init__(self, sample: Sample) -> None:
        self.sample = sample
        self.asked: tuple[str, ...] = ()

    def read(self, stores: Sequence[str], start: datetime, end: datetime) -> Sample:
        self.asked = tuple(stores)
        return self.sample


def state_of(*events: Any) -> ReleaseState:
    """A release of three stores in two waves."""
    return fold([Planned("r", (("S1", "S2"), ("S3",)), dict.fromkeys(("S1", "S2", "S3"), Route.LEGACY)), Started(), *events])


def table(name: str, differing: int = 0) -> TableResult:
    """A table's comparison."""
    return TableResult(name, 1, 1, 1, 1, 0, {Kind.CHANGED: differing}, ())


def rows_of(*tables: TableResult, sampled: float | None = None, at: datetime = AGO) -> ReconcileResult:
    """A comparison of rows."""
    return ReconcileResult(tables, at, "", 0, 0, sampled)


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """A plan with the files that it names."""
    for name, text in (
        ("critical.xml", '<testsuite tests="1"><testcase name="pay"/></testsuite>'),
        ("staff.csv", "store,trained\nS1,yes\nS2,yes\n"),
    ):
        (tmp_path / name).write_text(text, "utf-8")
        os.utime(tmp_path / name, (AGO.timestamp(), AGO.timestamp()))
    return parse_plan(TEXT, tmp_path / "release.toml")


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    """Where every figure is good."""
    write_record(tmp_path, RECONCILE_ROWS, AGO, rows_body(None, rows_of(table("member"), table("sale")), ["member", "sale"]))
    write_record(tmp_path, RECONCILE_INVARIANTS, AGO, {"checked": 3, "differing": []})
    write_record(tmp_path, LOADTEST, AGO, {"target_rate": 2000, "held_rate": 2001.5, "passed": True})
    return Sources(Fixed(Sample(1000.0, 1.0, 0.1, AGO)), lambda: SyncFacts(BEAT), tmp_path, lambda: ())


def verdicts(answers: tuple[Answer, ...]) -> dict[str, Verdict]:
    """By gate."""
    return {answer.gate: answer.verdict for answer in answers}


def one(plan: Plan, sources: Sources, gate: str, state: ReleaseState | None = None, now: datetime = NOW) -> Answer:
    """The answer of one gate."""
    answers = check_gates(plan, 0, sources, state or state_of(Approved(0, "li")), now)
    return next(answer for answer in answers if answer.gate == gate)


def test_all_gates_pass_on_good_figures(plan: Plan, sources: Sources) -> None:
    answers = check_gates(plan, 0, sources, state_of(Approved(0, "li")), NOW)
    assert verdicts(answers) == dict.fromkeys(GATES, Verdict.PASS)
    assert all(answer.evidence and answer.limit and not answer.remedy for answer in answers)


def test_nothing_known_passes_nothing(tmp_path: Path) -> None:
    """What a bug would cost: a release that starts where nothing was set up, because nothing failed."""

    def away() -> SyncFacts:
        raise TargetError("The target cannot be reached.", "Start it.")

    plan = parse_plan('name = "r"', tmp_path / "release.toml")
    answers = check_gates(plan, 0, Sources(NoSource(), away, tmp_path), state_of(), NOW)
    told = verdicts(answers)
    assert told.pop("approvals") is Verdict.PASS  # the plan asks for none
    assert set(told.values()) == {Verdict.UNKNOWN}
    assert all(answer.remedy for answer in answers if answer.gate != "approvals")
    assert next(answer for answer in answers if answer.gate == "lag").remedy == "Start it."


def test_a_wave_without_a_gate_is_not_asked_for_it(plan: Plan, sources: Sources) -> None:
    assert "training" not in verdicts(check_gates(plan, 1, sources, state_of(), NOW))


@pytest.mark.parametrize("figure", WRONG)
@pytest.mark.parametrize("field", ["requests", "errors"])
def test_availability_of_wrong_figures(plan: Plan, sources: Sources, field: str, figure: Any) -> None:
    """What a bug would cost: NaN errors, which are not more than any limit, promote a wave."""
    sample = replace(Sample(1000.0, 0.0, None, AGO), **{field: figure})
    assert one(plan, replace(sources, metrics=Fixed(sample)), "availability").verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("requests", "errors", "verdict"),
    [(1000, 1, Verdict.PASS), (999, 1, Verdict.FAIL), (100, 0, Verdict.PASS), (99, 0, Verdict.UNKNOWN), (100, 200, Verdict.FAIL)],
)
def test_availability_at_its_limits(plan: Plan, sources: Sources, requests: float, errors: float, verdict: Verdict) -> None:
    source = Fixed(Sample(requests, errors, None, AGO))
    assert one(plan, replace(sources, metrics=source), "availability").verdict is verdict
    assert source.asked == ("S1", "S2")


@pytest.mark.parametrize(
    ("age_s", "verdict"), [(120, Verdict.PASS), (121, Verdict.UNKNOWN), (-5, Verdict.PASS), (-6, Verdict.UNKNOWN)]
)
def test_availability_is_of_now(plan: Plan, sources: Sources, age_s: float, verdict: Verdict) -> None:
    source = Fixed(Sample(1000.0, 0.0, None, NOW - timedelta(seconds=age_s)))
    assert one(plan, replace(sources, metrics=source), "availability").verdict is verdict
    assert one(plan, replace(sources, metrics=Fixed(Sample(1000.0, 0.0))), "availability").verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("beat", "verdict"),
    [
        (None, Verdict.UNKNOWN),
        (replace(BEAT, age_s=16.0), Verdict.UNKNOWN),
        (replace(BEAT, ended="in order"), Verdict.FAIL),
        (replace(BEAT, streams=()), Verdict.UNKNOWN),
        (replace(BEAT, streams=(*STREAMS, StreamStatus("a", 5.0, 0.0, ""))), Verdict.PASS),
        (replace(BEAT, streams=(*STREAMS, StreamStatus("a", 5.1, 0.0, "the source"))), Verdict.FAIL),
        (replace(BEAT, streams=(*STREAMS, StreamStatus("a", math.nan, 0.0, ""))), Verdict.UNKNOWN),
        (replace(BEAT, streams=(*STREAMS, StreamStatus("a", math.inf, 0.0, ""))), Verdict.UNKNOWN),
        (replace(BEAT, age_s=math.nan), Verdict.UNKNOWN),
    ],
)
def test_lag(plan: Plan, sources: Sources, beat: Heartbeat | None, verdict: Verdict) -> None:
    """What a bug would cost: stores switched while the other side is minutes behind, or nobody copies at all."""
    answer = one(plan, replace(sources, sync=lambda: SyncFacts(beat)), "lag")
    assert answer.verdict is verdict
    assert bool(answer.remedy) is (verdict is not Verdict.PASS)


def test_reconcile_wants_every_table_recent_and_clean(plan: Plan, sources: Sources) -> None:
    """What a bug would cost: a table compared last month, among others compared today."""
    folder, before = sources.state_dir, read_record(sources.state_dir, RECONCILE_ROWS)

    def judged(result: ReconcileResult, tables: Sequence[str] = ("member", "sale")) -> Answer:
        write_record(folder, RECONCILE_ROWS, result.target_instant, rows_body(before, result, tables))
        return one(plan, sources, "reconcile")

    assert judged(rows_of(table("member"))).verdict is Verdict.PASS
    assert judged(rows_of(table("member", 2))).verdict is Verdict.FAIL
    assert judged(rows_of(table("member", 2))).figure == 2
    assert judged(rows_of(table("member", 2), sampled=0.01)).verdict is Verdict.FAIL
    assert judged(rows_of(), ("member", "sale", "coupon")).verdict is Verdict.UNKNOWN
    assert judged(rows_of(table("coupon"), sampled=0.01), ("coupon",)).verdict is Verdict.UNKNOWN
    assert judged(rows_of(table("member"), at=NOW - timedelta(days=2))).verdict is Verdict.UNKNOWN
    assert judged(rows_of(table("member"), at=NOW + timedelta(days=2))).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("name", [RECONCILE_ROWS, RECONCILE_INVARIANTS, LOADTEST])
@pytest.mark.parametrize(
    "content", [None, "", "{", "[]", '{"format": 2}', '{"format": 1}', '{"format": 1, "at": "2026-11-23"}', "NaN"]
)
def test_a_record_that_says_nothing(plan: Plan, sources: Sources, name: str, content: str | None) -> None:
    path = record_path(sources.state_dir, name)
    if content is None:
        path.unlink()
    else:
        path.write_text(content, "utf-8")
    answer = one(plan, sources, "loadtest" if name == LOADTEST else "reconcile")
    assert answer.verdict is Verdict.UNKNOWN
    assert answer.remedy


@pytest.mark.parametrize("figure", WRONG)
def test_a_record_of_wrong_figures(plan: Plan, sources: Sources, figure: Any) -> None:
    for name, body in (
        (LOADTEST, {"target_rate": figure, "held_rate": 2000, "passed": True}),
        (LOADTEST, {"target_rate": 2000, "held_rate": 2000, "passed": figure if figure is not True else 1}),
        (RECONCILE_ROWS, {"tables": {"a": {"at": AGO.isoformat(), "differing": figure}}, "all": ["a"]}),
        (RECONCILE_ROWS, {"tables": {"a": {"at": figure, "differing": 0}}, "all": ["a"]}),
        (RECONCILE_ROWS, {"tables": {"a": figure}, "all": ["a"]}),
        (RECONCILE_ROWS, {"tables": figure, "all": ["a"]}),
        (RECONCILE_ROWS, {"tables": {}, "all": figure}),
        (RECONCILE_ROWS, {"tables": {}, "all": [figure]}),
        (RECONCILE_INVARIANTS, {"checked": figure, "differing": []}),
        (RECONCILE_INVARIANTS, {"checked": 3, "differing": figure if figure != [] else "none"}),
    ):
        kept = record_path(sources.state_dir, name).read_bytes()
        write_record(sources.state_dir, name, AGO, body)
        assert one(plan, sources, "loadtest" if name == LOADTEST else "reconcile").verdict is Verdict.UNKNOWN, (name, body)
        record_path(sources.state_dir, name).write_bytes(kept)


def test_an_invariant_that_differs_is_named(plan: Plan, sources: Sources) -> None:
    rule = InvariantResult("points", "", RuleVerdict.DIFFERS, "", "", (), (), differing=1)
    same = replace(rule, name="tiers", verdict=RuleVerdict.SAME_DEFECT)
    body = invariants_body(InvariantsResult((rule, same), AGO, None, True))
    write_record(sources.state_dir, RECONCILE_INVARIANTS, AGO, body)
    answer = one(plan, sources, "reconcile")
    assert (answer.verdict, answer.evidence) == (Verdict.FAIL, "1 of 2 invariants differ: points")


def test_what_the_background_check_found_counts(plan: Plan, sources: Sources) -> None:
    """What a bug would cost: rows that sync damaged after the last comparison."""
    answer = one(plan, replace(sources, sync=lambda: SyncFacts(BEAT, differing=4)), "reconcile")
    assert (answer.verdict, answer.figure) == (Verdict.FAIL, 4)


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        ({"target_rate": 2000, "held_rate": 1999, "passed": True}, Verdict.PASS),
        ({"target_rate": 2000, "held_rate": 2000, "passed": False}, Verdict.FAIL),
        ({"target_rate": 1000, "held_rate": 1000, "passed": True}, Verdict.FAIL),
        ({"target_rate": 3000, "held_rate": 3000, "passed": True}, Verdict.PASS),
    ],
)
def test_the_loadtest_held_the_rate_that_is_asked_for(
    plan: Plan, sources: Sources, body: dict[str, Any], verdict: Verdict
) -> None:
    """What a bug would cost: a test of 1,000 TPS that passed opens the way to double eleven's 2,000."""
    write_record(sources.state_dir, LOADTEST, AGO, body)
    assert one(plan, sources, "loadtest").verdict is verdict
    write_record(sources.state_dir, LOADTEST, NOW - timedelta(days=8), body)
    assert one(plan, sources, "loadtest").verdict is Verdict.UNKNOWN


def test_a_red_alert_closes_the_gate(plan: Plan, sources: Sources) -> None:
    answer = one(plan, replace(sources, open_red=lambda: ("TiDB is away",)), "alerts")
    assert (answer.verdict, answer.figure) == (Verdict.FAIL, 1)
    assert "TiDB is away" in answer.evidence
    assert one(plan, replace(sources, open_red=None), "alerts").verdict is Verdict.UNKNOWN


def test_only_approvers_count_and_only_for_their_wave(plan: Plan, sources: Sources) -> None:
    assert one(plan, sources, "approvals", state_of(Approved(0, "zhao"))).verdict is Verdict.FAIL
    assert one(plan, sources, "approvals", state_of(Approved(1, "li"))).verdict is Verdict.FAIL
    assert one(plan, sources, "approvals", state_of(Approved(0, "zhao"), Approved(0, "li"))).verdict is Verdict.PASS


def test_a_forced_gate_counts_and_shows_how_it_stands(plan: Plan, sources: Sources) -> None:
    """What a bug would cost: a report in which an overruled gate looks as if it had been met."""
    state = state_of(Forced("approvals", "li is ill", "zhao"))
    answer = one(plan, sources, "approvals", state)
    assert (answer.verdict, answer.forced, answer.passed) == (Verdict.FAIL, True, True)
    assert "overruled by zhao: li is ill" in answer.evidence
    assert not one(plan, sources, "lag", state).forced


@pytest.mark.parametrize("figure", [math.nan, math.inf, 1.01])
def test_a_share_that_is_none(figure: float) -> None:
    answer = judge_share("tests", Proof(figure, NOW, ""), 0.9, Limits(60), "again", NOW)
    assert answer.verdict is Verdict.UNKNOWN


def test_answers_can_be_written_as_json(plan: Plan, sources: Sources) -> None:
    """They go into the event log as they are; NaN is no JSON."""
    from dataclasses import asdict

    broken = replace(sources, metrics=Fixed(Sample(math.nan, math.inf)), sync=lambda: SyncFacts(replace(BEAT, age_s=math.nan)))
    answers = check_gates(plan, 0, broken, state_of(), NOW)
    json.dumps([asdict(answer) for answer in answers], allow_nan=False)


def test_the_gates_ask_the_alerts_that_are_kept(plan: Plan, tmp_path: Path) -> None:
    """What a bug would cost: a wave that begins while a red alert of the last one is open."""
    settings = Settings(
        source=SourceSettings(url=SecretStr("mssql://a:b@127.0.0.1:1")),
        target=TargetSettings(url=SecretStr("mysql://a:b@127.0.0.1:1")),
        state=StateSettings(dir=tmp_path),
    )
    sources = open_sources(plan, settings)
    assert one(plan, sources, "alerts").verdict is Verdict.PASS
    raise_alerts(
        tmp_path, plan.alerts, [Alert("a", "red", "TiDB is away", "", "", ""), Alert("b", "blue", "All well", "", "", "")]
    )
    answer = one(plan, sources, "alerts")
    assert (answer.verdict, answer.figure) == (Verdict.FAIL, 1)
    assert "TiDB is away" in answer.evidence
    resolve_alert(tmp_path, plan.alerts, "a")
    assert one(plan, sources, "alerts").verdict is Verdict.PASS


def test_before_anything_is_planned(plan: Plan, sources: Sources) -> None:
    """What a bug would cost: `release check`, the first thing that anybody tries, ends in a crash."""
    told = verdicts(check_gates(plan, 0, replace(sources, metrics=PrometheusSource(NOWHERE)), ReleaseState(), NOW))
    assert told["training"] is told["availability"] is Verdict.UNKNOWN
    assert told["lag"] is Verdict.PASS


def test_a_target_is_not_waited_for() -> None:
    """What a bug would cost: a database that hangs takes the controller with it, for ten minutes a statement."""
    patient = TargetSettings(url=SecretStr("mysql://a:b@127.0.0.1:1"), query_timeout_s=600, retries=5)
    asked = hasty(patient)
    assert (asked.query_timeout_s, asked.connect_timeout_s, asked.retries) == (5, 5, 0)
    assert hasty(patient.model_copy(update={"query_timeout_s": 2.0})).query_timeout_s == 2
    assert asked.query_timeout_s * 3 < LEASE_S
