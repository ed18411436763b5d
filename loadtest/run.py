"""One load test from its first row to its last: fill, run, check, judge, and take everything away again."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from etl.errors import OpsError, TargetError
from etl.records import LOADTEST, write_record
from etl.settings import Settings
from etl.target.bulk import BulkConnection
from etl.target.connect import connect_bulk
from loadtest.data import WRITTEN, Check, check_rules, check_written, clean, prepare
from loadtest.engine import Load, Report, running
from loadtest.plans import Plan
from loadtest.results import Results
from loadtest.retail import mix
from loadtest.safety import refuse_danger
from loadtest.samples import Outcome
from loadtest.session import Sessions
from loadtest.timeline import Second, Tally, Timeline
from loadtest.verdict import STARVED_S, Health, Judgement, Verdict, judge
from loadtest.worker import Ticks

OPEN_S: Final = 30.0
"""A second is written down so long after it: a transaction may take as long to end."""


@dataclass(frozen=True)
class RunRequest:
    """`members`: that the test begins with. `coupons`: how many there are of the scarce one. `results`: a folder, made anew.
    `end`: set to end the test before its time. `keep`: leave the rows where they are, to be looked at."""

    plan: Plan
    results: Path
    members: int = 20_000
    coupons: int = 10_000
    processes: int = 1
    threads: int = 64
    live: tuple[str, ...] = ()
    end: threading.Event = field(default_factory=threading.Event)
    keep: bool = False


@dataclass(frozen=True)
class LoadResult:
    """`operations`: a tally for each, by name. `stretches`: the same by number of the plan's stretch. `cut_short`: it was ended
    before its time. `seconds`: that it took, without filling and cleaning."""

    plan: Plan
    begun_at: datetime
    judgement: Judgement
    operations: Mapping[str, Tally]
    stretches: Mapping[int, Mapping[str, Tally]]
    checks: tuple[Check, ...]
    health: Health
    cut_short: bool
    seconds: float


class Watcher(Protocol):
    """Told of the test while it runs."""

    def told(self, step: str) -> None:
        """What is done now, outside the test itself."""

    def second(self, second: int, tallies: Second, ticks: Sequence[Ticks]) -> None:
        """A second that is over."""


class Nobody:
    """Nobody watches."""

    def told(self, step: str) -> None:
        """Nothing."""

    def second(self, second: int, tallies: Second, ticks: Sequence[Ticks]) -> None:
        """Nothing."""


def run_load(settings: Settings, request: RunRequest, watcher: Watcher | None = None) -> LoadResult:
    """Run a plan and write its record for the gate of a release. Raises RefusedError where it must not begin, TargetError,
    ConfigurationError; whatever happens, its rows are taken away, unless the target is gone or `keep` is set."""
    seen = watcher or Nobody()
    with connect_bulk(settings.target) as target:
        refuse_danger(settings, target, request.results, request.live)
        try:
            return fill_and_run(settings, request, target, seen)
        finally:
            if not request.keep:
                seen.told("clean")
                with suppress(TargetError):  # `loadtest clean` does it once the target is back
                    clean(target)


def fill_and_run(settings: Settings, request: RunRequest, target: BulkConnection, watcher: Watcher) -> LoadResult:
    """All between the first row and the last."""
    plan, begun_at = request.plan, datetime.now(UTC)
    watcher.told("fill")
    stores = [str(row[0]) for row in target.query("SELECT store_code FROM store ORDER BY store_code")]
    world = prepare(target, request.members, request.coupons, stores)
    operations = mix(plan.mix).operations
    sessions = Sessions(settings.target, partial(mix, plan.mix), world, WRITTEN, plan.seed)
    load = Load(
        plan.curve, [one.weight for one in operations], sessions, plan.spacing, plan.seed, request.processes, request.threads
    )
    began = time.monotonic()
    with Results(request.results, [one.name for one in operations]) as results:
        seeing = Seeing(plan, results, watcher)
        with running(load) as reports:
            watcher.told("run")
            for report in reports:
                seeing.take(report)
                if request.end.is_set():
                    break
        seeing.timeline.end()
        seconds = time.monotonic() - began
        watcher.told("check")
        checks, trouble = seeing.trouble_and_checks(target, request.coupons)
    cut_short = request.end.is_set()
    names = [one.name for one in operations]
    stretches = {number: {names[one]: tally for one, tally in found.items()} for number, found in seeing.stretches.items()}
    judgement = judge(
        plan,
        {number: list(found.values()) for number, found in seeing.stretches.items()},
        seeing.health,
        checks,
        [*trouble, *(["it was ended before its time"] if cut_short else [])],
    )
    whole = dict(zip(names, seeing.timeline.whole, strict=True))
    result = LoadResult(plan, begun_at, judgement, whole, stretches, checks, seeing.health, cut_short, seconds)
    write_record(settings.state_dir, LOADTEST, datetime.now(UTC), record_of(result))
    return result


class Seeing:
    """What comes in while it runs."""

    def __init__(self, plan: Plan, results: Results, watcher: Watcher) -> None:
        self.plan, self.results, self.watcher = plan, results, watcher
        self.stretches: dict[int, dict[int, Tally]] = {}
        self.timeline = Timeline(len(results.operations), OPEN_S, self.closed)
        self.ticks: dict[int, Ticks] = {}
        self.cpu: dict[int, float] = {}
        self.reports, self.starved, self.busiest, self.newest = 0, 0, 0.0, 0.0
        self.failures: list[str] = []

    def take(self, report: Report) -> None:
        """One report of a process."""
        self.timeline.add(report)
        self.results.write_numbers(report.samples)
        if report.trouble:
            self.failures.append(report.trouble)
        self.reports += 1
        self.starved += report.ticks.woken_late_s > STARVED_S
        before = self.cpu.get(report.process)
        if before is not None and not report.over:
            self.busiest = max(self.busiest, report.ticks.cpu_s - before)
        self.cpu[report.process] = report.ticks.cpu_s
        self.ticks[report.process] = report.ticks
        if report.samples.size:
            self.newest = max(self.newest, float(report.samples["ended"].max()))
            self.timeline.close_until(self.newest)

    def closed(self, second: int, tallies: Second) -> None:
        """A second is over."""
        stretch = self.stretches.setdefault(self.plan.stretch_at(second), {})
        for number, tally in tallies.items():
            stretch.setdefault(number, Tally()).merge(tally)
        self.results.write_second(second, tallies)
        self.watcher.second(second, tallies, list(self.ticks.values()))

    @property
    def health(self) -> Health:
        """Of the generator."""
        return Health(self.reports, self.starved, self.busiest)

    def trouble_and_checks(self, target: BulkConnection, coupons: int) -> tuple[tuple[Check, ...], list[str]]:
        """Every rule, asked of the server; why it could not be."""
        unanswered = (Outcome.LOST, Outcome.TIMEOUT)
        unknown = {
            name: sum(tally.outcomes[one] for one in unanswered)
            for name, tally in zip(self.results.operations, self.timeline.whole, strict=True)
        }
        try:
            checks = (*check_rules(target, coupons), *check_written(target, self.results.numbers(), unknown))
        except OpsError as error:
            return (), [*self.failures, f"what it wrote could not be checked: {error.message}"]
        return checks, self.failures


def record_of(result: LoadResult) -> dict[str, object]:
    """For the gate `loadtest` (docs/release.md)."""
    return {
        "plan": result.plan.name,
        "mix": result.plan.mix,
        "target_rate": result.plan.rate,
        "held_rate": round(result.judgement.held_rate, 1),
        "passed": result.judgement.verdict is Verdict.PASS,
        "verdict": str(result.judgement.verdict),
        "why": list(result.judgement.why),
    }


def summary_of(result: LoadResult) -> dict[str, object]:
    """Everything of a result but the histograms, for machines."""
    return {
        **record_of(result),
        "begun_at": result.begun_at.isoformat(),
        "seconds": round(result.seconds, 3),
        "cut_short": result.cut_short,
        "goals": [
            {"name": one.name, "part": one.part, "figure": one.figure, "limit": one.limit, "held": one.held}
            for one in result.judgement.findings
        ],
        "operations": {
            name: {
                "outcomes": {outcome.name.lower(): tally.outcomes[outcome] for outcome in Outcome},
                "retries": tally.retries,
                "late": tally.late,
                "response_ms": dict(tally.response.shown()),
                "service_ms": dict(tally.service.shown()),
            }
            for name, tally in result.operations.items()
        },
        "starved_seconds": result.health.starved_seconds,
        "busiest_process": round(result.health.busy, 3),
    }
