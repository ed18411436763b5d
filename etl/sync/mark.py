"""A mark: how far each side is at one moment, as a short text that can be kept, mailed and given back to `sync drain --until`.

It is taken once writes to a store are refused. Everything of the store that was committed before is at or below it.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import quote, unquote

from etl.errors import RefusedError, UsageError
from etl.names import SourceTable
from etl.progress import Progress
from etl.settings import Settings
from etl.source.connect import Source, open_source
from etl.sync.capture.rows import EPOCH, microseconds
from etl.sync.capture.watermark import ALLOWANCE_US
from etl.sync.forward.read_rows import newest
from etl.sync.forward.versions import clock_of, way_of
from etl.sync.plan import SyncPlan, plan_sync
from etl.target.bulk import BulkConnection
from etl.target.connect import connect_bulk

FORMAT: Final = "m1"
DATABASE: Final = re.compile(r"(?:ct(\d+))?\.(?:rv(\d+))?")


@dataclass(frozen=True)
class DatabaseMark:
    """Of one legacy database. `tracking`: its version of Change Tracking, None where that is off. `row_version`: one more than
    the last rowversion it gave out: what is committed by now is below it, also where an older transaction is still open."""

    tracking: int | None
    row_version: int


@dataclass(frozen=True)
class Mark:
    """`at_us`: the target's clock, in microseconds since 1970 (UTC). `clocks`: of legacy tables whose changes only a last-changed
    column tells, its greatest value, likewise, in the column's own zone."""

    databases: Mapping[str, DatabaseMark]
    at_us: int
    clocks: Mapping[str, int] = field(default_factory=dict)

    @property
    def at(self) -> datetime:
        """When it was taken, by the target's clock (UTC)."""
        return (EPOCH + timedelta(microseconds=self.at_us)).replace(tzinfo=UTC)

    @property
    def text(self) -> str:
        """As people and scripts hand it on: no character that a shell minds.

        >>> Mark({"crm": DatabaseMark(20, 3001)}, 1_700_000_000_000_000).text
        'm1,d.crm=ct20.rv3001,at=1700000000000000,crc=1061512e'
        """
        fields = [FORMAT]
        for name, one in self.databases.items():
            tracking = "" if one.tracking is None else f"ct{one.tracking}"
            fields.append(f"d.{quote(name, safe='')}={tracking}.rv{one.row_version}")
        fields += [f"t.{quote(name, safe='')}={value}" for name, value in self.clocks.items()]
        told = ",".join([*fields, f"at={self.at_us}"])
        return f"{told},crc={zlib.crc32(told.encode()):08x}"


def parse_mark(text: str) -> Mark:
    """The reverse of `Mark.text`. Raises UsageError for anything else, a mark that was cut or mistyped among it.

    >>> mark = Mark({"a,b": DatabaseMark(None, 7)}, 5, {"crm.dbo.X": 9})
    >>> parse_mark(mark.text) == mark
    True
    """
    told, _, check = text.strip().rpartition(",crc=")
    if not told.startswith(f"{FORMAT},") or check != f"{zlib.crc32(told.encode()):08x}":
        raise malformed()
    databases: dict[str, DatabaseMark] = {}
    clocks: dict[str, int] = {}
    at_us: int | None = None
    for one in told.split(",")[1:]:
        name, _, value = one.partition("=")
        found = DATABASE.fullmatch(value)
        if name.startswith("d.") and found is not None and found[2]:
            databases[unquote(name[2:])] = DatabaseMark(None if found[1] is None else int(found[1]), int(found[2]))
        elif name.startswith("t.") and value.lstrip("-").isdigit():
            clocks[unquote(name[2:])] = int(value)
        elif name == "at" and value.isdigit():
            at_us = int(value)
        else:
            raise malformed()
    if at_us is None:
        raise malformed()
    return Mark(databases, at_us, clocks)


def malformed() -> UsageError:
    """What to say of a text that is no mark."""
    return UsageError(
        "This is no mark of sync, or not all of it.", "Take one, and give it as it is printed: membershift sync mark"
    )


def take_mark(settings: Settings, progress: Progress) -> Mark:
    """How far both sides are now. Take it once writes are refused. Raises SourceError, TargetError, ConfigurationError."""
    with open_source(settings.source, progress) as source, connect_bulk(settings.target) as target:
        return read_mark(source, target, plan_sync(settings, source, target))


def read_mark(source: Source, target: BulkConnection, plan: SyncPlan) -> Mark:
    """The same where both sides are open."""
    databases = {name: read_database(source, name) for name in plan.databases}
    clocks = {str(name): value for name, value in read_clocks(source, plan)}
    return Mark(databases, microseconds(target.scalar("SELECT NOW(6)")), clocks)


def read_database(source: Source, name: str) -> DatabaseMark:
    """A legacy database's versions now."""
    tracking, last = source.query("SELECT CHANGE_TRACKING_CURRENT_VERSION(), CONVERT(bigint, @@DBTS)", database=name)[0]
    return DatabaseMark(None if tracking is None else int(tracking), int(last) + 1)


def read_clocks(source: Source, plan: SyncPlan) -> Iterator[tuple[SourceTable, int]]:
    """Legacy tables that have nothing but a last-changed column, with its greatest value."""
    seen: set[SourceTable] = set()
    for table in plan.tables:
        for part in table.plan.parts:
            legacy = plan.legacy(part)
            if part.part.source in seen or way_of(legacy, part, {}) != "time":
                continue
            seen.add(part.part.source)
            clock = clock_of(legacy, part, {})
            assert clock is not None, "way_of found it"
            with source.snapshot(part.part.source.database, pooled=True) as snapshot:
                yield part.part.source, newest(snapshot.session, part, clock) or 0


def check_mark(mark: Mark, now: Mark) -> None:
    """Raises RefusedError for a mark that cannot have been taken here before `now`: to wait for it would prove nothing."""
    if set(mark.databases) != set(now.databases):
        theirs, ours = ", ".join(sorted(mark.databases)), ", ".join(sorted(now.databases))
        raise RefusedError(
            f"The mark is of the databases {theirs}; the mapping reads {ours}.", "Take another: membershift sync mark"
        )
    if mark.at_us > now.at_us + ALLOWANCE_US:
        raise RefusedError(
            f"The mark is of {mark.at:%Y-%m-%d %H:%M:%S} UTC, which the target's clock has not reached.",
            "See that it was taken here, and that the clocks are right; then take another: membershift sync mark",
        )
    for name, one in mark.databases.items():
        there = now.databases[name]
        went_back = one.tracking is not None and (there.tracking is None or one.tracking > there.tracking)
        if went_back or one.row_version > there.row_version:
            raise RefusedError(
                f"The mark is later than {name} is now: it was taken elsewhere, or the source was restored since.",
                "See `membershift sync status`; then take another: membershift sync mark",
            )
