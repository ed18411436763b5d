"""An hour with a source of figures that is down, or gives NaN, old ones, ones from the future or too few: nobody moves on, and
nobody goes back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, given, settings
from pydantic import SecretStr

from etl.settings import Settings, SourceSettings, StateSettings, TargetSettings
from migrations.release.events import MinuteJudged, Planned, Started
from migrations.release.figures import Verdict
from migrations.release.gates.availability import check_availability
from migrations.release.machine import apply, fold
from migrations.release.metrics.base import Sample
from migrations.release.minutes import read_minute, read_window
from migrations.release.model import ReleaseState, Route
from migrations.release.plan import Plan
from migrations.release.plan_file import parse_plan
from migrations.release.triggers import MINUTE, blind_for, decide, judge_minute
from migrations.release.windows import judge_window, last_window

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
STATE = ReleaseState(waves=(("S1",),))
PLAN = parse_plan("name = 'r'\n[triggers]\nlatency_p99_s = 0.5\n[promotion]\nwindows = 2", Path("release.toml"))
HARSH = parse_plan("name = 'r'\n[triggers]\non_blind = 'rollback'\n[promotion]\nwindows = 2", Path("release.toml"))

Kind = str
KINDS = ("down", "nan", "infinite", "negative", "half", "old", "ahead", "thin", "no time")


def sample_of(kind: Kind, now: datetime) -> Sample:
    """What a source in trouble says; where it says something of errors, something alarming or something very good."""
    said: dict[Kind, Sample] = {
        "down": Sample(why="connection refused"),
        "nan": Sample(math.nan, math.nan, math.nan, now),
        "infinite": Sample(math.inf, 0.0, 0.1, now),
        "negative": Sample(-1000.0, -5.0, 0.1, now),
        "half": Sample(1000.0, None, 0.1, now),
        "old": Sample(1000.0, 900.0, 9.0, now - timedelta(minutes=5)),
        "ahead": Sample(1000.0, 0.0, 0.1, now + timedelta(minutes=5)),
        "thin": Sample(40.0, 0.0, 0.1, now),
        "no time": Sample(1000.0, 900.0, 9.0, None),
    }
    return said[kind]


class Troubled:
    """A source that is in trouble as it is told to be."""

    def __init__(self) -> None:
        self.kind: Kind = "down"
        self.now = NOON

    def read(self, stores: Sequence[str], start: datetime, end: datetime) -> Sample:
        return sample_of(self.kind, self.now)


def nowhere(folder: Path) -> Settings:
    """No server, and an empty state folder."""
    return Settings(
        source=SourceSettings(url=SecretStr("mssql://a:b@127.0.0.1:1")),
        target=TargetSettings(url=SecretStr("mysql://a:b@127.0.0.1:1")),
        state=StateSettings(dir=folder),
    )


def bad_minutes(verdicts: Sequence[str]) -> int:
    """The streak as the log counts it."""
    state = fold([Planned("r", (("S1",),), {"S1": Route.LEGACY}), Started()])
    for number, verdict in enumerate(verdicts):
        state = apply(state, MinuteJudged(f"{number:06}", verdict))
    return state.bad_minutes


def watch(plan: Plan, kinds: Sequence[Kind], folder: Path) -> tuple[list[Any], list[Verdict]]:
    """What the triggers decided each minute, and how each window was judged."""
    source, decisions, verdicts = Troubled(), [], []
    minutes, seen = [], []
    for number, kind in enumerate(kinds, 1):
        source.kind = kind
        source.now = now = NOON + number * MINUTE + timedelta(seconds=10)
        window = last_window(now - timedelta(seconds=10), 60)
        minute = read_minute(plan, nowhere(folder), source, ("S1",), window.start, moved_at=NOON, now=now)
        judged = judge_minute(minute, plan.triggers)
        minutes.append(judged.verdict)
        seen.append((judged.start, judged.seen))
        decisions.append(decide(judged, bad_minutes(minutes), blind_for(now, NOON, seen), plan.triggers))
        answers = [check_availability(plan.gates.availability, source, STATE, 0, 5, now)]
        figures = read_window(plan, source, ("S1",), window.start, window.end, now)
        verdicts.append(judge_window(window, figures, answers, plan.promotion).verdict)
    return decisions, verdicts


@given(st.lists(st.sampled_from(KINDS), min_size=1, max_size=60))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_trouble_promotes_nobody_and_sends_nobody_back(tmp_path: Path, kinds: list[Kind]) -> None:
    """What a bug would cost: 3,000 stores moved either way because of a monitoring system."""
    decisions, verdicts = watch(PLAN, kinds, tmp_path)
    assert Verdict.PASS not in verdicts
    assert {decision.action for decision in decisions} <= {"go on", "pause"}
    if len(kinds) >= 3 and not set(kinds[-3:]) & {"thin"}:
        assert decisions[-1].action == "pause"  # three minutes of nothing: somebody is told


def test_blindness_sends_back_only_where_the_plan_says_so(tmp_path: Path) -> None:
    decisions, _ = watch(HARSH, ["old", "nan", "down", "thin", "down"], tmp_path)
    assert [decision.action for decision in decisions] == ["go on", "go on", "rollback", "go on", "go on"]
    assert decisions[2].trigger == "blind"
