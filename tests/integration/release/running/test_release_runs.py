"""A release of two stores, typed as people type it, on two real servers with sync at work and a till that keeps to the map."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cli.app import run
from fixtures.retailer import PROGRAM, ROOT
from migrations.release.event_log import open_event_log
from migrations.release.model import Phase, ReleaseState, Route
from tests.integration.release.running.conftest import Chain
from tests.integration.sync.running.support import until

Process = subprocess.Popen[bytes]


PATIENCE_S = 90.0


@contextmanager
def controller(chain: Chain) -> Iterator[Process]:
    """`membershift release run` as a program of its own; what it says goes to a file. Killed at the end, if it is not over."""
    words = [sys.executable, "-c", PROGRAM, "--config", str(chain.config), "release", "run"]
    with (chain.folder / "run.log").open("ab") as out, subprocess.Popen(words, stdout=out, stderr=out, cwd=ROOT) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGKILL)


def wait_for(chain: Chain, process: Process, done: Callable[[], bool]) -> None:
    """Until the controller has come so far. Fails where it ended instead."""
    until(lambda: process.poll() is not None or done(), PATIENCE_S)
    assert process.poll() is None, said(chain)


def state_of(chain: Chain) -> ReleaseState:
    """What the log says now."""
    with open_event_log(chain.folder / ".membershift") as log:
        return log.state


def said(chain: Chain) -> str:
    """The last of what the programs said."""
    return (chain.folder / "run.log").read_text("utf-8")[-3_000:]


def lapse(chain: Chain) -> None:
    """Twenty seconds later, as far as the lease of a killed process is concerned."""
    with sqlite3.connect(chain.folder / ".membershift" / "state.db") as connection:
        connection.execute("UPDATE lease SET until = 0")


def typed(chain: Chain, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    """A command's exit code, and its result."""
    capsys.readouterr()
    code = run([*words, "--json", "--config", str(chain.config)])
    shown = capsys.readouterr().out
    return code, json.loads(shown) if shown else None


def published(chain: Chain) -> dict[str, str]:
    """Where the map says that the wave's stores write."""
    stores = json.loads(Path(chain.folder / "routes.json").read_text())["stores"]
    return {store: stores[store]["route"] for store in chain.stores}


def all_pass(chain: Chain, capsys: pytest.CaptureFixture[str]) -> bool:
    """Whether every gate does: sync tells of its lag a moment after it began, and figures are of the last minutes."""
    chain.write_figures(errors=0)
    return typed(chain, capsys, "release", "check")[0] == 0


def test_two_stores_move_over_a_kill_and_come_back(chain: Chain, capsys: pytest.CaptureFixture[str]) -> None:
    """What a bug would cost: stores that stay closed after a crash of the controller, or sales that do not come back."""
    chain.write_figures(errors=0)
    code, drawn = typed(chain, capsys, "release", "plan")
    assert (code, drawn["planned"], drawn["waves"][0]["stores"]) == (0, False, list(chain.stores))
    assert typed(chain, capsys, "release", "start")[0] == 7, "nothing was planned"
    assert typed(chain, capsys, "release", "plan", "--execute")[0] == 0
    assert typed(chain, capsys, "release", "start")[0] == 0
    assert typed(chain, capsys, "release", "routes", "--publish")[0] == 0
    first, second = chain.stores
    with chain.shop.running(), chain.till() as till:
        until(lambda: all_pass(chain, capsys), PATIENCE_S)
        with till.writing(first), controller(chain) as process:  # a long sale: the fence is not acknowledged before it is over
            wait_for(chain, process, lambda: set(published(chain).values()) == {"fenced"})
        assert first in state_of(chain).on(Route.FENCED), "what is published was written down before"
        lapse(chain)
        code, found = typed(chain, capsys, "release", "status")
        assert (code, found["holder"], set(found["unwatched"])) == (6, None, set(chain.stores))
        assert "release run" in found["possible"]

        with controller(chain) as process:
            wait_for(chain, process, lambda: moved(chain))
            assert published(chain) == {first: "tidb", second: "tidb"}
            assert typed(chain, capsys, "release", "status")[0] == 0, "a controller runs, and all is well"
            assert typed(chain, capsys, "release", "promote")[0] == 7, "no window was judged yet"
            assert typed(chain, capsys, "release", "rollback", "--store", second, "--reason", "its till is broken")[0] == 0
            wait_for(chain, process, lambda: state_of(chain).phase is Phase.PAUSED)
            assert published(chain) == {first: "tidb", second: "legacy"}
            found = typed(chain, capsys, "release", "status")[1]
            assert (found["unwatched"], found["holder"] is None) == ([], False), "the same controller watches the one that stays"
            code, _ = typed(chain, capsys, "release", "rollback", "--reason", "coupons are refused")
            assert code == 0
            assert process.wait(PATIENCE_S) == 7, said(chain)
        assert published(chain) == {first: "legacy", second: "legacy"}
    assert state_of(chain).phase is Phase.ROLLED_BACK
    code, history = typed(chain, capsys, "release", "history")
    kinds = [event["kind"] for event in history["events"]]
    assert code == 0
    assert kinds[:3] == ["planned", "started", "wave_begun"]
    assert kinds[-1] == "rolled_back"
    assert "switch_failed" not in kinds
    assert kinds.count("switch_begun") == 3, "the switch that was cut short went on, it did not begin anew"
    assert typed(chain, capsys, "release", "abort", "--reason", "for now")[0] == 0


def moved(chain: Chain) -> bool:
    """Both stores take their writes on TiDB, and the switch is over."""
    state = state_of(chain)
    return state.switch is None and len(state.on(Route.TIDB)) == 2


def test_two_stores_stay_for_good(chain: Chain, capsys: pytest.CaptureFixture[str]) -> None:
    """What a bug would cost: a release that cannot be ended, or an end from which a mistyped command goes back."""
    whole = (chain.folder / "release.toml").read_text()
    (chain.folder / "release.toml").write_text(whole.replace('[[wave]]\nname = "rest"\nshare = 1.0\n', ""))
    chain.write_figures(errors=0)
    assert typed(chain, capsys, "release", "plan", "--execute")[0] == 0
    assert typed(chain, capsys, "release", "start")[0] == 0
    assert typed(chain, capsys, "release", "routes", "--publish")[0] == 0
    with chain.shop.running(), chain.till(), controller(chain) as process:
        until(lambda: all_pass(chain, capsys), PATIENCE_S)
        wait_for(chain, process, lambda: moved(chain))
        assert typed(chain, capsys, "release", "complete")[0] == 7, "the wave is not through"
        assert typed(chain, capsys, "release", "force", "windows", "--reason", "two stores, no time")[0] == 0
        until(lambda: typed(chain, capsys, "release", "promote")[0] == 0, PATIENCE_S)
        code, ended = typed(chain, capsys, "release", "complete")
        assert (code, ended["phase"], ended["left"], ended["carried_out"]) == (0, "completed", [], True)
        assert process.wait(PATIENCE_S) == 0, said(chain)
    assert set(published(chain).values()) == {"complete"}
    for refused in (("rollback", "--reason", "too late"), ("complete",), ("abort", "--reason", "too late")):
        assert typed(chain, capsys, "release", *refused)[0] == 7
    assert set(published(chain).values()) == {"complete"}
    code, status = typed(chain, capsys, "release", "status")
    assert (code, status["unwatched"]) == (0, [])
