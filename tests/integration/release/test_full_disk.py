"""A disk that fills up while a store is closed, on a real small file system of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ALONE = ["unshare", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"]), "--mount", "--propagation", "private"]
MOUNT = 'mount -t tmpfs -o size=3m none "$0" && exec "$@"'
ROOT = Path(__file__).resolve().parents[3]


def on_small_disk(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A program that alone sees 3 MiB at `folder`."""
    command = [*ALONE, "sh", "-c", MOUNT, str(folder), *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """Where it may be mounted."""
    folder = tmp_path / "small"
    folder.mkdir()
    try:
        done = on_small_disk(folder, "true")
    except FileNotFoundError:
        pytest.skip("no unshare on this system")
    if done.returncode:
        pytest.skip(f"no file system may be mounted here: {done.stderr.strip()}")
    return folder


def played(disk: Path, how: str, state: Path) -> Any:
    """What became of the switch, with the log in `state`."""
    program = "tests.integration.release.on_a_full_disk"
    done = on_small_disk(disk, sys.executable, "-m", program, str(disk), how, str(state))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_store_is_opened_again_on_the_room_that_was_kept(disk: Path) -> None:
    """What a bug would cost: a store that sells nothing until somebody has found and emptied a disk, at night."""
    found = played(disk, "with", disk / "state")
    assert (found["ended"], found["under_way"], found["route"]) == ("SwitchRefused", False, "legacy")
    assert found["sequence"] == found["wanted"]
    assert found["phase"] == "paused", "and the controller lives on for a minute and more"
    assert (found["gone"], found["made_anew"]) == (True, [True])
    assert found["told"] == ["red", "resolved"]


def test_the_map_on_a_disk_of_its_own_is_written_too(disk: Path) -> None:
    """The log has room, and nobody hears of it: the map that applications read says closed."""
    found = played(disk, "with", disk.parent / "state")
    assert (found["ended"], found["route"], found["sequence"]) == ("SwitchRefused", "legacy", found["wanted"])
    assert (found["gone"], found["made_anew"]) == (True, [True, True]), "one on each disk"


def test_without_it_the_store_stays_closed(disk: Path) -> None:
    """The other test would pass on a disk that was never full."""
    found = played(disk, "without", disk / "state")
    assert (found["ended"], found["under_way"], found["route"]) == ("StateFull", True, "fenced")
    found = played(disk, "without", disk.parent / "state")
    assert (found["route"], found["sequence"] < found["wanted"]) == ("fenced", True)
