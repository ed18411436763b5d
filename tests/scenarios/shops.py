"""A retailer whose sides are kept in step while stores sell on both, with a network between that can be made to fail."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from etl.config_file import read_settings
from etl.dedupe.result import DedupeRequest
from etl.dedupe.run import run_dedupe
from etl.load.model import LoadRequest
from etl.load.run import run_load
from etl.names import backtick
from etl.progress import Silent
from etl.reconcile.run import ReconcileRequest, run_reconcile
from etl.settings import ConnectionSettings, Settings
from etl.stage.run import StageRequest, run_stage
from etl.sync.start import start_sync
from fixtures.processes import LOOPBACK
from fixtures.proxy import Proxy, proxied
from fixtures.sandbox import sandbox_down, sandbox_up
from fixtures.storefront.connections import Sides, ask_target
from fixtures.storefront.intents import DEFAULT_MIX
from fixtures.storefront.judge import JudgeRequest, Verdict, judge
from fixtures.storefront.routes import split_stores, write_routes
from fixtures.storefront.run import StorefrontPlan, StorefrontResult, run_storefront
from fixtures.storefront.world import read_stores

PROGRAM: Final = "import sys; from cli.app import main; main(sys.argv[1:])"
ROOT: Final = Path(__file__).resolve().parents[2]
QUIET_S: Final = 240
LOOK_S: Final = 0.5
Process = subprocess.Popen[bytes]


@dataclass
class Retailer:
    """Both servers in a folder of their own, in step, and a file of routes that spreads the stores over them.

    Tills connect to the servers, sync goes through `legacy_net` and `target_net`: `through` is its configuration. `sold`: logs
    of all tills so far.
    """

    folder: Path
    settings: Settings
    through: Settings
    sides: Sides
    routes: Path
    legacy_net: Proxy
    target_net: Proxy
    sold: list[Path] = field(default_factory=list)

    @property
    def output(self) -> Path:
        """What sync has said."""
        return self.folder / "sync.log"

    def told(self) -> str:
        """The last of it."""
        return self.output.read_text("utf-8", "replace")[-2_000:] if self.output.exists() else ""


@contextmanager
def open_retailer(folder: Path, members: int, sync: str = "") -> Iterator[Retailer]:
    """So many members staged, deduplicated and loaded; sync prepared. `sync`: lines for its section of the configuration."""
    with ExitStack() as stack:
        stack.callback(sandbox_down, folder, purge=True)
        sandbox_up(folder, members, 5, complete_journey=False)
        settings = read_settings(folder / "membershift.toml")
        schema_up(settings)
        run_stage(settings, StageRequest(), Silent())
        run_dedupe(settings, DedupeRequest(execute=True), Silent())
        run_load(settings, LoadRequest(execute=True), Silent())
        start_sync(settings, execute=True, by_whom="test", progress=Silent())
        sides = Sides(settings.source, settings.target)
        write_routes(folder / "routes.json", split_stores(read_stores(sides), 0.5))
        legacy_port, target_port = port_of(settings.source), port_of(settings.target)
        legacy_net = stack.enter_context(proxied(LOOPBACK, legacy_port))
        target_net = stack.enter_context(proxied(LOOPBACK, target_port))
        text = (folder / "membershift.toml").read_text("utf-8")
        for before, after in ((legacy_port, legacy_net.port), (target_port, target_net.port)):
            text = text.replace(f":{before}", f":{after}")
        (folder / "through.toml").write_text(f"{text}\n[sync]\n{sync}\n", "utf-8")
        through = read_settings(folder / "through.toml")
        yield Retailer(folder, settings, through, sides, folder / "routes.json", legacy_net, target_net)


def schema_up(settings: Settings) -> None:
    """Both schemas on the target."""
    from migrations.schema.commands import schema_up as create

    create(settings.target)


def port_of(side: ConnectionSettings) -> int:
    """The port at the end of its URL."""
    return int(re.findall(r":(\d+)", side.url.get_secret_value())[-1])


def program(settings: Settings, *words: str) -> list[str]:
    """A command line of membershift."""
    return [sys.executable, "-c", PROGRAM, "--config", str(settings.origin), *words]


def start_program(retailer: Retailer) -> Process:
    """`membershift sync run` at work: where a server is away when it begins, it ends, and somebody starts it again."""
    process = begin_program(retailer)
    while process.pid != sign_of_life(retailer):
        assert process.poll() is None, retailer.told()
        time.sleep(0.05)
    return process


def sign_of_life(retailer: Retailer) -> int:
    """The process that was at work last; 0 for none."""
    target = retailer.settings.target
    rows = ask_target(target, f"SELECT value FROM {backtick(target.state_schema)}.sync_control WHERE name = 'heartbeat'")
    found = re.search(r'"pid": (\d+)', rows[0][0]) if rows else None
    return int(found[1]) if found else 0


def begin_program(retailer: Retailer, *more: str) -> Process:
    """`membershift sync run` as a program of its own, through the network that may fail."""
    with retailer.output.open("ab") as out:
        return subprocess.Popen(program(retailer.through, "sync", "run", *more), stdout=out, stderr=out, cwd=ROOT)


def kill(process: Process) -> None:
    """As the power would."""
    process.send_signal(signal.SIGKILL)
    process.wait()


@contextmanager
def shops_open(
    retailer: Retailer,
    rate: float = 20.0,
    *,
    workers: int = 2,
    skews_s: tuple[float, ...] = (0.0,),
    mix: dict[str, float] | None = None,
    known_records_only: bool = False,
) -> Iterator[list[StorefrontResult]]:
    """Stores sell on both sides, `rate` actions a second on each, until the end of the block. The list then holds the result."""
    plan = StorefrontPlan(
        sides=retailer.sides, routes=retailer.routes, logs=retailer.folder / f"logs-{len(retailer.sold)}", seconds=36_000,
        legacy_rate=rate, tidb_rate=rate, workers=workers, seed=len(retailer.sold), hot=5, skews_s=skews_s,
        mix=mix or dict(DEFAULT_MIX), known_records_only=known_records_only,
    )  # fmt: skip
    stop = threading.Event()
    ended: list[StorefrontResult] = []
    with ThreadPoolExecutor(1) as pool:
        selling = pool.submit(run_storefront, plan, stop)
        retailer.sold.append(plan.logs)
        try:
            while not any(plan.logs.glob("*.jsonl")) and not selling.done():
                time.sleep(0.02)
            yield ended
        finally:
            stop.set()
            ended.append(selling.result())


def run_until_quiet(retailer: Retailer) -> None:
    """Let sync come to rest."""
    process = begin_program(retailer, "--until-quiet")
    assert process.wait(timeout=QUIET_S) == 0, retailer.told()


def await_agreement(retailer: Retailer, logs: Sequence[Path], allowance_s: float, seconds: float = 45.0) -> Verdict:
    """While sync runs: until the judge and reconcile find nothing; what they found at last, if they do not come to it."""
    deadline = time.monotonic() + seconds
    while True:
        verdict = judge(JudgeRequest(retailer.sides, tuple(logs), allowance_s))
        late = time.monotonic() > deadline
        if verdict.clean:
            found = differences(retailer)
            if not found:
                return verdict
            assert not late, (found, retailer.told())
        assert not late, (verdict.deviations[:20], retailer.told())
        time.sleep(LOOK_S)


def assert_nothing_lost(retailer: Retailer, logs: Sequence[Path], allowance_s: float = 10.0) -> Verdict:
    """The judge and reconcile find nothing."""
    verdict = judge(JudgeRequest(retailer.sides, tuple(logs), allowance_s))
    assert verdict.clean, verdict.deviations
    found = differences(retailer)
    assert not found, found
    return verdict


def differences(retailer: Retailer) -> dict[str, str]:
    """What reconcile finds, by table."""
    result = run_reconcile(retailer.settings, ReconcileRequest(()), Silent())
    return {table.table: json.dumps([str(one) for one in table.differences[:5]]) for table in result.tables if table.differing}


def number_from_environment(name: str, default: float) -> float:
    """A setting of the slow proofs."""
    return float(os.environ.get(name, default))
