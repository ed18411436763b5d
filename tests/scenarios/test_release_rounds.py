"""A release moves stores and brings them back, again and again, while they sell and things are killed and cut at random.

Afterwards every acknowledged sale is on both sides once, the rows agree, no store is closed, and the log folds to the map.
`pytest -m proof -o log_cli=true -o log_cli_level=INFO` tells each round.
"""

from __future__ import annotations

import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from fixtures.drills.model import DrillRequest
from fixtures.drills.scene import Scene, open_scene, run_sync_again, selling
from fixtures.storefront.run import StorefrontResult
from migrations.release.events import Promoted, Resumed, Started, SwitchDone, SwitchFailed
from migrations.release.going_back import begin_rollback
from migrations.release.machine import IllegalEvent, fold
from migrations.release.model import Phase, Route
from migrations.release.publish.routes_map import map_of, read_published
from tests.scenarios import faults
from tests.scenarios.shops import await_agreement, kill, number_from_environment

ROUNDS: Final = 200
ROUNDS_A_SHIFT: Final = 10
"""After so many the stores close, and everything sold so far is looked for: what goes wrong is found near to where it did."""
ALLOWANCE_S: Final = 120.0
ROUND_S: Final = 240.0
LEASE_WAITED_FOR: Final = 8
"""After every so many kills of the controller its lease is waited for, as drill kill-controller does; else it is taken away."""
LATEST_STRIKE_S: Final = 10.0
EARLY_SHARE: Final = 0.25
"""Of the rounds, stores are ordered back while they are on their way."""
PLAN: Final = """\
name = "rounds"
[publish]
instances = 1
acknowledge_s = 40
[gates]
lag.limit_s = 20
tests.enabled = false
training.enabled = false
loadtest.enabled = false
reconcile.enabled = false
alerts.enabled = false
[metrics]
source = "file"
[metrics.file]
path = "minutes.json"
[switch]
snapshot = false
drain_limit_s = 15
rescue_after_s = 5
"""
log = logging.getLogger(__name__)


@dataclass
class Rounds:
    """`chance` draws what goes wrong and when; `struck`: how often each did; `came`: how rounds came out."""

    scene: Scene
    chance: random.Random
    struck: Counter[str] = field(default_factory=Counter)
    came: Counter[str] = field(default_factory=Counter)
    killed: int = 0

    def kill_controller(self) -> None:
        """Wherever it is; the next one goes on."""
        kill(self.scene.programs["controller"])
        self.killed += 1
        if self.killed % LEASE_WAITED_FOR:
            self.scene.log.connection.execute("UPDATE lease SET until = 0")
        self.scene.start("controller")

    def kill_while_closed(self) -> None:
        """Between a fence and the map after it: the next one opens the stores."""
        self.scene.until(lambda: "yes" if self.scene.state().on(Route.FENCED) else "", ROUND_S, "a store was closed")
        self.kill_controller()

    def kill_sync(self) -> None:
        """In the middle of whatever it does."""
        kill(self.scene.programs["sync"])
        self.scene.start("sync")

    def drop_connections(self) -> None:
        """All of them are reset once, to both sides; new ones are taken."""
        for net in (self.scene.retailer.legacy_net, self.scene.retailer.target_net):
            net.drop()

    def break_sync(self, fault: faults.Fault) -> None:
        """What tests of sync break: servers and networks. Sync lives through it, or is started again."""
        if self.scene.programs["sync"].poll() is None:
            fault(self.scene.retailer, self.scene.programs["sync"])

    def draw(self) -> list[Strike]:
        """Up to three things that go wrong in a round; what takes a server away is rarer."""
        often: list[tuple[str, Callable[[], None], int]] = [
            ("kill_controller", self.kill_controller, 5),
            ("kill_sync", self.kill_sync, 4),
            ("drop_connections", self.drop_connections, 3),
            *((one.__name__, partial(self.break_sync, one), weight) for one, weight in BROKEN),
        ]
        picked = self.chance.choices(often, [weight for *_, weight in often], k=self.chance.choice((0, 1, 1, 2, 3)))
        return sorted(
            (Strike(self.chance.uniform(0.0, LATEST_STRIKE_S), name, do) for name, do, _ in picked), key=lambda one: one.after_s
        )


BROKEN: Final = (
    (faults.cut_target_off, 2),
    (faults.cut_source_off, 2),
    (faults.stop_sync_for_a_while, 1),
    (faults.slow_network, 1),
    (faults.kill_target_server, 1),
    (faults.kill_legacy_server, 1),
)


@dataclass(frozen=True)
class Strike:
    """Something that goes wrong so many seconds after a round began."""

    after_s: float
    name: str
    do: Callable[[], None]


@dataclass
class Round:
    """One way there and back. `strikes`: what is still to go wrong. `early`: ordered back in the middle of a switch forward."""

    rounds: Rounds
    strikes: list[Strike]
    early: bool = False
    began: float = field(default_factory=time.monotonic)

    def play(self) -> str:
        """Until every store is back; how it came out."""
        scene = self.rounds.scene
        if scene.state().phase is Phase.ROLLED_BACK:
            scene.log.append(Started())
        if "controller" not in scene.programs or scene.programs["controller"].poll() is not None:
            scene.start("controller")
        came = scene.until(self.forward, ROUND_S, "the stores had moved")
        moved_s = time.monotonic() - self.began
        if came == "moved":
            scene.sell_for(self.rounds.chance.uniform(0.0, 1.5))
        with suppress(IllegalEvent):  # a trigger was faster
            if scene.state().phase is not Phase.ROLLED_BACK:
                begin_rollback(scene.log, (), "a round", "proof")
        scene.until(self.backward, ROUND_S, "the stores were back")
        log.info("%s after %.1f s, back after %.1f s", came, moved_s, time.monotonic() - self.began)
        return came

    def forward(self) -> str:
        """People resume what has failed and promote the first wave; "" while stores are on their way."""
        self.strike()
        scene = self.rounds.scene
        state = scene.state()
        with suppress(IllegalEvent):  # the controller has just written something else
            if state.phase in (Phase.ROLLING_BACK, Phase.ROLLED_BACK):
                return "went back by a trigger"
            if state.switch is not None:
                return "ordered back on the way" if self.early and state.switch.routed else ""
            if state.phase is Phase.PAUSED:
                scene.log.append(Resumed())
            elif state.wave == 0 and 0 not in state.promoted and state.moved_in(0):
                scene.log.append(Promoted(0, "proof"))
        return "moved" if state.on(Route.TIDB) == scene.stores else ""

    def backward(self) -> str:
        """Whether every store is back. What has not gone wrong by then does not."""
        self.strike()
        return "back" if self.rounds.scene.state().phase is Phase.ROLLED_BACK else ""

    def strike(self) -> None:
        """Whatever is due goes wrong now."""
        while self.strikes and time.monotonic() - self.began >= self.strikes[0].after_s:
            strike = self.strikes.pop(0)
            log.info("%s after %.1f s", strike.name, time.monotonic() - self.began)
            strike.do()
            self.rounds.struck[strike.name] += 1


def play_rounds(rounds: Rounds, faults_of: Sequence[list[Strike]], early: Sequence[bool]) -> list[StorefrontResult]:
    """So many rounds with the stores open; then everything that was ever sold is looked for."""
    scene = rounds.scene
    sold = scene.retailer.sold
    logs = scene.retailer.folder / f"logs-{len(sold)}"
    with selling(scene, 20.0, through_net=bool(len(sold) % 2), skews_s=(0.0,), logs=logs) as ended:
        sold.append(logs)
        for strikes, soon in zip(faults_of, early, strict=True):
            rounds.came[Round(rounds, strikes, soon).play()] += 1
            assert_nobody_is_closed(scene)
    run_sync_again(scene)
    await_agreement(scene.retailer, sold, ALLOWANCE_S, 90.0)
    return ended


def assert_nobody_is_closed(scene: Scene) -> None:
    """What is published is what the log folds to, from its first event on, and every store takes writes."""
    state = fold(one.event for one in scene.log.events())
    assert not state.on(Route.FENCED, Route.TIDB)
    out = read_published(scene.retailer.routes)
    assert out is not None
    assert (out.sequence, out.digest) == (state.sequence, map_of(state).digest)


@contextmanager
def open_rounds(folder: Path, seed: int) -> Iterator[Rounds]:
    """Three stores, one of them in a wave of its own."""
    with open_scene(DrillRequest("rounds", folder, stores=3), log.info, PLAN, (1, 2)) as scene:
        yield Rounds(scene, random.Random(seed))


@pytest.mark.proof
def test_a_controller_and_a_sync_killed_with_stores_closed_lose_no_sale(tmp_path: Path) -> None:
    """A store that stays closed sells nothing until somebody looks; one that is opened too early loses what was on its way."""
    with open_rounds(tmp_path / "sandbox", 1) as rounds:
        killed = [Strike(0.0, "kill_while_closed", rounds.kill_while_closed), Strike(0.0, "kill_sync", rounds.kill_sync)]
        play_rounds(rounds, (killed,), (False,))
        assert rounds.struck.total() == 2
        assert rounds.came["moved"] == 1
        switched = [one.event for one in rounds.scene.log.events() if isinstance(one.event, SwitchDone)]
        assert len(switched) >= 3  # there in two waves, and back


@pytest.mark.proof
@pytest.mark.timeout(4 * 3600)
def test_two_hundred_rounds(tmp_path: Path) -> None:
    """MEMBERSHIFT_PROOF_ROUNDS of them, 200 by default, with MEMBERSHIFT_PROOF_SEED (7)."""
    left = int(number_from_environment("MEMBERSHIFT_PROOF_ROUNDS", ROUNDS))
    with open_rounds(tmp_path / "sandbox", int(number_from_environment("MEMBERSHIFT_PROOF_SEED", 7))) as rounds:
        while left > 0:
            count = min(left, ROUNDS_A_SHIFT)
            drawn = [rounds.draw() for _ in range(count)]
            play_rounds(rounds, drawn, [rounds.chance.random() < EARLY_SHARE for _ in range(count)])
            left -= count
            log.info("%s rounds to go; %s; %s", left, dict(rounds.came), dict(rounds.struck))
        failed = Counter(one.event.step for one in rounds.scene.log.events() if isinstance(one.event, SwitchFailed))
        log.info("switches that failed and were put back, by step: %s", dict(failed))
