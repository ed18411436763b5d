"""What a release does next, played through from the first wave to the last and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from migrations.release.decide import Act, Situation, WaveRules, next_act
from migrations.release.events import (
    Approved,
    Event,
    Paused,
    Planned,
    Promoted,
    RollbackBegun,
    RolledBack,
    Routed,
    Started,
    StepDone,
    SwitchBegun,
    SwitchDone,
    WaveBegun,
    WindowJudged,
)
from migrations.release.machine import apply
from migrations.release.model import ROUTING, Phase, ReleaseState, Route

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
WAVES = (("S1", "S2", "S3"), ("S4", "S5"))
RULES = (WaveRules(batch=2, shadow_s=60, bake_s=600), WaveRules(batch=10, bake_s=60, approvals=1))


@dataclass
class Play:
    """A release and a clock that stands still unless it is moved."""

    now: datetime = NOON
    since: datetime = NOON
    open_from: datetime = NOON
    rules: Sequence[WaveRules] = RULES
    rescue: bool = False
    state: ReleaseState = field(default_factory=ReleaseState)

    def do(self, *events: Event) -> None:
        """Take events."""
        for event in events:
            self.state = apply(self.state, event)
            if isinstance(event, SwitchDone | WaveBegun):
                self.since = self.now

    @property
    def act(self) -> Act:
        """What comes next."""
        return next_act(self.state, Situation(self.now, self.since, self.open_from, 2, self.rules, rescue=self.rescue))

    def carry_out(self) -> Act:
        """Do it, all steps at once."""
        act = self.act
        if act.kind == "begin wave":
            self.do(WaveBegun(act.wave))
        elif act.kind == "promote":
            self.do(Promoted(act.wave))
        elif act.kind == "rolled back":
            self.do(RolledBack())
        elif act.kind == "switch":
            self.do(SwitchBegun(act.stores, act.to, act.rescue))
            while self.state.switch is not None:
                step = self.state.switch.next_step
                self.do(
                    *([] if step is None else [Routed(step)] if step in ROUTING else []), StepDone(step) if step else SwitchDone()
                )
        return act


def started(**values: object) -> Play:
    """A release that may begin."""
    play = Play(**values)  # type: ignore[arg-type]  # the fields of Play
    play.do(Planned("r", WAVES, dict.fromkeys(("S1", "S2", "S3", "S4", "S5"), Route.LEGACY)), Started())
    return play


def test_the_whole_release() -> None:
    """Shadow, two batches, baking, gates, approval, the next wave, the end."""
    play = started()
    assert play.carry_out() == Act("begin wave", "wave 1", wave=0)
    assert play.carry_out().to is Route.SHADOW
    assert play.act == Act("wait", "reads are compared", until=NOON + timedelta(seconds=60))
    play.now += timedelta(seconds=60)
    assert play.carry_out().stores == ("S1", "S2")
    assert play.carry_out().stores == ("S3",)
    assert play.act.why == "the wave is watched"
    play.now += timedelta(seconds=600)
    assert "0 of 2" in play.act.why
    play.do(WindowJudged("1", "PASS"), WindowJudged("2", "UNKNOWN"), WindowJudged("3", "PASS"))
    assert "1 of 2" in play.act.why, "a window of which nothing is known would have counted"
    play.do(WindowJudged("4", "PASS"))
    assert play.carry_out().kind == "promote"
    assert "1 more approvals" in play.act.why
    play.do(Approved(1, "a"), Approved(1, "a"))
    assert play.carry_out().kind == "begin wave"
    assert play.carry_out().stores == ("S4", "S5")
    play.now += timedelta(seconds=60)
    play.do(WindowJudged("5", "PASS"), WindowJudged("6", "PASS"))
    assert play.carry_out().kind == "promote"
    assert "complete" in play.act.why


def test_no_switch_outside_the_windows() -> None:
    """Stores would be closed on the morning of double eleven."""
    play = started(open_from=NOON + timedelta(hours=9))
    assert play.act == Act("wait", "no switch at this time", until=NOON + timedelta(hours=9))
    play.open_from = NOON
    play.carry_out()
    play.carry_out()
    play.now += timedelta(minutes=5)
    play.open_from = play.now + timedelta(hours=9)
    assert play.act.kind == "wait", "stores in shadow would have moved outside the window"


def test_going_back_asks_neither_for_a_window_nor_for_a_target() -> None:
    """Stores that fail would have waited for the night, or for a server that is gone."""
    play = started(open_from=NOON, rules=(WaveRules(batch=2), WaveRules()))
    play.carry_out()
    play.carry_out()
    play.carry_out()
    play.do(Paused("lunch"), RollbackBegun(WAVES[0], "errors", "trigger"))
    play.open_from = NOON + timedelta(days=1)
    back = play.act
    assert (back.kind, back.to, back.rescue, len(back.stores)) == ("switch", Route.LEGACY, False, 3)
    play.rescue = True
    rescue = play.carry_out()
    assert (rescue.rescue, set(rescue.stores)) == (True, {"S1", "S2", "S3"})
    assert play.carry_out().kind == "rolled back"
    assert play.state.phase is Phase.ROLLED_BACK
    assert play.act.kind == "wait"
