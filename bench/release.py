"""Release: from a decision to the published map, to every application, how fast failures are seen, and what watching costs.

    python -m bench.release [--stores 3000] [--instances 50] [--seconds 60] [--json]
        [--only publish acknowledge detect idle closed]

publish, acknowledge and detect need no server. idle and closed fill a sandbox of their own: the real controller watches so many
stores, and moves one while a storefront writes. How failures are seen is tried with a made-up clock: see bench/release_detect.py.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import psutil

from bench.release_detect import measure_detection, move
from bench.report import Result, print_results
from fixtures.drills.faults import await_rollback, order_back
from fixtures.drills.model import DrillRequest
from fixtures.drills.scene import Scene, begin_controller, move_stores, open_scene, selling
from fixtures.drills.verdict import last_switch, longest_closed
from fixtures.retailer import ROOT, kill, open_retailer, start_program
from migrations.release.acks import AckWatch, await_acknowledgement
from migrations.release.event_log import EventLog, open_event_log
from migrations.release.events import MinuteJudged, Routed, SwitchBegun, SwitchFailed
from migrations.release.model import Route
from migrations.release.plan_file import read_plan
from migrations.release.publish.publisher import Places, publish

PHASES: Final = ("publish", "acknowledge", "detect", "idle", "closed")
TIMES: Final = 10
BATCH: Final = 10
PAUSE_S: Final = 0.02
START_S: Final = 60.0
SETTLE_S: Final = 20.0
WRITES: Final = 100.0
WRITES_OF_ONE_STORE: Final = 20.0
"""A second, once it has moved; all others go on with WRITES."""
MINUTES_KEPT: Final = 5
PLAN: Final = """\
name = "bench"
[publish]
acknowledge = "none"
[gates]
tests.enabled = false
training.enabled = false
loadtest.enabled = false
reconcile.enabled = false
[metrics]
source = "file"
[metrics.file]
path = "minutes.json"
[[wave]]
name = "all"
count = 100000
bake_s = 86400
"""
APPLICATION: Final = """\
import random, sys, time
from migrations.release.client.routes import NotNow, Routes
path, acks, name = sys.argv[1:]
with Routes(path, acks, name) as routes:
    while True:
        try:
            with routes.writing(random.choice(tuple(routes.stores()))) as write:
                time.sleep(0.01)
                write.still()
        except NotNow:
            pass
        time.sleep(random.uniform(0.1, 0.3))
"""
"""A storefront's process, as far as routes go: some writes a second, each under way for 10 ms, at stores drawn at random."""


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stores", type=int, default=3_000, help="of the release")
    parser.add_argument("--instances", type=int, default=50, help="processes that acknowledge")
    parser.add_argument("--seconds", type=float, default=60.0, help="for which an idle controller is watched")
    parser.add_argument("--only", nargs="+", choices=PHASES, default=list(PHASES), help="what to measure")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    options = parser.parse_args()
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="membershift-bench-") as name:
        folder = Path(name)
        if "publish" in options.only:
            results += measure_publishing(folder / "publish", options.stores)
        if "acknowledge" in options.only:
            results += measure_acknowledging(folder / "acknowledge", options.stores, options.instances)
        if "detect" in options.only:
            results += measure_detection()
        if "idle" in options.only:
            results += measure_idle(folder / "idle", options.stores, options.seconds)
        if "closed" in options.only:
            results += measure_closed(folder / "closed")
    print_results(results, as_json=options.json)


def store_codes(count: int) -> tuple[str, ...]:
    """S0001 and so on."""
    return tuple(f"S{number:04}" for number in range(1, count + 1))


@contextmanager
def release_of(folder: Path, stores: int) -> Iterator[EventLog]:
    """A release that runs, with all of its stores on TiDB, and its lease."""
    folder.mkdir(parents=True)
    with open_event_log(folder) as log:
        log.take_lease("bench")
        move(log, (store_codes(stores),))
        yield log


def measure_publishing(folder: Path, stores: int) -> list[Result]:
    """From the decision, which is written down first, until the map, the flags and the proxy's map are on the disk. Batches go
    back one after the other, as in a rollback; then all others at once."""
    with release_of(folder, stores) as log:
        places = Places(folder / "routes.json", folder / "flagd.json", folder / "stores.map")
        publish(log.state, places)
        codes = store_codes(stores)
        batches = [codes[place * BATCH : (place + 1) * BATCH] for place in range(TIMES)]
        some = [decide_and_publish(log, places, batch) for batch in batches]
        all_at_once = decide_and_publish(log, places, codes[TIMES * BATCH :])
    return [
        Result(f"decision to published, {stores:,} stores, {BATCH} move: median", sorted(some)[TIMES // 2], "s"),
        Result(f"decision to published, {stores:,} stores, {BATCH} move: worst", max(some), "s", goal=1.0, goal_is="at most"),
        Result(f"decision to published, {stores:,} stores, all move", all_at_once, "s", goal=1.0, goal_is="at most"),
    ]


def decide_and_publish(log: EventLog, places: Places, stores: tuple[str, ...]) -> float:
    """Seconds for one map. These stores go back without steps of their own: TiDB is taken to be silent."""
    began = time.monotonic()
    log.append(SwitchBegun(stores, Route.LEGACY, rescue=True))
    log.append(Routed("publish"))
    publish(log.state, places)
    took = time.monotonic() - began
    log.append(SwitchFailed("publish", "measured"))  # as it was before, in a map of its own
    publish(log.state, places)
    return took


def measure_acknowledging(folder: Path, stores: int, instances: int) -> list[Result]:
    """From the decision until every process has acknowledged the map, with writes under way at all times."""
    with release_of(folder, stores) as log:
        acks = folder / "acks"
        places = Places(folder / "routes.json", acks=acks)
        publish(log.state, places)
        watch = AckWatch(acks, instances)
        with applications(places.routes, acks, instances):
            await_acknowledgement(watch, log.state.sequence, START_S, PAUSE_S)
            found = [acknowledged_after(log, places, watch, store) for store in store_codes(stores)[:TIMES]]
    return [
        Result(f"decision to acknowledged, {instances} processes: median", sorted(found)[TIMES // 2], "s"),
        Result(f"decision to acknowledged, {instances} processes: worst", max(found), "s", goal=5.0, goal_is="at most"),
    ]


def acknowledged_after(log: EventLog, places: Places, watch: AckWatch, store: str) -> float:
    """Seconds for one map."""
    began = time.monotonic()
    log.append(SwitchBegun((store,), Route.LEGACY, rescue=True))
    log.append(Routed("publish"))
    publish(log.state, places)
    await_acknowledgement(watch, log.state.sequence, START_S, PAUSE_S)
    took = time.monotonic() - began
    log.append(SwitchFailed("publish", "measured"))
    publish(log.state, places)
    await_acknowledgement(watch, log.state.sequence, START_S, PAUSE_S)
    return took


@contextmanager
def applications(routes: Path, acks: Path, count: int) -> Iterator[None]:
    """So many processes that read the map and write."""
    names = [f"till-{number}" for number in range(count)]
    command = [sys.executable, "-c", APPLICATION, str(routes), str(acks)]
    running = [subprocess.Popen([*command, name], cwd=ROOT) for name in names]
    try:
        yield
    finally:
        for process in running:
            kill(process)


def measure_idle(folder: Path, stores: int, seconds: float) -> list[Result]:
    """Processor time of a controller that watches so many stores, all of them on TiDB, with sync at work. Its figures come from
    a file with a row for each store and minute, which holds the last five minutes."""
    with open_retailer(folder, 300, by_whom="bench") as retailer:
        sync = start_program(retailer)
        end, writer = threading.Event(), None
        try:
            plan_file = retailer.folder / "release.toml"
            plan_file.write_text(PLAN, "utf-8")
            retailer.routes.unlink()  # of runs without a release
            codes = store_codes(stores)
            with open_event_log(retailer.through.state_dir) as log:
                log.take_lease("bench")
                move(log, (codes,), read_plan(plan_file).digest)
                log.release_lease()
            writer = threading.Thread(target=write_minutes, args=(retailer.folder / "minutes.json", codes, end), daemon=True)
            writer.start()
            controller = begin_controller(retailer, plan_file)
            try:
                share = share_of(controller, seconds)
            finally:
                kill(controller)
            require_watched(retailer.through.state_dir)
        finally:
            end.set()
            kill(sync)
            if writer is not None:
                writer.join()
    return [Result(f"controller that watches {stores:,} stores, of a core", 100 * share, "%", goal=1.0, goal_is="at most")]


def share_of(controller: subprocess.Popen[bytes], seconds: float) -> float:
    """Processor time of a process for so long, once it has settled, as a share of one core."""
    time.sleep(SETTLE_S)
    if controller.poll() is not None:
        raise RuntimeError(f"the controller ended with {controller.returncode}")
    watched = psutil.Process(controller.pid)
    before = watched.cpu_times()
    time.sleep(seconds)
    after = watched.cpu_times()
    return (after.user + after.system - before.user - before.system) / seconds


def require_watched(state_dir: Path) -> None:
    """A controller that sees nothing costs nothing. Raises RuntimeError where no minute was found good."""
    with open_event_log(state_dir) as log:
        judged = [one.event for one in log.events() if isinstance(one.event, MinuteJudged)]
    if not any(one.verdict == "GOOD" for one in judged):
        raise RuntimeError(f"the controller saw no good minute: {judged[-1].figures if judged else 'it judged none'}")


def write_minutes(path: Path, stores: Sequence[str], end: threading.Event) -> None:
    """Good figures of every store, a minute at a time, replaced as a whole."""
    written = -1
    while not end.wait(0.5):
        minute = int(time.time()) // 60
        if minute == written:
            continue
        rows = [
            {"minute": datetime.fromtimestamp(60 * one, UTC).isoformat(), "store": store, "requests": 100, "errors": 0}
            for one in range(minute - MINUTES_KEPT, minute)
            for store in stores
        ]
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(rows), "utf-8")
        partial.replace(path)
        written = minute


def measure_closed(folder: Path) -> list[Result]:
    """For how long a store takes no writes while it moves, and while it comes back; a storefront writes all the time."""
    with (
        open_scene(DrillRequest("closed", folder, stores=1), lambda text: None) as scene,
        selling(scene, WRITES, tidb_rate=WRITES_OF_ONE_STORE) as sold,
    ):
        scene.sell_for(SETTLE_S)
        move_stores(scene)
        there = told("to TiDB", scene)
        scene.sell_for(SETTLE_S)
        known = len(scene.log.events())
        await_rollback(scene, order_back(scene))
        back = told("back", scene, known)
    rate = sold[0].legacy.rate + sold[0].tidb.rate
    return [Result("storefront meanwhile, on both sides", rate, "transactions/s"), *there, *back]


def told(which: str, scene: Scene, after: int = 0) -> list[Result]:
    """One switch as results: the time closed, and the steps of it that took longest."""
    events = scene.log.events(after)
    steps = [f"{step} {seconds:.1f}" for step, seconds in last_switch(events) if seconds >= 0.1]
    name = f"one store {which}: closed ({', '.join(steps)} s)"
    return [Result(name, longest_closed(events), "s", goal=10.0, goal_is="at most")]


if __name__ == "__main__":
    main()
