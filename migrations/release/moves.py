"""When stores began to sell on TiDB, from the event log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from migrations.release.event_log import LONG_AGO, EventLog
from migrations.release.events import Routed, SwitchBegun
from migrations.release.model import Route


@dataclass
class Moves:
    """When each store's writes went to TiDB last. The log is read once."""

    number: int = 0
    bound: SwitchBegun | None = None
    at: dict[str, datetime] = field(default_factory=dict)

    def first(self, log: EventLog, stores: Sequence[str]) -> datetime:
        """When the first of these stores moved; long ago where the log does not say."""
        self.read(log)
        return min((self.at[store] for store in stores if store in self.at), default=LONG_AGO)

    def since(self, log: EventLog, stores: Sequence[str], start: datetime) -> tuple[str, ...]:
        """Those of the stores that were on TiDB at `start` and have been ever since."""
        self.read(log)
        return tuple(store for store in stores if self.at.get(store, LONG_AGO) <= start)

    def read(self, log: EventLog) -> None:
        """What is new in the log."""
        for logged in log.events(self.number):
            self.number = logged.number
            if isinstance(logged.event, SwitchBegun):
                self.bound = logged.event
            elif isinstance(logged.event, Routed) and logged.event.step == "publish" and self.bound is not None:
                moved = self.bound.stores if self.bound.to is Route.TIDB else ()
                self.at |= dict.fromkeys(moved, datetime.fromisoformat(logged.at))
