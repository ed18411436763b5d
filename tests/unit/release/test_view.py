"""What somebody who watches a release is shown, by event logs of every kind."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from migrations.release.acks import Ack
from migrations.release.alerts.model import Alert, Standing
from migrations.release.decide import Act
from migrations.release.event_log import Logged
from migrations.release.events import Approved, Forced, Paused, Planned, Promoted, RollbackBegun
from migrations.release.figures import Verdict
from migrations.release.model import Phase, Route
from migrations.release.plan import Plan
from migrations.release.timeline import read_timeline
from migrations.release.view import SPARK_MINUTES, ReleaseView, read_view
from tests.unit.release.example_logs import NOON, PLAN, WAVES, Story, completed, in_the_middle, pilot_moved, rolled_back


def seen(story: Story, holder: str = "host 1") -> ReleaseView:
    """The view at the end of a story."""
    view = read_view(story.log, PLAN, (), (), story.now, holder)
    assert view is not None
    return view


def test_nothing_planned_is_nothing_to_see() -> None:
    assert read_view((), PLAN, (), (), NOON) is None


def test_each_store_with_its_route_and_step() -> None:
    """Somebody would have called the shops that were open, and not those that were closed."""
    view = seen(in_the_middle())
    first, second = view.waves
    assert [first.standing, second.standing] == ["promoted", "moving"]
    assert second.by_route[Route.FENCED] == 4
    assert second.by_route[Route.LEGACY] == 6
    assert {line.store: line.step for line in second.stores if line.step} == dict.fromkeys(WAVES[1][:4], "reconcile")
    assert second.approvals == ("wang",)
    assert [wave.name for wave in view.waves] == ["pilot", "some"]
    assert view.others == 1


def test_what_happens_next_and_in_how_long() -> None:
    """People would have stared at a screen for ten minutes, not knowing whether it hangs."""
    view = seen(pilot_moved())
    assert view.next.act == Act("wait", "the wave is watched", until=view.now + timedelta(seconds=600))
    assert view.next.in_s == 600


def test_next_is_what_somebody_has_to_do() -> None:
    story = pilot_moved()
    story.add(Promoted(0, "li"), after_s=1)
    act = seen(story).next.act
    assert act is not None
    assert act.why == "wave 2 needs 1 more approvals: membershift release approve"
    story.add(Approved(1, "wang"))
    act = seen(story).next.act
    assert act is not None
    assert act.kind == "begin wave"


def test_hours_that_never_come_are_no_time_to_wait_for() -> None:
    """The end of time would have overflowed, and the screen gone dark on double eleven."""
    closed = PLAN.model_copy(update={"windows": PLAN.windows.model_copy(update={"never": ("2026-01-01/2029-01-01",)})})
    story = Story().plan()
    view = read_view(story.log, closed, (), (), story.now)
    assert view is not None
    assert view.next.act is not None
    assert view.next.act.why == "no switch at this time"
    assert view.next.until is None


@pytest.mark.parametrize(
    "plan", [None, PLAN.model_copy(update={"name": "other"}), PLAN.model_copy(update={"waves": PLAN.waves[:1]})]
)
def test_without_the_plan_everything_else_is_shown(plan: Plan | None) -> None:
    """A typing mistake in release.toml would have blinded everybody in the middle of a rollback."""
    story = in_the_middle()
    view = read_view(story.log, plan, (), (), story.now)
    assert view is not None
    assert view.next.needs_plan
    assert view.waves[1].by_route[Route.FENCED] == 4


def test_a_plan_that_was_changed_since_is_noticed() -> None:
    story = pilot_moved()
    planned = story.log[0]
    assert isinstance(planned.event, Planned)
    story.log[0] = Logged(1, planned.at, replace(planned.event, digest="aa"))
    view = read_view(story.log, PLAN.model_copy(update={"digest": "bb"}), (), (), story.now)
    assert view is not None
    assert view.changed_plan


def test_minutes_stand_where_they_were() -> None:
    """A gap that is closed up makes an outage of the source look like a calm hour."""
    story = pilot_moved().minutes(0.001)
    story.now += timedelta(minutes=5)
    story.minutes(0.03)
    view = seen(story)
    assert len(view.minutes) == SPARK_MINUTES
    rates = [None if minute is None else minute.rate for minute in view.minutes]
    assert rates[-1] == 0.03
    assert rates[-6:-1].count(None) == 5
    assert 0.001 in rates
    assert view.bad_minutes == 1


def test_forced_gates_stay_marked_for_ever() -> None:
    """An overruled gate would have been forgotten with the next release, or once it passes."""
    story = completed()
    before = seen(story)
    assert [(one.gate, one.by, one.reason) for one in before.forced] == [("training", "li", "illness")]
    gate = next(one for one in before.gates if one.gate == "training")
    assert gate.forced
    assert gate.marks == before.forced
    story = rolled_back()
    story.add(Forced("lag", "x", "li")).plan("winter")
    after = seen(story)
    assert after.release == "winter"
    assert [(one.release, one.gate) for one in after.forced] == [("autumn", "lag")]
    assert [(one.gate, one.verdict, one.forced) for one in after.gates] == [("lag", Verdict.UNKNOWN, True)]


def test_instances_by_what_they_hold() -> None:
    """The instance that keeps stores closed would not have been found."""
    story = pilot_moved()
    at = story.state.sequence
    ack = Ack("pos-1", at, story.now, 30, 0, "", "x")
    acks = (
        ack,
        replace(ack, instance="pos-2", sequence=at - 1),
        replace(ack, instance="pos-3", at=story.now - timedelta(seconds=36)),
        replace(ack, instance="pos-4", trouble="the file is missing"),
        replace(ack, instance="pos-5", sequence=at + 1),
    )
    view = read_view(story.log, PLAN, acks, (), story.now)
    assert view is not None
    assert (view.instances.current, view.instances.behind, view.instances.lapsed) == (3, ("pos-2",), ("pos-3",))
    assert view.instances.troubled == (("pos-4", "the file is missing"),)
    assert view.instances.total == 5


def test_only_open_alerts_are_shown() -> None:
    story = pilot_moved()
    red = Standing(1, Alert("k", "red", "a", "b"), NOON, NOON, 1, 0)
    view = read_view(story.log, PLAN, (), (red, replace(red, id=2, resolved_at=NOON)), story.now)
    assert view is not None
    assert [one.id for one in view.alerts] == [1]


def test_a_release_that_nobody_carries_out_says_so() -> None:
    """The controller was killed, and the screen went on showing that all is well."""
    assert seen(pilot_moved(), holder="").nobody_at_work
    assert not seen(pilot_moved()).nobody_at_work
    assert not seen(rolled_back(), holder="").nobody_at_work


def test_figures_that_stopped_are_old() -> None:
    """The last good minute would have stood there green for an hour."""
    story = pilot_moved().minutes(0.0)
    assert not seen(story).figures_old
    story.now += timedelta(seconds=200)
    assert seen(story).figures_old
    assert not seen(Story().plan()).figures_old


def test_stores_that_go_back() -> None:
    story = pilot_moved()
    story.add(RollbackBegun(WAVES[0], "errors", "li"))
    view = seen(story)
    assert view.phase is Phase.ROLLING_BACK
    assert view.sick == "errors"
    assert [wave.standing for wave in view.waves] == ["going back", "to come"]
    assert view.next.act is not None
    assert view.next.act.kind == "switch"


def test_steps_with_their_seconds() -> None:
    """Approvers would have been told that stores were closed for no time."""
    timeline = read_timeline(pilot_moved().log)
    assert timeline is not None
    switch = timeline.switches[0]
    assert [step.step for step in switch.steps] == [
        "snapshot", "compare", "fence", "acknowledge", "drain", "reconcile", "publish", "follow", "probe",
    ]  # fmt: skip
    assert switch.fenced_s == 2.5
    assert switch.seconds == 4.5
    assert (switch.outcome, switch.wave, switch.before, switch.to) == ("done", 0, Route.LEGACY, Route.TIDB)
    assert timeline.fenced_s == (2.5,)
    assert timeline.waves[0].moved_at == switch.ended_at


def test_a_switch_that_failed_opened_the_stores_when_it_did() -> None:
    timeline = read_timeline(completed().log)
    assert timeline is not None
    failed = timeline.switches[0]
    assert (failed.outcome, failed.failed_step, failed.fenced_s) == ("failed", "drain", 3.0)
    assert timeline.pauses[0].ended_at is not None
    assert [wave.promoted_by for wave in timeline.waves] == ["the gates", "wang"]
    assert timeline.ended_at is not None


def test_a_switch_under_way_is_not_over() -> None:
    timeline = read_timeline(in_the_middle().log)
    assert timeline is not None
    switch = timeline.switches[-1]
    assert (switch.outcome, switch.seconds, switch.fenced_s) == ("under way", None, None)
    assert switch.fenced_at is not None


def test_a_rollback_with_its_trigger() -> None:
    timeline = read_timeline(rolled_back().log)
    assert timeline is not None
    back = timeline.rollbacks[0]
    assert (back.by, back.evidence["error_rate"]) == ("trigger fast_burn", 0.25)
    assert back.ended_at == timeline.ended_at
    assert timeline.switches[-1].rescue
    assert timeline.waves[0].ended_at == timeline.ended_at


def test_an_older_release_is_found_by_its_name() -> None:
    story = rolled_back().plan("winter").add(Paused("lunch"))
    older, newest = read_timeline(story.log, "autumn"), read_timeline(story.log)
    assert older is not None
    assert newest is not None
    assert (older.release, older.state.phase, len(older.rollbacks)) == ("autumn", Phase.ROLLED_BACK, 1)
    assert (newest.release, newest.state.phase, len(newest.rollbacks)) == ("winter", Phase.PAUSED, 0)
    assert read_timeline(story.log, "spring") is None
