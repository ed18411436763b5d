"""A demo or a drill that is ended by the system takes its servers with it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from etl.errors import ExitCode

PATIENCE_S = 120.0


@pytest.mark.parametrize(
    "command", [("demo", "--only", "move", "--members", "1000", "--no-complete-journey"), ("drill", "run", "rollback")]
)
def test_sigterm_leaves_no_server_behind(tmp_path: Path, command: tuple[str, ...]) -> None:
    """What a bug would cost: a shutdown, a service manager or a CI job that gives up leaves databases running for ever."""
    folder = tmp_path / "sandbox"
    program = [sys.executable, "-m", "cli", *command, "--folder", str(folder)]
    with subprocess.Popen(program, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        end = time.monotonic() + PATIENCE_S
        while len(running(folder)) < 2:  # the command itself, and a server
            assert time.monotonic() < end
            assert process.poll() is None
            time.sleep(0.2)
        process.terminate()
        assert process.wait(PATIENCE_S) == ExitCode.INTERRUPTED
    assert running(folder) == []


def running(folder: Path) -> list[str]:
    """Processes whose command line names the folder."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or ())
        if str(folder) in line:
            found.append(line)
    return found
