"""Processor seconds of a sandbox's servers while something runs: which of them is the limit on one machine."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

LOOK_S: Final = 0.5
"""A session's process that ends loses at most what it did since the last look."""

SIDES: Final = {"legacy": "source", "target": "target"}
"""Folders of a sandbox, and what runs in them."""


@dataclass
class Spent:
    """`source`: SQL Server's stand-in with its sessions and its engine, `target`: TiDB or MariaDB."""

    seconds: dict[int, tuple[str, float]] = field(default_factory=dict)
    before: dict[int, float] = field(default_factory=dict)

    def of(self, side: str) -> float:
        """Of one side, so far."""
        return sum(spent - self.before.get(pid, 0.0) for pid, (where, spent) in self.seconds.items() if where == side)

    def look(self, servers: dict[int, str]) -> None:
        """What every process of these servers has used by now."""
        for pid, side in servers.items():
            for one in (pid, *children(pid)):
                try:
                    used = psutil.Process(one).cpu_times()
                except psutil.Error:
                    continue  # a session that has just ended
                self.seconds[one] = (side, used.user + used.system)


@contextmanager
def spent_in(folder: Path) -> Iterator[Spent]:
    """Watch the servers of the sandbox in `folder` for as long as the block lasts."""
    servers = find_servers(folder)
    spent, done = Spent(), threading.Event()
    spent.look(servers)
    spent.before = {pid: seconds for pid, (_, seconds) in spent.seconds.items()}

    def watch() -> None:
        while not done.wait(LOOK_S):
            spent.look(servers)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield spent
    finally:
        done.set()
        thread.join()
        spent.look(servers)


def find_servers(folder: Path) -> dict[int, str]:
    """Servers whose command names a folder of the sandbox, and the side each is of."""
    found: dict[int, str] = {}
    for process in psutil.process_iter(["cmdline"]):
        command = " ".join(process.info["cmdline"] or ())
        for name, side in SIDES.items():
            if f"{folder / name}" in command:
                found[process.pid] = side
    return found


def children(pid: int) -> list[int]:
    """Processes that one began: sessions of the stand-in."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
