"""Sync: how many changes a second each way, how far behind, what it costs when nothing happens.

    python -m bench.sync [--rows 50000] [--reverse-rows 50000] [--seconds 20] [--only forward reverse steady idle] [--json]

A backlog of any size is written and brought over in bounded memory; a million rows back take a quarter of an hour. Both servers,
the sync and the writers share the machine. Ledger rows are written, a batch every tenth of a second, each with a reference of its
own; the other side is asked for the newest reference, so that lag is seen from outside: from the answer to COMMIT on one side
until the row is there on the other. Only rows behind those seen already are asked for: the question must not be what takes long.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from bench.processes import Measured, measure, membershift
from bench.report import Result, print_results
from bench.spent import spent_in
from etl.config_file import read_settings
from etl.settings import Settings
from etl.source.connect import Source, open_source
from etl.target.bulk import BulkConnection
from etl.target.connect import connect_bulk
from fixtures.sandbox import sandbox_down, sandbox_up

MEMBERS: Final = 2_000
BEAT_S: Final = 0.1
SETTLE_S: Final = 75.0
"""By then sync looks less often, since nothing happens."""

IDLE_S: Final = 30.0
BORN: Final = 2**47
"""Numbers made on the target begin here."""

PHASES: Final = ("forward", "reverse", "steady", "idle")
ROOT: Final = Path(__file__).resolve().parents[1]
PATIENCE_S: Final = 60.0


@dataclass(frozen=True)
class Lag:
    """Of one run at a steady rate, in seconds."""

    rows_per_s: float
    p50: float
    p99: float


def main() -> None:
    """Measure both directions on a sandbox of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=50_000, help="of a backlog, forward")
    parser.add_argument("--reverse-rows", type=int, help="of a backlog, reverse; as many as forward, at most 50,000")
    parser.add_argument("--only", nargs="+", choices=PHASES, default=list(PHASES), help="what to measure")
    parser.add_argument("--seconds", type=float, default=20.0, help="at a steady rate, in each direction")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="membershift-bench-") as name:
        folder = Path(name) / "sandbox"
        try:
            sandbox_up(folder, MEMBERS, complete_journey=False)
            settings = read_settings(folder / "membershift.toml")
            for command in (("schema", "up"), ("dedupe", "run"), ("load",), ("sync", "start")):
                if command == ("dedupe", "run"):
                    membershift(settings.origin, "stage")
                membershift(settings.origin, *command, "--execute")
            reverse_rows = options.reverse_rows or min(options.rows, 50_000)
            results = measure_all(folder, settings, options.only, options.rows, reverse_rows, options.seconds)
            print_results(results, as_json=options.json)
        finally:
            sandbox_down(folder, purge=True)


def measure_all(
    folder: Path, settings: Settings, phases: Sequence[str], rows: int, reverse_rows: int, seconds: float
) -> list[Result]:
    """Backlogs first, then steady rates, then nothing at all."""
    found: list[Result] = []
    with open_source(settings.source) as source, connect_bulk(settings.target) as target:
        members = [
            int(row[0]) for row in target.query("SELECT CAST(source_id AS SIGNED) FROM member_source WHERE source = 'crm'")
        ]
        if "forward" in phases:
            empty = measure([*program(settings), "--until-quiet"])
            write_legacy(source, members, rows, "BACKLOG")
            found += measure_backlog(folder, settings, "forward backlog", rows, empty, 5_000)
        if "reverse" in phases:
            empty = measure([*program(settings), "--until-quiet"])
            write_target(target, members, reverse_rows, "BACKLOG")
            found += measure_backlog(folder, settings, "reverse backlog", reverse_rows, empty, None)
        for rate in (500, 2_000) if "steady" in phases else ():
            found += told(f"forward at {rate:,} rows/s", measure_forward(settings, source, target, members, rate, seconds), 1.0)
        for rate in (250, 1_000) if "steady" in phases else ():
            found += told(f"reverse at {rate:,} rows/s", measure_reverse(settings, source, target, members, rate, seconds), 2.0)
    if "idle" in phases:
        found.append(Result("idle, of a core for both sides", 100 * idle_share(settings), "%", goal=4, goal_is="at most"))
    return found


def measure_backlog(folder: Path, settings: Settings, name: str, rows: int, empty: Measured, goal: float | None) -> list[Result]:
    """Bring a backlog over, less what a run without one takes (`empty`); and who worked for it."""
    with spent_in(folder) as spent:
        run = measure([*program(settings), "--until-quiet"])
    tens = rows / 10_000
    return [
        Result(name, rows / max(run.seconds - empty.seconds, 0.1), "rows/s", goal=goal),
        Result(f"{name}, peak memory", run.peak_mib, "MiB", goal=300, goal_is="at most"),
        Result(f"{name}, sync itself", (run.cpu_seconds - empty.cpu_seconds) / tens, "CPU s / 10,000 rows"),
        Result(f"{name}, stand-in of SQL Server", spent.of("source") / tens, "CPU s / 10,000 rows"),
        Result(f"{name}, target", spent.of("target") / tens, "CPU s / 10,000 rows"),
    ]


def told(name: str, lag: Lag, goal: float) -> list[Result]:
    """A steady rate as results."""
    return [
        Result(f"{name}: given", lag.rows_per_s, "rows/s"),
        Result(f"{name}: lag p50", lag.p50, "s"),
        Result(f"{name}: lag p99", lag.p99, "s", goal=goal, goal_is="at most"),
    ]


def program(settings: Settings) -> list[str]:
    """`membershift sync run`."""
    code = "import sys; from cli.app import main; main(sys.argv[1:])"
    return [sys.executable, "-c", code, "--config", str(settings.origin), "sync", "run"]


def write_legacy(source: Source, members: list[int], rows: int, reference: str) -> None:
    """Ledger rows on the legacy side, in batches of 500."""
    for first in range(0, rows, 500):
        values = ", ".join(
            f"({members[at % len(members)]}, 1, 'BENCH', '{reference}', '2026-01-02')"
            for at in range(first, min(rows, first + 500))
        )
        source.query(f"INSERT INTO crm.dbo.PointsLedger (MemberId, Delta, Reason, RefNo, CreatedAt) VALUES {values}")


def write_target(target: BulkConnection, members: list[int], rows: int, reference: str) -> None:
    """Ledger rows on the target, in batches of 500."""
    led = dict(target.query("SELECT CAST(source_id AS SIGNED), member_id FROM member_source WHERE source = 'crm'"))
    stamp = time.time_ns()
    for first in range(0, rows, 500):
        values = ", ".join(
            f"({led[members[at % len(members)]]}, 1, 'BENCH', '{reference}', '2026-01-02', 'tidb', '{stamp + at}')"
            for at in range(first, min(rows, first + 500))
        )
        with target.transaction():
            target.execute(
                f"INSERT INTO points_ledger (member_id, delta, reason, ref_no, occurred_at, origin, origin_id) VALUES {values}"
            )


def measure_forward(
    settings: Settings, source: Source, target: BulkConnection, members: list[int], rate: int, seconds: float
) -> Lag:
    """Written on the legacy side, seen on the target."""

    last = int(target.scalar("SELECT MAX(entry_id) FROM points_ledger WHERE entry_id < %s", (BORN,)) or 0)
    top = -1

    def newest() -> int:
        nonlocal last, top
        ((key, found),) = target.query(
            "SELECT MAX(entry_id), MAX(ref_no) FROM points_ledger WHERE entry_id > %s AND entry_id < %s AND ref_no LIKE 'F%%'",
            (last, BORN),
        )
        last, top = max(last, int(key or 0)), max(top, number_of(found))
        return top

    return measure_lag(
        settings, lambda reference, rows: write_legacy(source, members, rows, f"F{reference}"), newest, rate, seconds
    )


def measure_reverse(
    settings: Settings, source: Source, target: BulkConnection, members: list[int], rate: int, seconds: float
) -> Lag:
    """Written on the target, seen on the legacy side."""

    last = int(source.scalar("SELECT MAX(EntryId) FROM crm.dbo.PointsLedger") or 0)
    top = -1

    def newest() -> int:
        nonlocal last, top
        ((key, found),) = source.query(
            f"SELECT MAX(EntryId), MAX(RefNo) FROM crm.dbo.PointsLedger WHERE EntryId > {last} AND RefNo LIKE 'R%'"
        )
        last, top = max(last, int(key or 0)), max(top, number_of(found))
        return top

    return measure_lag(
        settings, lambda reference, rows: write_target(target, members, rows, f"R{reference}"), newest, rate, seconds
    )


def number_of(reference: object) -> int:
    """The number of a reference, -1 where there is none."""
    return -1 if reference is None else int((reference.decode() if isinstance(reference, bytes) else str(reference))[1:])


def measure_lag(
    settings: Settings, write: Callable[[str, int], None], newest: Callable[[], int], rate: int, seconds: float
) -> Lag:
    """Write a batch every BEAT_S while sync runs; how long each takes to be seen."""
    process = subprocess.Popen(program(settings), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT)
    try:
        time.sleep(8)
        written: dict[int, float] = {}
        first = time.time_ns() // 1_000_000
        done = threading.Event()

        def writer() -> None:
            began, beat = time.monotonic(), 0
            while time.monotonic() - began < seconds:
                number = first + beat
                write(str(number), max(1, round(rate * BEAT_S)))
                written[number] = time.monotonic()
                beat += 1
                time.sleep(max(0.0, began + beat * BEAT_S - time.monotonic()))
            done.set()

        thread = threading.Thread(target=writer)
        thread.start()
        seen: dict[int, float] = {}
        last = time.monotonic() + seconds + PATIENCE_S
        while time.monotonic() < last and not (done.is_set() and len(seen) == len(written)):
            if process.poll() is not None:
                raise RuntimeError(f"sync ended with {process.returncode}: nothing would ever be seen")
            top, now = newest(), time.monotonic()
            for number in [number for number in list(written) if number <= top and number not in seen]:
                seen[number] = now
            time.sleep(0.02)
        thread.join()
    finally:
        process.terminate()
        process.wait()
    lags = sorted(seen.get(number, last) - at for number, at in written.items())
    span = max(written.values()) - min(written.values())
    return Lag(
        len(written) * rate * BEAT_S / max(span, BEAT_S), lags[len(lags) // 2], lags[min(len(lags) - 1, len(lags) * 99 // 100)]
    )


def idle_share(settings: Settings) -> float:
    """Processor time of a running sync that has nothing to do, as a share of one core; without its background check, which has
    a budget of its own (`check_share`)."""
    config = settings.origin.with_name("idle.toml")
    config.write_text(settings.origin.read_text("utf-8") + "\n[sync]\ncheck_share = 0\n", "utf-8")
    process = subprocess.Popen(
        program(settings.model_copy(update={"origin": config})), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT
    )
    try:
        time.sleep(SETTLE_S)
        watched = psutil.Process(process.pid)
        before = watched.cpu_times()
        time.sleep(IDLE_S)
        after = watched.cpu_times()
    finally:
        process.terminate()
        process.wait()
    return (after.user + after.system - before.user - before.system) / IDLE_S


if __name__ == "__main__":
    main()
