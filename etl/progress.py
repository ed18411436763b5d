"""How long work tells the outside where it is, without knowing about terminals."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """What a capability calls while it works. All calls may come from any thread."""

    def start(self, task: str, total: int | None, unit: str = "rows") -> None:
        """Begin or restart the line called `task`; `total` None when it is not known."""

    def advance(self, task: str, amount: int) -> None:
        """`amount` more units of `task` are done."""

    def finish(self, task: str) -> None:
        """`task` is complete; its line stays."""

    def note(self, message: str) -> None:
        """One line worth telling, such as a retry: no personal data, no secret."""


class Silent:
    """Progress that nobody watches: tests, and --json."""

    def start(self, task: str, total: int | None, unit: str = "rows") -> None: ...

    def advance(self, task: str, amount: int) -> None: ...

    def finish(self, task: str) -> None: ...

    def note(self, message: str) -> None: ...
