"""The steps of a switch on real servers: what `switch.py` asks for, in the order in which a switch needs it.

Stores are closed from `fence` to `publish`, so everything in between has a time limit, and what the limit of the fence has left.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from etl.errors import OpsError, RefusedError
from etl.progress import Progress
from etl.settings import Settings
from etl.sync.beforehand import Baseline, compare_beforehand
from etl.sync.drain import DrainRequest, DrainResult, Toward, drain_store
from etl.sync.standing import Standing, read_standing
from etl.target.connect import connect_bulk
from migrations.release.acks import AckWatch, await_acknowledgement
from migrations.release.alerts.settings import Level
from migrations.release.model import ReleaseState, Route, Switch
from migrations.release.plan import Plan
from migrations.release.probe import probe_source, probe_target
from migrations.release.publish.publisher import PartlyPublished, places_of, publish
from migrations.release.snapshots.create import SnapshotRequest, create_snapshot
from migrations.release.switch import Evidence, Ports

HASTE_S: Final = 5.0
LOOK_AGAIN_S: Final = 0.5
"""Between looks at rows that are on their way while stores sell."""

MOST_ON_THEIR_WAY: Final = 100
"""Rows of one table that may differ when stores are closed: behind the fence its rows are compared once more, all of them."""

SETTLE_S: Final = 1.0
"""Before rows that differ are looked at again: sync is less than that behind when a store has drained."""


def silent(level: Level, key: str, happened: str, done: str, todo: str) -> None:
    """Where nobody is to be told."""


@dataclass
class Steps:
    """Of one controller. `tell`: an alert, as Eyes has it. `closed_at`: when the fence of the switch under way was published
    (monotonic)."""

    settings: Settings
    plan: Plan
    progress: Progress
    tell: Callable[[Level, str, str, str, str], None] = silent
    steady: Callable[[], float] = time.monotonic
    closed_at: float | None = None
    baseline: Baseline | None = None
    drained: DrainResult | None = None
    watch: AckWatch = field(init=False)

    def __post_init__(self) -> None:
        self.watch = AckWatch(self.plan.path(self.plan.publish.acks), self.plan.publish.instances)

    def ports(self) -> Ports:
        """What a switch asks for."""
        return Ports(
            publish=self.publish,
            acknowledge=self.acknowledge,
            snapshot=self.snapshot,
            compare=self.compare,
            drain=self.drain,
            reconcile=self.reconcile,
            probe=self.probe,
            count=self.count,
            check=self.check,
        )

    def publish(self, state: ReleaseState) -> Evidence:
        """The map of the state, everywhere."""
        places = places_of(self.plan.publish, self.plan.origin.resolve().parent)
        try:
            published, trouble = publish(state, places), ""
        except PartlyPublished as error:
            if not error.routes_out:
                raise
            # Applications have the map that counts: a proxy or a flag file that could not be written does not send stores back.
            published, trouble = error.published, error.message
            self.tell("red", "publish", error.message, "Applications read the new map all the same.", error.remedy)
        self.closed_at = self.steady() if state.on(Route.FENCED) else None
        return {"sequence": state.sequence, "places": [output.where for output in published.outputs], "trouble": trouble}

    def acknowledge(self, state: ReleaseState) -> Evidence:
        """Every application instance keeps to the map, or writes no more."""
        if self.plan.publish.acknowledge == "none":
            return {"acknowledged": "not asked for"}
        found = await_acknowledgement(self.watch, state.sequence, self.left(self.plan.publish.acknowledge_s))
        return {"acknowledged": len(found.acknowledged), "lapsed": list(found.lapsed)}

    def snapshot(self, switch: Switch) -> Evidence:
        """Before stores are closed. Stores that go back do not wait for one that cannot be taken."""
        if not self.plan.switch.snapshot:
            return {"snapshot": "not asked for"}
        request = SnapshotRequest(switch.stores, f"before {switch.to}", "release")
        try:
            taken = create_snapshot(self.settings, request, self.progress)
        except OpsError as error:
            if switch.to is not Route.LEGACY:
                raise
            return {"snapshot": "none", "why": error.message}
        return {"snapshot": taken.id, "tso": taken.tso}

    def compare(self, switch: Switch) -> Evidence:
        """All rows of the stores, while they still sell. Stores that go back are not held up by it: what was not compared in time
        is compared only as far as it changed since."""
        self.baseline = None
        limits, back = self.plan.switch, switch.to is Route.LEGACY
        try:
            within_s = limits.compare_back_s if back else limits.compare_limit_s
            found = compare_beforehand(self.settings, switch.stores, within_s, LOOK_AGAIN_S, self.progress)
        except OpsError as error:
            if not back:
                raise
            return {"compared": "no", "why": error.message}
        if not back and found.unfinished:
            raise RefusedError(
                f"{', '.join(found.unfinished)} could not be compared within {limits.compare_limit_s:g} s.",
                "Nothing was closed. Close fewer stores together ([[wave]] batch), or raise [switch] compare_limit_s.",
            )
        many = {name: rows for name, rows in found.differing.items() if rows > MOST_ON_THEIR_WAY}
        if not back and many:
            raise RefusedError(
                f"Rows of the stores differ: {', '.join(f'{rows} of {name}' for name, rows in many.items())}.",
                "Nothing was closed. Look at them: membershift reconcile rows --second-look 5. Then resume the release.",
            )
        self.baseline = found
        late = list(found.unfinished)
        return {"rows": dict(found.rows), "on_their_way": dict(found.differing), "not_compared_in_time": late}

    def drain(self, switch: Switch) -> Evidence:
        """Everything that was written before the fence is on the other side. Raises RefusedError with what is not."""
        toward: Toward = "source" if switch.to is Route.LEGACY else "target"
        within = self.left(self.plan.switch.drain_limit_s)
        whole = self.left(self.plan.switch.fence_limit_s)
        request = DrainRequest(switch.stores, toward, within, SETTLE_S, baseline=self.baseline, compared_within_s=whole)
        self.drained = found = drain_store(self.settings, request, self.progress)
        if found.compared is None:
            held = f"; sync itself waits: {found.held}" if found.held else ""
            left = ", ".join(f"{rows} of {name}" for name, rows in found.left.items())
            raise RefusedError(
                f"Not everything arrived within {within:.0f} s: {left}{held}.",
                "Look at it: membershift sync status. Then resume the release, which tries again.",
            )
        return {"mark": found.mark, "seconds": dict(found.seconds)}

    def reconcile(self, switch: Switch) -> Evidence:
        """The stores' rows, key by key, as the drain compared them. After a kill of the controller all are compared again."""
        if self.drained is None or self.drained.stores != switch.stores:
            self.drain(switch)
        found, self.drained = self.drained, None
        if found is None or found.compared is None or not found.drained:
            left = ", ".join(f"{rows} of {name}" for name, rows in (found.left if found else {}).items())
            raise RefusedError(
                f"Rows of the stores differ: {left}.",
                "Look at them: membershift reconcile rows --second-look 5. Then resume the release, which tries again.",
            )
        rows = {table.table: table.target_rows for table in found.compared.tables}
        return {"rows": rows, "not_compared_by_store": list(found.uncompared)}

    def probe(self, switch: Switch) -> Evidence:
        """A real write and read where the stores write now."""
        probe = probe_source if switch.to is Route.LEGACY else probe_target
        return probe(self.settings, switch.stores, self.progress)

    def count(self, switch: Switch) -> Evidence:
        """What had not come back when stores went to a database that lives; as far as the other one tells."""
        with suppress(OpsError):
            standing = self.standing()
            return {"not_back": {table.name: table.dirty for table in standing.tables if table.dirty}}
        return {"not_back": "not known: TiDB does not answer. Sync brings it once it does, and keeps conflicts"}

    def check(self, switch: Switch) -> Evidence:
        """No way back is left after this: nothing may be open."""
        standing = self.standing()
        if standing.open_conflicts or standing.open_letters:
            raise RefusedError(
                f"{standing.open_conflicts} conflicts and {standing.open_letters} dead letters are open.",
                "Settle them first: membershift sync conflicts list, membershift sync dead-letters list.",
            )
        return {"conflicts": 0, "dead_letters": 0}

    def standing(self) -> Standing:
        """What waits on the target; it is asked once, and not for long."""
        hasty = self.settings.target.model_copy(update={"retries": 0, "connect_timeout_s": HASTE_S})
        with connect_bulk(hasty) as target:
            return read_standing(self.settings, target, None)

    def left(self, limit_s: float) -> float:
        """Seconds that a step may take: its own limit, and no more than the fence has left."""
        if self.closed_at is None:
            return limit_s
        return max(1.0, min(limit_s, self.plan.switch.fence_limit_s - (self.steady() - self.closed_at)))
