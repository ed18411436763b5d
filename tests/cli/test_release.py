"""membershift release, typed as people type it, while both databases are down: what has to work in the worst hour."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cli.app import run
from migrations.release.alerts.book import raise_alerts
from migrations.release.alerts.model import Alert
from migrations.release.alerts.settings import AlertSettings
from migrations.release.event_log import EventLog, open_event_log
from migrations.release.events import (
    Event,
    Paused,
    Planned,
    Promoted,
    Resumed,
    RollbackBegun,
    RolledBack,
    Routed,
    Started,
    StepDone,
    SwitchBegun,
    SwitchDone,
    WaveBegun,
)
from migrations.release.model import MOVE, ROUTING, Phase, Route
from migrations.release.plan_file import read_plan

PLAN = """
name = "autumn"
[[wave]]
name = "pilot"
stores = ["S1", "S2"]
approvals = 1
[publish]
acknowledge = "none"
[roles]
{roles}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Addresses at which nobody answers, and a plan."""
    (tmp_path / "release.toml").write_text(PLAN.format(roles=""))
    path = tmp_path / "membershift.toml"
    path.write_text('[source]\nurl = "mssql://a:b@127.0.0.1:1"\n[target]\nurl = "mysql://a:b@127.0.0.1:1"\nretries = 0\n')
    return path


def write_down(config: Path, *events: Event, held: bool = False) -> None:
    """Events as a controller and people would have written them; `held`: the controller lives on."""
    digest = read_plan(config.parent / "release.toml").digest
    with open_event_log(config.parent / ".membershift") as log:
        log.take_lease("the controller")
        if not log.state.waves:
            routes = dict.fromkeys(("S1", "S2", "S3"), Route.LEGACY)
            log.append(Planned("autumn", (("S1", "S2"),), routes, digest))
        for event in events:
            log.append(event)
        if not held:
            log.release_lease()


def moves(to: Route, steps: int | None = None, of: tuple[str, ...] = ("S1", "S2")) -> list[Event]:
    """A switch of both stores, as far as so many steps."""
    events: list[Event] = [SwitchBegun(of, to)]
    for step in MOVE[:steps]:
        events += [Routed(step)] if step in ROUTING else []
        events.append(StepDone(step))
    return [*events, *([SwitchDone()] if steps is None else [])]


def typed(config: Path, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    """A command's exit code, and its result."""
    capsys.readouterr()
    code = run(["release", *words, "--json", "--config", str(config)])
    shown = capsys.readouterr()
    return code, json.loads(shown.out or shown.err)


@contextmanager
def renewed(log: EventLog) -> Iterator[None]:
    """Its lease is renewed, as a living controller does."""
    end = threading.Event()

    def renew() -> None:
        while not end.wait(0.1):
            log.renew_lease()

    thread = threading.Thread(target=renew)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


def test_before_a_plan_everything_says_how_to_begin(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert typed(config, capsys, "status")[0] == 0
    for words in (["start"], ["run"], ["approve"], ["pause"], ["promote"], ["complete"], ["rollback", "--reason", "x"]):
        code, refused = typed(config, capsys, *words)
        assert (code, words) == (7, words)
        assert "release plan --execute" in refused["remedy"] or words == ["promote"]
    assert typed(config, capsys, "plan")[0] == 5, "the target lists the stores"


def test_a_killed_controller_in_a_switch_is_told_with_the_way_on(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a bug would cost: closed stores, at night, and a screen that says all is well."""
    write_down(config, Started(), WaveBegun(0), *moves(Route.TIDB, steps=4))
    code, found = typed(config, capsys, "status")
    assert (code, found["holder"], found["unwatched"]) == (6, None, ["S1", "S2"])
    assert found["next"]["kind"] == "carry on"
    assert found["switch"]["done"] == ["snapshot", "compare", "fence", "acknowledge"]
    assert run(["release", "status", "--config", str(config), "--lang", "zh"]) == 6
    shown = capsys.readouterr().out
    assert "无人值守" in shown
    assert "membershift release run" in shown


def test_a_broken_plan_does_not_hide_where_stores_are(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_down(config, Started(), WaveBegun(0), *moves(Route.TIDB))
    (config.parent / "release.toml").write_text("name = ")
    code, found = typed(config, capsys, "status")
    assert (code, found["stores"]) == (6, {"S1": "tidb", "S2": "tidb", "S3": "legacy"})
    assert "not valid TOML" in found["trouble"]
    assert found["next"] is None


def test_stores_come_back_without_any_database(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a bug would cost: a rollback that waits for the database that is down. Nobody else runs: this command does it."""
    write_down(config, Started(), WaveBegun(0), *moves(Route.TIDB))
    plan = config.parent / "release.toml"
    plan.write_text(plan.read_text() + "[switch]\nrescue_after_s = 0.1\n")
    code, ended = typed(config, capsys, "rollback", "--reason", "TiDB is down")
    assert (code, ended["phase"], ended["carried_out"], ended["left"]) == (0, "rolled_back", True, [])
    stores = json.loads((config.parent / "routes.json").read_text())["stores"]
    assert {store: entry["route"] for store, entry in stores.items()} == dict.fromkeys(("S1", "S2", "S3"), "legacy")
    code, found = typed(config, capsys, "routes")
    assert (code, found["sequence"]) == (0, found["wanted"])
    assert typed(config, capsys, "history")[1]["events"][-1]["kind"] == "rolled_back"
    assert typed(config, capsys, "abort", "--reason", "enough")[0] == 0
    assert typed(config, capsys, "start")[0] == 7


def test_a_rollback_leaves_the_work_to_a_controller_that_lives(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two of them would publish against each other."""
    write_down(config, Started(), WaveBegun(0), *moves(Route.TIDB))
    with open_event_log(config.parent / ".membershift") as log:
        log.take_lease("the controller")
        with renewed(log):
            code, ended = typed(config, capsys, "rollback", "--reason", "coupons are refused")
        assert (code, ended["carried_out"], ended["holder"]) == (0, False, "the controller")
        assert log.refresh().phase is Phase.ROLLING_BACK


def test_status_tells_what_a_switch_waits_for(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a bug would cost: "at once", all night long, while the disk is full."""
    write_down(config, Started())
    raise_alerts(config.parent / ".membershift", AlertSettings(), [Alert("k", "red", "The disk is full", "b")])
    assert typed(config, capsys, "status")[1]["red"] == ["The disk is full"]


def test_a_store_that_the_release_does_not_have_is_no_rollback_of_all(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_down(config, Started(), WaveBegun(0), *moves(Route.TIDB))
    assert typed(config, capsys, "rollback", "--store", "S3", "--reason", "x")[0] == 2
    with open_event_log(config.parent / ".membershift") as log:
        assert log.state.phase is Phase.RUNNING


def test_a_store_that_has_not_moved_stops_nobody_else(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a bug would cost: a wrong digit, and the release of all others stands still."""
    write_down(config, Started(), WaveBegun(0), *moves(Route.TIDB), RollbackBegun(("S1",), "x", "li"))
    write_down(config, *moves(Route.LEGACY, of=("S1",)), RolledBack(("S2",)), Resumed())
    code, refused = typed(config, capsys, "rollback", "--store", "S1", "--reason", "x")
    assert (code, "None of these stores has moved" in refused["error"]) == (7, True)
    with open_event_log(config.parent / ".membershift") as log:
        assert (log.state.phase, log.state.on(Route.TIDB)) == (Phase.RUNNING, ("S2",))


def test_some_stores_come_back_and_the_others_are_not_forgotten(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a bug would cost: a store that stays on TiDB with nobody watching it, and no command that brings it back."""
    write_down(config, Started(), WaveBegun(0), *moves(Route.TIDB))
    plan = config.parent / "release.toml"
    plan.write_text(plan.read_text() + "[switch]\nrescue_after_s = 0.1\n")
    code, ended = typed(config, capsys, "rollback", "--store", "S1", "--reason", "its till is broken")
    assert (code, ended["left"], ended["phase"]) == (0, ["S2"], "paused")
    code, found = typed(config, capsys, "status")
    assert (code, found["unwatched"]) == (6, ["S2"])
    assert "release rollback" in found["possible"]
    code, ended = typed(config, capsys, "abort", "--reason", "enough")
    assert (code, ended["phase"]) == (0, "aborted")
    with open_event_log(config.parent / ".membershift") as log:
        assert log.state.on(Route.LEGACY) == ("S1", "S2", "S3")


def test_a_release_is_not_completed_while_nobody_knows_what_is_open(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a bug would cost: the way back, given up with conflicts that nobody has looked at."""
    write_down(config, Started(), WaveBegun(0), *moves(Route.TIDB))
    code, refused = typed(config, capsys, "complete")
    assert (code, "not every wave is promoted" in refused["error"]) == (7, True)
    write_down(config, Promoted(0, "li"))
    code, refused = typed(config, capsys, "complete")
    assert (code, "'check'" in refused["error"]) == (7, True)
    with open_event_log(config.parent / ".membershift") as log:
        assert (log.state.phase, log.state.on(Route.TIDB), log.state.switch) == (Phase.RUNNING, ("S1", "S2"), None)


def test_people_decide_within_their_roles(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_down(config)
    assert typed(config, capsys, "approve")[0] == 0
    assert typed(config, capsys, "approve")[0] == 7, "one person is not two approvals"
    assert typed(config, capsys, "approve", "--wave", "2")[0] == 2
    assert typed(config, capsys, "start")[0] == 0
    assert typed(config, capsys, "pause", "--reason", "lunch")[0] == 0
    code, refused = typed(config, capsys, "pause")
    assert (code, "release resume" in refused["remedy"]) == (7, True), "a refusal names what is legal"
    assert typed(config, capsys, "resume")[0] == 0
    assert typed(config, capsys, "force", "traning", "--reason", "x")[0] == 2
    assert typed(config, capsys, "force", "training", "--reason", " ")[0] == 2
    assert typed(config, capsys, "force", "training", "--reason", "the list is late")[0] == 0
    assert typed(config, capsys, "status")[1]["forced"][0][:2] == ["training", "the list is late"]
    (config.parent / "release.toml").write_text(PLAN.format(roles='operator = ["li"]\napprover = ["li"]\noverruler = ["li"]'))
    for words in (["pause"], ["approve"], ["force", "lag", "--reason", "x"], ["rollback", "--reason", "x"], ["complete"]):
        code, refused = typed(config, capsys, *words)
        assert (code, "li" in refused["remedy"]) == (7, True)


def test_another_plan_than_was_planned_does_not_run(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a bug would cost: a limit that nobody approved decides over the stores."""
    write_down(config)
    plan = config.parent / "release.toml"
    plan.write_text(plan.read_text() + "[triggers]\nerror_rate = 0.5\n")
    code, refused = typed(config, capsys, "start")
    assert (code, "changed" in refused["error"]) == (7, True)
    write_down(config, Started(), Paused("held"))
    code, refused = typed(config, capsys, "run")
    assert (code, "--changed-plan" in refused["remedy"]) == (7, True)
    assert typed(config, capsys, "status")[1]["changed_plan"]


def test_gates_of_a_release_without_databases_are_unknown_not_passed(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_down(config)
    code, checked = typed(config, capsys, "check", "--wave", "1")
    assert code == 7
    assert {one["gate"]: one["verdict"] for one in checked["answers"]}["lag"] == "UNKNOWN"
    assert all(one["remedy"] for one in checked["answers"] if one["verdict"] != "PASS")
    assert typed(config, capsys, "check", "--wave", "2")[0] == 2


def test_a_damaged_map_is_told_and_published_again(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_down(config, Started(), WaveBegun(0), *moves(Route.TIDB, 3))
    assert typed(config, capsys, "routes", "--publish")[0] == 0
    (config.parent / "routes.json").write_text("{")
    assert typed(config, capsys, "routes")[0] == 6
    assert typed(config, capsys, "routes", "--publish")[0] == 0
