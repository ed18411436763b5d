"""Hold sync back while somebody else needs the servers: by a file, the source's load, latency, or the lag of replicas.

Names are gh-ost's where it has them (throttle file, max-load, nice-ratio). A limit that is passed holds all streams at once,
between two pages; they go on once the value has been well below it for a while, so that a value near its limit does not make them
stutter. Nothing is lost meanwhile: positions and dirty rows wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from etl.errors import OpsError
from etl.settings import Settings
from etl.sync.stats import Stats
from etl.sync.throttle_probes import Probe, probes_of

RELEASE: Final = 0.8
"""Below this share of its limit a value is calm again."""
CALM: Final = 3
"""So many measurements in a row have to be calm."""

SLICE_S: Final = 1.0
"""At less than full speed, so long is worked between two rests."""
STEP_S: Final = 0.25
"""While it rests or stands still, a stream looks so often whether it may go on."""

THROTTLED: Final = "throttled: "
"""How a stream begins to say what it waits for."""


@dataclass(frozen=True)
class Measure:
    """A value as it was last measured (None: not known) with its limit. `holds`: it holds sync back."""

    name: str
    unit: str
    limit: float
    value: float | None
    holds: bool

    @property
    def told(self) -> str:
        """For people.

        >>> Measure("source load", "%", 80, 92.4, True).told, Measure("replication lag", "s", 10, None, True).told
        ('source load 92 % > 80 %', 'replication lag ? s > 10 s')
        """
        value = "?" if self.value is None else f"{self.value:.0f}" if self.value >= 10 else f"{self.value:.1f}"
        return f"{self.name} {value} {self.unit} > {self.limit:g} {self.unit}"


@dataclass(frozen=True)
class Hold:
    """How fast sync may go: `speed` 0 (not at all) to 1. `why`: what holds it back, "" at full speed."""

    speed: float = 1.0
    why: str = ""


@dataclass
class Gate:
    """Closes as soon as a value passes its limit; opens again after CALM values below RELEASE of it."""

    limit: float
    unknown_holds: bool = False
    closed: bool = False
    calm: int = 0

    def feel(self, value: float | None) -> bool:
        """Take one more value; whether the gate is closed now. One that is not known closes it or changes nothing.

        >>> gate = Gate(10.0)
        >>> [gate.feel(value) for value in (9, 11, 9, 8, 7, None, 7, 7)]
        [False, True, True, True, True, True, False, False]
        """
        if value is None:
            self.closed, self.calm = self.closed or self.unknown_holds, 0 if self.unknown_holds else self.calm
        elif value > self.limit:
            self.closed, self.calm = True, 0
        else:
            self.calm = self.calm + 1 if value <= RELEASE * self.limit else 0
            self.closed = self.closed and self.calm < CALM
        return self.closed


class Throttle:
    """What holds sync back now. Any thread may ask; one measures."""

    def __init__(self, settings: Settings, stats: Stats) -> None:
        self.file = throttle_file(settings)
        self.nice_ratio = settings.sync.throttle.nice_ratio
        self.every_s = settings.sync.throttle.every_s
        self.probes: Sequence[Probe] = tuple(probes_of(settings))
        self.gates = [Gate(probe.limit, probe.unknown_holds) for probe in self.probes]
        self.stats = stats
        self.measures: tuple[Measure, ...] = ()
        self.end = threading.Event()

    def now(self) -> Hold:
        """The strictest of all."""
        held = [measure.told for measure in self.measures if measure.holds]
        by_file = read_file(self.file)
        if held or by_file.speed == 0:
            hold = Hold(0.0, "; ".join([*([by_file.why] if by_file.speed == 0 else []), *held]))
        else:
            hold = by_file
        self.stats.throttle = hold.why
        self.stats.speed = hold.speed
        return hold

    def measure(self) -> None:
        """Measure everything once."""
        found = []
        for probe, gate in zip(self.probes, self.gates, strict=True):
            try:
                value = probe.measure()
            except OpsError:  # the streams tell what is away; a replica that is away is not known
                value = None
                probe.close()
            gate.limit = probe.limit
            found.append(Measure(probe.name, probe.unit, probe.limit, value, gate.feel(value)))
        self.measures = tuple(found)
        self.stats.measures = self.measures

    def keep_measuring(self) -> None:
        """Until the end."""
        while True:
            self.measure()
            if self.end.wait(self.every_s):
                return


@contextmanager
def keep_throttle(settings: Settings, stats: Stats) -> Iterator[Throttle]:
    """A throttle for as long as the block lasts. Limits are measured once before it begins, so that a start does not burst."""
    throttle = Throttle(settings, stats)
    thread = threading.Thread(target=throttle.keep_measuring, name="throttle", daemon=True)
    if throttle.probes:
        throttle.measure()
        thread.start()
    try:
        yield throttle
    finally:
        throttle.end.set()
        if throttle.probes:
            thread.join(timeout=1.0)  # one that waits for a server is left behind: it only asks
        if not thread.is_alive():
            for probe in throttle.probes:
                probe.close()


def throttle_file(settings: Settings) -> Path:
    """Where the file is looked for."""
    named = settings.sync.throttle.file
    if named is None:
        return settings.state_dir / "throttle"
    return named if named.is_absolute() else settings.config_dir / named


def read_file(path: Path) -> Hold:
    """What a file asks for. One that is empty, or cannot be understood, stands for a standstill: whoever put it there wants
    less."""
    try:
        told = path.read_text("utf-8", errors="replace").strip().removesuffix("%").strip()
    except FileNotFoundError:
        return Hold()
    except OSError:
        return Hold(0.0, f"file {path.name} cannot be read")
    try:
        share = float(told) / 100 if told else 0.0
    except ValueError:
        return Hold(0.0, f"file {path.name} holds no percentage")
    if not 0 < share < 1:
        return Hold() if share >= 1 else Hold(0.0, f"file {path.name}")
    return Hold(share, f"file {path.name}: {share:.0%} of full speed")


class Pace:
    """The throttle as one stream's thread sees it: whether it may begin, when it is enough, how long to rest."""

    def __init__(self, throttle: Throttle, stream: str, stats: Stats, end: threading.Event) -> None:
        self.throttle, self.stream, self.stats, self.end = throttle, stream, stats, end
        self.began = time.monotonic()
        self.left_off = False

    def held(self) -> bool:
        """Whether the stream has to stand still; waits a moment then, and says why."""
        hold = self.throttle.now()
        if hold.speed > 0:
            return False
        self.rest(STEP_S, hold.why)
        return True

    def begin(self) -> None:
        """A round begins."""
        self.began, self.left_off = time.monotonic(), False

    def enough(self) -> bool:
        """Between two pages: whether the rest shall be left for later."""
        hold = self.throttle.now()
        slow = hold.speed < 1 or self.throttle.nice_ratio > 0
        enough = hold.speed == 0 or (slow and time.monotonic() - self.began > SLICE_S)
        self.left_off = self.left_off or enough
        return enough

    def rest_after(self) -> None:
        """Rest for as long as the round that is over asks for; what asks for it may go away meanwhile."""
        worked, rested = time.monotonic() - self.began, 0.0
        while not self.end.is_set():
            hold = self.throttle.now()
            ratio = self.throttle.nice_ratio + (1 / hold.speed - 1 if hold.speed else 0.0)
            left = worked * ratio - rested
            if left <= 0 or hold.speed == 0:
                return
            step = min(STEP_S, left)
            self.rest(step, hold.why or f"nice_ratio {self.throttle.nice_ratio:g}", quiet=worked * ratio < SLICE_S)
            rested += step

    def rest(self, seconds: float, why: str, *, quiet: bool = False) -> None:
        """Wait, and say so unless it is not worth saying."""
        if not quiet:
            self.stats.wait(self.stream, THROTTLED + why)
        self.stats.hold(self.stream, seconds)
        self.end.wait(seconds)
