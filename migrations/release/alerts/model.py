"""What an alert is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from migrations.release.alerts.settings import Level


@dataclass(frozen=True)
class Alert:
    """`key` names the cause: while an alert with the same key is open, another one only counts. `title` in one line; then what
    happened, what was done about it already, and what a person should do. None of them may hold personal data or a secret."""

    key: str
    level: Level
    title: str
    happened: str
    done: str = ""
    todo: str = ""


@dataclass(frozen=True)
class Standing:
    """An alert as it stands. `count`: how often it was raised; `step`: how far it was escalated; `deadline`: when it is escalated
    next, None when nobody else is to be told."""

    id: int
    alert: Alert
    raised_at: datetime
    last_at: datetime
    count: int
    step: int
    deadline: datetime | None = None
    acknowledged_by: str = ""
    acknowledged_at: datetime | None = None
    resolved_at: datetime | None = None

    @property
    def open(self) -> bool:
        """Whether its cause is still there."""
        return self.resolved_at is None
