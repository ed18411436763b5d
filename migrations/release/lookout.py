"""Looks at a release again and again, reading only what is new. It writes nothing, and asks no database but state.db."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

from etl.errors import OpsError, RefusedError, UsageError
from etl.state_db import STATE_DB
from migrations.release.acks import Ack, read_acks
from migrations.release.alerts.book import read_alerts
from migrations.release.alerts.model import Standing
from migrations.release.event_log import EventLog, open_event_log
from migrations.release.events import Planned
from migrations.release.plan import Plan
from migrations.release.plan_file import NO_ROLES, Roles, read_plan
from migrations.release.timeline import Teller, Timeline, read_timeline
from migrations.release.view import ReleaseView, view_of

T = TypeVar("T")
NOTHING_PLANNED: Final = RefusedError(
    "No release was planned here.", "Plan one: membershift release plan; docs/release.md says how."
)


class Lookout:
    """Of one state folder. `roles`: of membershift.toml. Several threads may look."""

    def __init__(
        self,
        log: EventLog,
        state_dir: Path,
        plan: Path,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        roles: Roles = NO_ROLES,
    ) -> None:
        self.log, self.state_dir, self.plan, self.now, self.roles = log, state_dir, plan, now, roles
        self.teller = Teller()
        self.timeline: Timeline | None = None
        self.known_plan: tuple[float, Plan] | None = None
        self.lock = threading.Lock()

    def look(self) -> ReleaseView:
        """As it is now. What cannot be read, but for the log, is told as trouble. Raises RefusedError where nothing was planned,
        ConfigurationError for a log that cannot be read."""
        with self.lock:
            timeline = self.newest()
            trouble: list[str] = []
            plan = or_trouble(self.read_plan, trouble)
            acks: list[Ack] = or_trouble(lambda: self.read_acks(plan), trouble) or []
            alerts: tuple[Standing, ...] = or_trouble(lambda: read_alerts(self.state_dir), trouble) or ()
            return view_of(timeline, plan, acks, alerts, self.now(), self.log.holder() or "", trouble)

    def newest(self) -> Timeline:
        """The timeline; only what is new is read and folded, however long the log."""
        new = self.log.events(self.teller.state.events)
        for logged in new:
            self.teller.take(logged)
        if new:
            self.timeline = self.teller.timeline()
        if self.timeline is None:
            raise NOTHING_PLANNED
        return self.timeline

    def read_plan(self) -> Plan:
        """release.toml, read again once it was changed. Raises ConfigurationError."""
        try:
            stamp = self.plan.stat().st_mtime
        except OSError:
            stamp = -1.0
        if self.known_plan is None or self.known_plan[0] != stamp:
            self.known_plan = (stamp, read_plan(self.plan, self.roles))
        return self.known_plan[1]

    def read_acks(self, plan: Plan | None) -> list[Ack]:
        """What instances said, where the plan has them say it."""
        if plan is None or plan.publish.acknowledge == "none":
            return []
        return read_acks(plan.path(plan.publish.acks))


def or_trouble(read: Callable[[], T], trouble: list[str]) -> T | None:
    """What is read, or None and why not."""
    try:
        return read()
    except OpsError as error:
        trouble.append(error.message)
        return None


@contextmanager
def open_lookout(state_dir: Path, plan: Path, roles: Roles = NO_ROLES) -> Iterator[Lookout]:
    """`roles`: of membershift.toml. Raises RefusedError where nothing was ever planned: looking makes no file."""
    if not (state_dir / STATE_DB).exists():
        raise NOTHING_PLANNED
    with open_event_log(state_dir) as log:
        yield Lookout(log, state_dir, plan, roles=roles)


def read_release(state_dir: Path, release: str | None = None) -> Timeline:
    """All that happened in the newest release, or the newest with a name. Raises RefusedError where there is none."""
    if not (state_dir / STATE_DB).exists():
        raise NOTHING_PLANNED
    with open_event_log(state_dir) as log:
        events = log.events()
    found = read_timeline(events, release)
    if found is not None:
        return found
    names = list(dict.fromkeys(one.event.release for one in events if isinstance(one.event, Planned)))
    if not names:
        raise NOTHING_PLANNED
    raise UsageError(f"There is no release {release!r}.", f"There are: {', '.join(names[-10:])}.")
