"""What every benchmark prints: name, value, unit, the reference, the ratio to it, the goal, and whether it was met."""

from __future__ import annotations

import json
import os
import platform
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Result:
    """One figure. `goal` is on the ratio to `reference`, or on the value where there is no reference."""

    name: str
    value: float
    unit: str
    reference: str = ""
    ratio: float | None = None
    goal: float | None = None
    goal_is: Literal["at least", "at most"] = "at least"

    @property
    def met(self) -> bool | None:
        """Whether the goal was reached; None where there is none."""
        if self.goal is None:
            return None
        measured = self.value if self.ratio is None else self.ratio
        return measured >= self.goal if self.goal_is == "at least" else measured <= self.goal


def compare(
    name: str, value: float, unit: str, reference: Result, goal: float | None, goal_is: Literal["at least", "at most"]
) -> Result:
    """A figure beside another of the same run."""
    return Result(name, value, unit, reference.name, value / reference.value, goal, goal_is)


def print_results(results: list[Result], *, as_json: bool) -> None:
    """The table for people, or one JSON object a line."""
    if as_json:
        for result in results:
            row = asdict(result) | {"met": result.met}
            sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("name", "value", "unit", "reference", "ratio", "goal", "met", title=machine())
    for result in results:
        sign = "≥" if result.goal_is == "at least" else "≤"
        table.add_row(
            result.name,
            f"{result.value:,.2f}" if abs(result.value) < 100 else f"{result.value:,.0f}",
            result.unit,
            result.reference,
            "" if result.ratio is None else f"{result.ratio:.2f}",
            "" if result.goal is None else f"{sign} {result.goal:g}",
            {True: "yes", False: "NO", None: ""}[result.met],
        )
    Console(width=150).print(table)


def machine() -> str:
    """The machine a run was made on, as far as figures depend on it."""
    names = [
        line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")
    ]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    cpu = names[0] if names else platform.machine()
    return f"{len(os.sched_getaffinity(0))} cores, {cpu}, {memory:.0f} GiB, Python {platform.python_version()}"
