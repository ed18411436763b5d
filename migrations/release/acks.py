"""Which application instances have taken a map, and which still have to be waited for.

An instance says so itself, in a file that it writes at each of its polls. One that has said nothing for longer than its lease
refuses writes by then (see client/routes.py): only that makes it right not to wait for it. A clock may be wrong on either side,
so nobody is believed to be gone by the times in the files alone: the controller's own steady clock has to have seen silence too.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from etl.errors import RefusedError
from etl.personal_files import disk_error
from migrations.release.client.routes import FORMAT, LEASE_S, MARK, is_count

CLOCK_ALLOWANCE_S: Final = 5.0
"""How far the clock of an instance may be off that of the controller."""

FORGOTTEN_S: Final = 86_400.0
"""An acknowledgement so old may be removed."""

LONGEST_LEASE_S: Final = 3_600.0


@dataclass(frozen=True)
class Ack:
    """What an instance said last. `sequence`: the newest map that all its writes keep to; -1 for a file that cannot be read: its
    instance may be alive. `at`: by the younger of its own time and the file's. `mark` changes whenever it says something."""

    instance: str
    sequence: int
    at: datetime
    lease_s: float
    in_flight: int
    trouble: str
    mark: str

    def age_s(self, now: datetime) -> float:
        """Seconds since; below 0 where its clock is ahead."""
        return (now - self.at).total_seconds()

    def lapsed(self, now: datetime, allowance_s: float = CLOCK_ALLOWANCE_S) -> bool:
        """Whether it refuses writes by now, if the clocks are right."""
        return self.age_s(now) > self.lease_s + allowance_s


@dataclass(frozen=True)
class Acknowledged:
    """How far the instances are with a map. `waiting` for these; `lapsed` ones write no more; those `in_doubt` are gone by the
    times in their files, but not by the controller's own clock yet. `expected`: so many have to be there."""

    sequence: int
    acknowledged: tuple[str, ...]
    waiting: tuple[Ack, ...]
    lapsed: tuple[str, ...]
    in_doubt: tuple[str, ...]
    expected: int

    @property
    def done(self) -> bool:
        """Whether every write of every instance keeps to the map."""
        return not self.waiting and not self.in_doubt and len(self.acknowledged) >= max(1, self.expected)

    def why(self) -> str:
        """What is missing, "" when nothing is; for a log or a screen."""
        held = [
            f"{ack.instance} (at map {ack.sequence}, {ack.in_flight} writes in flight{', ' + ack.trouble if ack.trouble else ''})"
            for ack in self.waiting
        ]
        held += [f"{name} (silent, its lease may not have lapsed)" for name in self.in_doubt]
        if held:
            return f"waiting for {', '.join(held[:5])}" + (f" and {len(held) - 5} more" if len(held) > 5 else "")
        missing = max(1, self.expected) - len(self.acknowledged)
        return f"{missing} instances are missing" if missing > 0 else ""


def read_acks(folder: Path) -> list[Ack]:
    """All acknowledgements in a folder, by instance; of a folder that is not there none. Raises ConfigurationError where the
    folder cannot be read: silence would look like nobody being there."""
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix == ".json")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise disk_error(error, folder) from error
    return [ack for path in paths for ack in read_ack(path)]


def read_ack(path: Path) -> Iterator[Ack]:
    """The acknowledgement in a file; nothing when its instance took it away meanwhile."""
    try:
        stamp, text = path.stat(), path.read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        raise disk_error(error, path) from error
    written = datetime.fromtimestamp(stamp.st_mtime, UTC)
    try:
        found: Any = json.loads(text)
        if found["format"] != FORMAT or not is_count(found["sequence"]) or not is_count(found["in_flight"]):
            raise ValueError
        at, lease_s = datetime.fromisoformat(found["at"]).astimezone(UTC), float(found["lease_s"])
        if not 0 < lease_s <= LONGEST_LEASE_S:
            raise ValueError
        sequence, in_flight, trouble = found["sequence"], found["in_flight"], str(found.get("trouble", ""))
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        at, lease_s, sequence, in_flight, trouble = written, LEASE_S, -1, 0, "its acknowledgement cannot be read"
    yield Ack(path.stem, sequence, max(at, written), lease_s, in_flight, trouble, mark_of(stamp))


def mark_of(stamp: os.stat_result) -> str:
    """Another one whenever the file was written."""
    return f"{stamp.st_mtime_ns}/{stamp.st_ino}/{stamp.st_size}"


def marks_in(folder: Path) -> dict[str, str]:
    """The mark of each acknowledgement, by instance, without opening any. Raises ConfigurationError as read_acks does."""
    found: dict[str, str] = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(".json"):
                    with suppress(FileNotFoundError):
                        found[Path(entry.name).stem] = mark_of(entry.stat())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise disk_error(error, folder) from error
    return found


def prepare_acks(folder: Path) -> str:
    """Make the folder and put the mark into it by which instances know it: where a share is not mounted, they must not believe
    that anybody reads what they write into the empty place. Returns what was done, "" where it was there already. Raises
    ConfigurationError."""
    mark = folder / MARK
    try:
        if mark.exists():
            return ""
        folder.mkdir(parents=True, exist_ok=True)
        mark.write_text("Applications acknowledge maps of routes here. See docs/routes.md.\n", "utf-8")
    except OSError as error:
        raise disk_error(error, mark) from error
    return "made"


def require_instances(acks: Sequence[Ack], expected: int, now: datetime) -> None:
    """Refuse to begin where acknowledgements are wanted and nobody gives any. expected: how many the plan names, 0 for at least
    one. Raises RefusedError."""
    alive = sum(1 for ack in acks if not ack.lapsed(now))
    if alive >= max(1, expected):
        return
    raise RefusedError(
        f"{alive} application instances acknowledge maps, and {max(1, expected)} are needed to know when an old route is left.",
        'Let the applications use the client of docs/routes.md, or correct [publish] acks, instances or acknowledge = "none".',
    )


def forget_acks(folder: Path, now: datetime, older_s: float = FORGOTTEN_S) -> tuple[str, ...]:
    """Remove what instances left behind that have been gone for so long, the halves of killed ones too; their names."""
    gone = [ack.instance for ack in read_acks(folder) if ack.age_s(now) > max(older_s, ack.lease_s + CLOCK_ALLOWANCE_S)]
    for name in gone:
        (folder / f"{name}.json").unlink(missing_ok=True)
    for partial in folder.glob("*.partial"):
        with suppress(FileNotFoundError):
            if now.timestamp() - partial.stat().st_mtime > older_s:
                partial.unlink()
    return tuple(gone)


class AckWatch:
    """Of one controller, which hears every second or so from its start on: whoever was silent for longer than its lease before a
    switch began is not waited for while stores are closed. Several threads may use it. `steady`: a clock in seconds that cannot
    be set."""

    def __init__(
        self,
        folder: Path,
        expected: int = 0,
        allowance_s: float = CLOCK_ALLOWANCE_S,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder, self.expected, self.allowance_s, self.steady = folder, expected, allowance_s, steady
        self._heard: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()

    def hear(self) -> None:
        """Who has said something since the last time, by the marks of the files alone: it is done each second, for years. Raises
        ConfigurationError where the folder cannot be read."""
        self._note(marks_in(self.folder))

    def _note(self, marks: Mapping[str, str]) -> dict[str, float]:
        """Since when each instance has said nothing new, by the steady clock."""
        with self._lock:
            now, before = self.steady(), self._heard
            self._heard = {
                name: old if (old := before.get(name)) and old[0] == mark else (mark, now) for name, mark in marks.items()
            }
            return {name: at for name, (_, at) in self._heard.items()}

    def look(self, sequence: int, now: datetime | None = None) -> Acknowledged:
        """Who has taken map `sequence` or a later one. Raises ConfigurationError where the folder cannot be read."""
        now = now or datetime.now(UTC)
        acks = read_acks(self.folder)
        since, heard = self._note({ack.instance: ack.mark for ack in acks}), self.steady()
        behind = [ack for ack in acks if ack.sequence < sequence]
        silent = [ack for ack in behind if ack.lapsed(now, self.allowance_s)]
        sure = [ack for ack in silent if heard - since[ack.instance] > ack.lease_s + self.allowance_s]
        return Acknowledged(
            sequence,
            tuple(ack.instance for ack in acks if ack.sequence >= sequence and not ack.lapsed(now, self.allowance_s)),
            tuple(ack for ack in behind if ack not in silent),
            tuple(ack.instance for ack in sure),
            tuple(ack.instance for ack in silent if ack not in sure),
            self.expected,
        )


def await_acknowledgement(watch: AckWatch, sequence: int, limit_s: float, pause_s: float = 0.2) -> Acknowledged:
    """Wait until every instance has taken map `sequence`, or writes no more. Raises RefusedError after `limit_s` seconds, naming
    who is missing, and ConfigurationError where the folder cannot be read."""
    latest = watch.steady() + limit_s
    while not (found := watch.look(sequence)).done:
        if watch.steady() > latest:
            raise RefusedError(
                f"Map {sequence} was not acknowledged within {limit_s:.0f} s: {found.why()}.",
                "docs/routes.md says what to do for each reason; whoever is gone for good counts no more once its lease lapses.",
            )
        time.sleep(pause_s)
    return found
