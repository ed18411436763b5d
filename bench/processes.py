"""Run a command as its user would, and measure it from outside: wall seconds, processor seconds, peak memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

POLL_S = 0.02


@dataclass(frozen=True)
class Measured:
    """One finished process. `peak_mib` is its own largest resident memory, not that of the servers."""

    seconds: float
    cpu_seconds: float
    peak_mib: float
    output: str

    def json(self) -> dict[str, Any]:
        """What it printed, as an object."""
        found: dict[str, Any] = json.loads(self.output)
        return found


def measure(command: Sequence[str], *, expected: Sequence[int] = (0,), env: dict[str, str] | None = None) -> Measured:
    """Run `command` to its end. Raises RuntimeError, with what it said, when it ends otherwise than expected."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        began = time.monotonic()
        process = subprocess.Popen(command, stdout=output, stderr=errors, env=os.environ | (env or {}))
        peak, done = 0.0, 0
        while not done:
            peak = max(peak, high_water(process.pid))
            done, status, usage = os.wait4(process.pid, os.WNOHANG)
            time.sleep(POLL_S)
        seconds = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(0)
        text = output.read().decode("utf-8", "replace")
        if process.returncode not in expected:
            told = (errors.read().decode("utf-8", "replace") or text)[-2000:]
            raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {told}")
    return Measured(seconds, usage.ru_utime + usage.ru_stime, peak, text)


def high_water(pid: int) -> float:
    """Largest resident memory of a running process so far, in MiB; 0 when it is gone.

    Not what wait4 tells: that counts the memory of the parent from before the program began.
    """
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)


def membershift(config: Path, *arguments: str, expected: Sequence[int] = (0,)) -> Measured:
    """Run one of our own commands with --json."""
    return measure([sys.executable, "-m", "cli", *arguments, "--json", "--config", str(config)], expected=expected)
