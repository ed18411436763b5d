"""Application processes that are killed or stand still, with real clocks: how long they are waited for, what they do then."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from migrations.release.acks import AckWatch, prepare_acks
from migrations.release.publish.atomic import replace_file
from migrations.release.publish.routes_map import map_of, text_of
from tests.unit.release.publish.states import fenced, planned

LEASE_S = 0.6
ALLOWANCE_S = 0.3

TILL = """
import os, signal, sys, time
from migrations.release.client.routes import Moved, Routes
routes = Routes(sys.argv[1], sys.argv[2], sys.argv[3], lease_s=float(sys.argv[4]), poll_s=0.1).start()
with routes.writing("S001") as write:
    print("writing", flush=True)
    if sys.argv[5] == "stops":
        os.kill(os.getpid(), signal.SIGSTOP)
    else:
        time.sleep(60)
    try:
        write.still()
        print("committed", flush=True)
    except Moved as moved:
        print("rolled back:", moved, flush=True)
"""


class Till:
    """A process in the middle of a write of S001."""

    def __init__(self, folder: Path, name: str, does: str) -> None:
        command = [sys.executable, "-c", TILL, str(folder / "routes.json"), str(folder / "acks"), name, str(LEASE_S), does]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[4])
        assert self.line() == "writing"

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    replace_file(tmp_path / "routes.json", text_of(map_of(planned())))
    prepare_acks(tmp_path / "acks")
    return tmp_path


@pytest.fixture
def tills() -> Iterator[list[Till]]:
    started: list[Till] = []
    yield started
    for till in started:
        till.end()


def wait_until_lapsed(watch: AckWatch, name: str) -> float:
    """How long it took in seconds until an instance was waited for no more."""
    began = time.monotonic()
    while name not in watch.look(1).lapsed:
        assert time.monotonic() - began < 30.0
        time.sleep(0.02)
    return time.monotonic() - began


def test_a_killed_instance_is_waited_for_as_long_as_it_might_have_written(folder: Path, tills: list[Till]) -> None:
    """Not a moment less: from outside, a kill and a network that is cut look the same."""
    tills.append(Till(folder, "till-1", "sells"))
    watch = AckWatch(folder / "acks", allowance_s=ALLOWANCE_S)
    replace_file(folder / "routes.json", text_of(map_of(fenced(planned(), "S001"))))
    assert [ack.instance for ack in watch.look(1).waiting] == ["till-1"]
    tills[0].process.send_signal(signal.SIGKILL)
    tills[0].process.wait()
    watch.look(1)
    assert wait_until_lapsed(watch, "till-1") > LEASE_S / 2
    assert not watch.look(1).done, "and nobody is left who has the map"


def test_an_instance_that_stood_still_for_its_lease_commits_nothing_when_it_wakes(folder: Path, tills: list[Till]) -> None:
    """It was waited for no more, the store was reconciled and has moved: this COMMIT would be a sale on the wrong side."""
    tills.append(Till(folder, "till-1", "stops"))
    os.waitpid(tills[0].process.pid, os.WUNTRACED)
    watch = AckWatch(folder / "acks", allowance_s=ALLOWANCE_S)
    replace_file(folder / "routes.json", text_of(map_of(fenced(planned(), "S001"))))
    wait_until_lapsed(watch, "till-1")
    tills[0].process.send_signal(signal.SIGCONT)
    assert tills[0].line().startswith("rolled back")


def test_it_commits_nothing_either_where_it_cannot_see_that_the_store_has_moved(folder: Path, tills: list[Till]) -> None:
    """It wakes cut off from the share: the map it has is an old one, and only its lease can tell it so."""
    tills.append(Till(folder, "till-1", "stops"))
    os.waitpid(tills[0].process.pid, os.WUNTRACED)
    (folder / "acks").rename(folder / "unmounted")
    (folder / "acks").write_text("no folder")
    (folder / "routes.json").unlink()
    time.sleep(LEASE_S)
    tills[0].process.send_signal(signal.SIGCONT)
    assert tills[0].line().startswith("rolled back: no acknowledgement")
