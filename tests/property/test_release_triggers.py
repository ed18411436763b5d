"""What sends stores back, and what lets a wave on: at the very limits, and with figures that may not be believed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from migrations.release.events import MinuteJudged, Planned, Started, WindowJudged
from migrations.release.figures import Limits, Verdict
from migrations.release.gates.base import Answer, force
from migrations.release.machine import apply, fold
from migrations.release.metrics.base import Sample, trust
from migrations.release.model import Route
from migrations.release.plan import PromotionSettings, TriggerSettings
from migrations.release.triggers import Minute, blind_for, decide, judge_minute
from migrations.release.windows import judge_window, last_window

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
DEFAULT = TriggerSettings()
WRONG = [None, math.nan, math.inf, -math.inf, -1.0]
"""Figures that are none."""

figures = st.one_of(st.sampled_from(WRONG), st.integers(0, 10_000).map(float), st.floats(0, 1e6))
samples = st.builds(Sample, figures, figures, figures, st.just(NOON))


def minute(requests: float | None, errors: float | None, **more: Any) -> Minute:
    """One minute."""
    latency = more.pop("latency", None)
    return Minute(NOON, Sample(requests, errors, latency, NOON), **more)


@pytest.mark.parametrize(
    ("requests", "errors", "verdict"),
    [
        (100, 2, "GOOD"),  # 2 % is not more than 2 %
        (100, 3, "BAD"),
        (10_000, 200, "GOOD"),
        (10_000, 201, "BAD"),
        (150, 3, "GOOD"),
        (149, 3, "BAD"),
        (1, 1, "BAD"),
        (0, 0, "UNKNOWN"),  # nobody came
        (0, 5, "UNKNOWN"),
        (None, 5, "UNKNOWN"),
        (100, None, "UNKNOWN"),
        (math.nan, 5, "UNKNOWN"),
        (100, math.inf, "UNKNOWN"),
        (100, -1, "UNKNOWN"),
    ],
)
def test_error_rate_at_its_limit(requests: float | None, errors: float | None, verdict: str) -> None:
    """What a bug would cost: a wave rolled back for nothing, or customers who cannot pay for longer than was agreed."""
    assert judge_minute(minute(requests, errors), DEFAULT).verdict == verdict


@pytest.mark.parametrize(
    ("requests", "errors", "fires"),
    [(25, 5, True), (26, 5, False), (20, 4, False), (5, 5, True), (1000, 200, True), (1000, 199, False), (0, 9, False)],
)
def test_fast_burn_at_its_limits(requests: float, errors: float, fires: bool) -> None:
    judged = judge_minute(minute(requests, errors), DEFAULT)
    decision = decide(judged, 1, 0, DEFAULT)
    assert (decision.trigger == "fast_burn") is fires
    assert decision.action == ("rollback" if fires else "go on")


@pytest.mark.parametrize(("bad", "action"), [(4, "go on"), (5, "rollback"), (6, "rollback")])
def test_five_bad_minutes(bad: int, action: str) -> None:
    assert decide(judge_minute(minute(100, 3), DEFAULT), bad, 0, DEFAULT).action == action


def test_a_streak_alone_rolls_nothing_back_once_the_minute_is_good_or_unknown() -> None:
    for requests in (1000.0, None):
        assert decide(judge_minute(minute(requests, 1), DEFAULT), 5, 0, DEFAULT).action == "go on"


@pytest.mark.parametrize(("name", "limit"), [("conflicts", 3), ("dead_letters", 0)])
def test_sync_counts_at_their_limits(name: str, limit: int) -> None:
    watching = TriggerSettings.model_validate({name: limit})
    for value, action in ((limit, "go on"), (limit + 1, "rollback"), (math.nan, "go on"), (None, "go on")):
        judged = judge_minute(minute(100, 0, **{name: value}), watching)
        assert decide(judged, 0, 0, watching).action == action
    assert decide(judge_minute(minute(100, 0, **{name: 10**6}), DEFAULT), 0, 0, DEFAULT).action == "go on"


def test_a_broken_invariant_goes_before_everything() -> None:
    judged = judge_minute(minute(None, None, broken=("points = ledger",)), DEFAULT)
    assert decide(judged, 0, 500, DEFAULT).trigger == "invariant"
    unwatched = TriggerSettings(invariants=False)
    assert decide(judge_minute(minute(100, 0, broken=("a",)), unwatched), 0, 0, unwatched).action == "go on"


@pytest.mark.parametrize(
    ("latency", "verdict"), [(0.5, "GOOD"), (0.501, "BAD"), (None, "UNKNOWN"), (math.nan, "UNKNOWN"), (math.inf, "UNKNOWN")]
)
def test_latency_at_its_limit(latency: float | None, verdict: str) -> None:
    slow = TriggerSettings(latency_p99_s=0.5)
    assert judge_minute(minute(100, 0, latency=latency), slow).verdict == verdict
    assert judge_minute(minute(100, 50, latency=None), slow).verdict == "BAD"
    assert judge_minute(minute(100, 0, latency=latency), DEFAULT).verdict == "GOOD"


@pytest.mark.parametrize(("blind_s", "action"), [(179.9, "go on"), (180, "pause")])
def test_blind_for_three_minutes(blind_s: float, action: str) -> None:
    assert decide(None, 0, blind_s, DEFAULT).action == action
    hard = TriggerSettings(on_blind="rollback")
    assert decide(None, 0, blind_s, hard).action == ("rollback" if action == "pause" else action)


def test_blindness_begins_with_the_last_minute_seen_or_with_watching() -> None:
    """A quiet minute was seen; one without an answer was not."""
    later = NOON + timedelta(minutes=10)
    assert blind_for(later, NOON, []) == 600
    assert blind_for(later, NOON, [(NOON + timedelta(minutes=3), True), (NOON + timedelta(minutes=5), False)]) == 360
    assert blind_for(later, later, [(NOON, True)]) == 0
    assert judge_minute(minute(0, 0), DEFAULT).seen
    assert not judge_minute(minute(0, None), DEFAULT).seen


@given(st.lists(st.sampled_from(["BAD", "GOOD", "UNKNOWN"]), max_size=12))
def test_the_streak_is_what_the_log_counts(verdicts: Sequence[Any]) -> None:
    """What a bug would cost: after a restart the controller counts to five anew."""
    state = fold([Planned("r", (("S1",),), {"S1": Route.LEGACY}), Started()])
    for number, verdict in enumerate(verdicts):
        state = apply(state, MinuteJudged((NOON + timedelta(minutes=number)).isoformat(), verdict))
    known = [verdict for verdict in verdicts if verdict != "UNKNOWN"]
    assert known[len(known) - state.bad_minutes :] == ["BAD"] * state.bad_minutes
    assert state.bad_minutes == len(known) or known[-state.bad_minutes - 1] == "GOOD"


def test_a_slow_answer_is_not_told_as_an_error_rate() -> None:
    """People would look for errors that nobody had."""
    slow = TriggerSettings(latency_p99_s=0.5)
    told = {rate: decide(judge_minute(minute(100, rate, latency=0.9), slow), 5, 0.0, slow).trigger for rate in (0, 10)}
    assert told == {0: "latency", 10: "error_rate"}


@given(samples, st.integers(0, 20), st.floats(0, 179))
def test_nobody_is_rolled_back_by_what_is_not_known(sample: Sample, bad: int, blind_s: float) -> None:
    """What a bug would cost: 3,000 stores moved back because a scrape failed."""
    judged = judge_minute(Minute(NOON, sample), DEFAULT)
    decision = decide(judged, bad, blind_s, DEFAULT)
    clean = trust(sample, Limits(60), NOON)
    if not clean.known or not clean.requests:
        assert judged.verdict == "UNKNOWN"
        assert decision.action == "go on"
    if decision.action == "rollback":
        assert clean.errors is not None
        assert clean.errors / (clean.requests or 1) > DEFAULT.error_rate


PASSED = Answer("lag", Verdict.PASS, 0.1, "<= 5 s", 1.0, "", "")
FAILED = Answer("lag", Verdict.FAIL, 9.0, "<= 5 s", 1.0, "far behind", "look")
UNSURE = Answer("tests", Verdict.UNKNOWN, None, ">= 100 %", None, "no file", "look")
WINDOW = last_window(NOON, 60)
RULES = PromotionSettings(windows=3)


@pytest.mark.parametrize(
    ("answers", "requests", "verdict"),
    [
        ([PASSED], 100, Verdict.PASS),
        ([PASSED], 99, Verdict.UNKNOWN),
        ([PASSED], None, Verdict.UNKNOWN),
        ([PASSED], math.nan, Verdict.UNKNOWN),
        ([PASSED], math.inf, Verdict.UNKNOWN),
        ([PASSED, UNSURE], 1000, Verdict.UNKNOWN),
        ([UNSURE, FAILED], 1000, Verdict.FAIL),
        ([FAILED], 1, Verdict.FAIL),
        ([force(FAILED, "known", "li"), force(UNSURE, "known", "li")], 100, Verdict.PASS),
        ([], 1000, Verdict.UNKNOWN),
    ],
)
def test_what_a_window_proves(answers: list[Answer], requests: float | None, verdict: Verdict) -> None:
    """What a bug would cost: a wave promoted by a quiet night, or by gates that were never asked."""
    judged = judge_window(WINDOW, Sample(requests, 0.0, None, NOON), answers, RULES)
    assert judged.verdict is verdict
    assert bool(judged.why) is (verdict is not Verdict.PASS)


@given(st.lists(st.sampled_from(list(Verdict)), max_size=10))
def test_only_passes_in_a_row_promote(verdicts: list[Verdict]) -> None:
    state = fold([Planned("r", (("S1",),), {"S1": Route.LEGACY}), Started()])
    for number, verdict in enumerate([*verdicts, Verdict.UNKNOWN]):
        enough = number >= 3 and set(verdicts[number - 3 : number]) == {Verdict.PASS}
        assert (state.passes >= 3) is enough, "the controller promotes by this count"
        state = apply(state, WindowJudged((NOON + timedelta(minutes=number)).isoformat(), verdict))
    assert state.passes == 0


@given(st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)), st.sampled_from([60.0, 90.0, 300.0]))
def test_windows_follow_each_other_without_a_gap(at: datetime, length_s: float) -> None:
    now = at.replace(tzinfo=UTC)
    window = last_window(now, length_s)
    assert window.end <= now < window.end + timedelta(seconds=length_s)
    assert last_window(now + timedelta(seconds=length_s), length_s).start == window.end
    assert last_window(now.astimezone(), length_s) == window


@given(samples, st.floats(-600, 600))
def test_only_fresh_numbers_are_trusted(sample: Sample, age_s: float) -> None:
    """What a bug would cost: a promotion on figures of yesterday, or of a machine whose clock runs ahead."""
    now = NOON + timedelta(seconds=age_s)
    trusted = trust(sample, Limits(60, 5), now)
    if not -5 <= (now - NOON).total_seconds() <= 60:
        assert trusted.requests is None
    for value in (trusted.requests, trusted.errors, trusted.latency_p99_s):
        assert value is None or (math.isfinite(value) and value >= 0)
    assert trusted.known or trusted.why
