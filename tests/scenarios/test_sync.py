"""Stores sell on both sides, members are shared, sync is killed and servers go away: nothing is lost and nothing is doubled.

The storefront keeps its own log of every acknowledged write; the judge holds it against both sides from outside, and reconcile
compares every row of every table.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from etl.config_file import read_settings
from etl.dedupe.result import DedupeRequest
from etl.dedupe.run import run_dedupe
from etl.load.model import LoadRequest
from etl.load.run import run_load
from etl.progress import Silent
from etl.reconcile.run import ReconcileRequest, run_reconcile
from etl.settings import Settings
from etl.source.connect import open_source
from etl.stage.run import StageRequest, run_stage
from etl.sync.start import start_sync
from etl.target.connect import connect_bulk
from fixtures.sandbox import sandbox_down, sandbox_up
from fixtures.storefront.connections import Sides
from fixtures.storefront.judge import JudgeRequest, Verdict, judge
from fixtures.storefront.routes import split_stores, write_routes
from fixtures.storefront.run import StorefrontPlan, run_storefront
from fixtures.storefront.world import read_stores
from fixtures.target import kill_target, start_target
from migrations.schema.commands import schema_up

PROGRAM = "import sys; from cli.app import main; main(sys.argv[1:])"
ROOT = Path(__file__).resolve().parents[2]
QUIET_S = 240


@dataclass(frozen=True)
class Retailer:
    """Both servers in a folder of their own, in step, and a file of routes that spreads the stores over them."""

    folder: Path
    settings: Settings
    sides: Sides
    routes: Path


@pytest.fixture
def retailer_in_step(tmp_path: Path) -> Iterator[Retailer]:
    """300 members staged, deduplicated, loaded; sync prepared."""
    folder = tmp_path / "sandbox"
    try:
        sandbox_up(folder, 300, 5, complete_journey=False)
        settings = read_settings(folder / "membershift.toml")
        schema_up(settings.target)
        run_stage(settings, StageRequest(), Silent())
        run_dedupe(settings, DedupeRequest(execute=True), Silent())
        run_load(settings, LoadRequest(execute=True), Silent())
        start_sync(settings, execute=True, by_whom="test", progress=Silent())
        sides = Sides(settings.source, settings.target)
        write_routes(folder / "routes.json", split_stores(read_stores(sides), 0.5))
        yield Retailer(folder, settings, sides, folder / "routes.json")
    finally:
        sandbox_down(folder, purge=True)


def start_program(settings: Settings, *more: str) -> subprocess.Popen[str]:
    """`membershift sync run` as a program of its own."""
    command = [sys.executable, "-c", PROGRAM, "--config", str(settings.origin), "sync", "run", *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT)


def kill(process: subprocess.Popen[str]) -> None:
    """As the power would."""
    process.send_signal(signal.SIGKILL)
    process.communicate()


def sell(retailer: Retailer, seconds: float, rate: float, seed: int, stop: threading.Event | None = None) -> Path:
    """Let the stores sell; the folder of their logs."""
    logs = retailer.folder / f"logs-{seed}"
    plan = StorefrontPlan(
        sides=retailer.sides, routes=retailer.routes, logs=logs, seconds=seconds, legacy_rate=rate, tidb_rate=rate, workers=2,
        seed=seed, hot=5,
    )  # fmt: skip
    run_storefront(plan, stop)
    return logs


def run_until_quiet(retailer: Retailer) -> None:
    """Let sync come to rest."""
    process = start_program(retailer.settings, "--until-quiet")
    out, _ = process.communicate(timeout=QUIET_S)
    assert process.returncode == 0, out


def assert_nothing_lost(retailer: Retailer, logs: list[Path]) -> Verdict:
    """The judge and reconcile find nothing."""
    verdict = judge(JudgeRequest(retailer.sides, tuple(logs)))
    assert verdict.clean, verdict.deviations
    result = run_reconcile(retailer.settings, ReconcileRequest(()), Silent())
    told = {table.table: json.dumps([str(one) for one in table.differences[:5]]) for table in result.tables if table.differing}
    assert result.total_differences == 0, told
    return verdict


def test_stores_sell_on_both_sides_while_sync_is_killed(retailer_in_step: Retailer) -> None:
    """What would have been lost: sales, points, and members' changes, of a store that has moved or of one that has not."""
    retailer = retailer_in_step
    with ThreadPoolExecutor(1) as tills:
        selling = tills.submit(sell, retailer, 12.0, 4.0, 1)
        for after_s in (3.0, 2.0, 4.0):
            process = start_program(retailer.settings)
            time.sleep(after_s)
            kill(process)
        logs = selling.result()
    run_until_quiet(retailer)

    verdict = assert_nothing_lost(retailer, [logs])
    assert verdict.entries > 40


def test_a_newcomer_who_is_known_joins_the_member(retailer_in_step: Retailer) -> None:
    """A member of crm takes a card at a till: one person, one member, while sync runs."""
    retailer = retailer_in_step
    with open_source(retailer.settings.source) as source:
        ((known, name, phone, id_card),) = source.query(
            "SELECT TOP (1) MemberId, Name, Phone, IdCard FROM crm.dbo.Member WHERE Name IS NOT NULL AND LEN(IdCard) = 18 "
            "AND Phone LIKE '1[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]' ORDER BY MemberId"
        )
        source.query(
            "INSERT INTO pos.dbo.PosMember (CardNo, Name, Phone, IdCard, JoinedOn, UpdatedAt) VALUES "
            "('N-1', %s, %s, %s, '2026-01-02 03:04:00', '2026-01-02 03:04:05')",
            (name, phone, id_card),
        )
    run_until_quiet(retailer)

    with connect_bulk(retailer.settings.target) as target:
        led = dict(
            target.query(
                "SELECT CONCAT(source, source_id), member_id FROM member_source WHERE (source, source_id) IN (('crm', %s), "
                "('pos', 'N-1'))",
                (str(known),),
            )
        )
    assert len(led) == 2
    assert len(set(led.values())) == 1
    assert run_reconcile(retailer.settings, ReconcileRequest(()), Silent()).total_differences == 0


def kill_sync(retailer: Retailer, process: subprocess.Popen[str]) -> subprocess.Popen[str]:
    """And begin again."""
    kill(process)
    return start_program(retailer.settings)


def kill_target_server(retailer: Retailer, process: subprocess.Popen[str]) -> subprocess.Popen[str]:
    """The target is killed and comes back at the same place; sync waits for it."""
    folder = retailer.folder / "target"
    kill_target(folder)
    time.sleep(2)
    start_target(folder)
    return process


def stop_sync_for_a_while(retailer: Retailer, process: subprocess.Popen[str]) -> subprocess.Popen[str]:
    """As a machine does that swaps: connections idle, then go on."""
    os.kill(process.pid, signal.SIGSTOP)
    time.sleep(5)
    os.kill(process.pid, signal.SIGCONT)
    return process


def second_copy(retailer: Retailer, process: subprocess.Popen[str]) -> subprocess.Popen[str]:
    """A second copy is refused."""
    second = start_program(retailer.settings)
    out, _ = second.communicate(timeout=60)
    assert second.returncode == 7, out
    return process


Fault = Callable[[Retailer, subprocess.Popen[str]], subprocess.Popen[str]]
FAULTS: tuple[Fault, ...] = (kill_sync, kill_sync, kill_target_server, stop_sync_for_a_while, second_copy)


@pytest.mark.proof
def test_ten_minutes_of_faults(retailer_in_step: Retailer) -> None:
    """Every few seconds something goes wrong, at random; the time is MEMBERSHIFT_PROOF_SECONDS, ten minutes by default."""
    retailer, rng = retailer_in_step, random.Random(3)
    seconds = float(os.environ.get("MEMBERSHIFT_PROOF_SECONDS", "600"))
    stop = threading.Event()
    with ThreadPoolExecutor(1) as tills:
        selling = tills.submit(sell, retailer, seconds, 10.0, 2, stop)
        process = start_program(retailer.settings)
        try:
            while not selling.done():
                time.sleep(rng.uniform(2, 15))
                process = rng.choice(FAULTS)(retailer, process)
                assert process.poll() is None, process.communicate()[0]
        finally:
            stop.set()
            kill(process)
        logs = selling.result()
    run_until_quiet(retailer)
    assert_nothing_lost(retailer, [logs])
