"""Progress on a terminal: one line a task with count, rate and time left."""

from __future__ import annotations

from threading import Lock
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text


class RateColumn(ProgressColumn):
    """Units a second over the last while."""

    def render(self, task: Task) -> Text:
        """`12,345 rows/s`, or nothing before the first unit."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f} {task.fields['unit']}/s" if speed else "", style="dim")


class ProgressBars:
    """An `etl.progress.Progress` drawn with rich."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.completed:,.0f}"),
            RateColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
        )
        self.tasks: dict[str, TaskID] = {}
        self.lock = Lock()

    def __enter__(self) -> Self:
        self.bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.bars.stop()

    def start(self, task: str, total: int | None, unit: str = "rows") -> None:
        """See `etl.progress.Progress`."""
        with self.lock:
            if task in self.tasks:
                self.bars.reset(self.tasks[task], total=total)
            else:
                self.tasks[task] = self.bars.add_task(escape(task), total=total, unit=unit)

    def advance(self, task: str, amount: int) -> None:
        """See `etl.progress.Progress`."""
        if task in self.tasks:
            self.bars.advance(self.tasks[task], amount)

    def finish(self, task: str) -> None:
        """See `etl.progress.Progress`."""
        if task in self.tasks:
            identifier = self.tasks[task]
            done = self.bars.tasks[self.bars.task_ids.index(identifier)].completed
            self.bars.update(identifier, total=done or 1, completed=done or 1)

    def note(self, message: str) -> None:
        """See `etl.progress.Progress`."""
        self.console.print(f"  {escape(message)}", highlight=False)
