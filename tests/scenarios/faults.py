"""What can go wrong while sync runs, each as a function of the retailer and the process that returns the process that runs then.

Stores go on selling meanwhile. Whoever calls one asks afterwards whether anything was lost.
"""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Final, Literal

from etl.source.errors import ServerError
from etl.source.session import PlainSession
from fixtures.legacy_server.launcher import running_legacy_server
from fixtures.processes import ProcessMark, kill_process
from fixtures.sandbox import start_legacy
from fixtures.storefront.connections import TargetSession, open_legacy
from fixtures.target import find_target, kill_target, start_target, stop_target
from tests.scenarios.shops import QUIET_S, ROOT, Process, Retailer, begin_program, kill, program, start_program

Fault = Callable[[Retailer, Process], Process]
SHORT_S: Final = 1.0
REFUSED: Final = 7


def kill_sync(retailer: Retailer, process: Process) -> Process:
    """And begin again."""
    kill(process)
    return start_program(retailer)


def stop_sync_for_a_while(retailer: Retailer, process: Process) -> Process:
    """As a machine does that swaps: connections idle, then go on."""
    os.kill(process.pid, signal.SIGSTOP)
    time.sleep(SHORT_S * 2)
    os.kill(process.pid, signal.SIGCONT)
    return process


def second_copy(retailer: Retailer, process: Process) -> Process:
    """A second copy is refused."""
    second = begin_program(retailer)
    assert second.wait(timeout=60) == REFUSED, retailer.told()
    return process


def kill_target_server(retailer: Retailer, process: Process) -> Process:
    """The target is killed and comes back at the same place; sync waits for it.

    TiDB's standalone store, which is made for tests, had a committed sale without its ledger row after a kill -9. So it is told
    to end, which cuts its connections off too.
    """
    folder = retailer.folder / "target"
    server = find_target(folder)
    assert server is not None
    if server.is_tidb:
        stop_target(folder)
    else:
        kill_target(folder)
    time.sleep(SHORT_S)
    start_target(folder)
    return process


def kill_legacy_server(retailer: Retailer, process: Process) -> Process:
    """So is the source, with all of its sessions and its data engine."""
    server = running_legacy_server(retailer.folder / "legacy")
    assert server is not None
    import psutil

    kill_process(ProcessMark(server.pid, psutil.Process(server.pid).create_time()))
    time.sleep(SHORT_S)
    start_legacy(retailer.folder, fresh=False)
    return process


def cut_target_off(retailer: Retailer, process: Process) -> Process:
    """Connections are reset, new ones refused, and all is well again."""
    retailer.target_net.cut()
    time.sleep(SHORT_S)
    retailer.target_net.heal()
    return process


def cut_source_off(retailer: Retailer, process: Process) -> Process:
    """The same toward the legacy side."""
    retailer.legacy_net.cut()
    time.sleep(SHORT_S)
    retailer.legacy_net.heal()
    return process


def one_way(side: Literal["legacy_net", "target_net"], direction: Literal["to_server", "to_client"]) -> Fault:
    """What is sent in one direction vanishes, without a word to either end."""

    def fault(retailer: Retailer, process: Process) -> Process:
        net = retailer.legacy_net if side == "legacy_net" else retailer.target_net
        net.cut(direction)
        time.sleep(SHORT_S)
        net.heal()
        return process

    fault.__name__ = f"{side}_{direction}_vanishes"
    return fault


def slow_network(retailer: Retailer, process: Process) -> Process:
    """Far away on a thin line: 50 ms each way, 200 kB a second."""
    for net in (retailer.legacy_net, retailer.target_net):
        net.delay(0.05, rate=200_000)
    time.sleep(SHORT_S * 2)
    for net in (retailer.legacy_net, retailer.target_net):
        net.heal()
    return process


def lose_answers_of_target(retailer: Retailer, process: Process) -> Process:
    """A page of forward is there with its position, marks of reverse are there, and nobody is told."""
    for after in ("sync_position", "sync_base", "synced_at = updated_at"):
        lose_answer(retailer, "target_net", after)
    return process


def lose_answers_of_source(retailer: Retailer, process: Process) -> Process:
    """What reverse inserts or updates is there, and nobody is told."""
    for after in ("INSERT ", "UPDATE "):
        lose_answer(retailer, "legacy_net", after)
    return process


def lose_answer(retailer: Retailer, side: Literal["legacy_net", "target_net"], after: str, seconds: float = 60.0) -> None:
    """Of one transaction that said `after`. Stores have to be open, or it never comes."""
    net = retailer.legacy_net if side == "legacy_net" else retailer.target_net
    before = net.answers_lost
    net.lose_next_commit_answer(after=after)
    assert net.await_lost_answers(before + 1, seconds), (side, after, retailer.told())


def fill_the_disk(retailer: Retailer, process: Process) -> Process:
    """No file takes another byte from the running sync, which needs none; then it is killed, and starts once there is room."""
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    time.sleep(SHORT_S * 2)
    assert process.poll() is None, retailer.told()
    return kill_sync(retailer, process)


def forget_changes(retailer: Retailer, process: Process) -> Process:
    """Sync was down for longer than the source keeps changes: it refuses, names the remedy, and goes on after that."""
    kill(process)
    time.sleep(SHORT_S)
    waiting = {"crm.dbo.Member", "pos.dbo.Sale"}
    for table in sorted(waiting):
        expire(retailer, table)
    while waiting:
        mark = retailer.output.stat().st_size
        assert begin_program(retailer).wait(timeout=QUIET_S) == REFUSED, retailer.told()
        said = retailer.output.read_bytes()[mark:].decode()
        found = re.search(r"membershift sync resync (\w+\.\w+\.\w+)", said)
        assert found is not None, said
        assert found[1] in waiting, said
        waiting.remove(found[1])
        command = program(retailer.through, "sync", "resync", found[1], "--execute")
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=QUIET_S)
        assert done.returncode == 0, done.stdout + done.stderr
    return start_program(retailer)


def expire(retailer: Retailer, table: str) -> None:
    """Let the source forget the changes of a table: it begins to note them anew."""
    database, schema, name = table.split(".")
    with legacy_session(retailer) as session:
        session.execute(f"USE {database}")
        for verb in ("DISABLE", "ENABLE"):
            session.execute(f"ALTER TABLE {schema}.[{name}] {verb} CHANGE_TRACKING")


def hold_locks(retailer: Retailer, process: Process) -> Process:
    """An application holds a member's row for long, on one side and then on the other; other rows go on."""
    hold_on_legacy(retailer, partial(time.sleep, SHORT_S))
    hold_on_target(retailer, partial(time.sleep, SHORT_S))
    return process


def hold_on_legacy(retailer: Retailer, wait: Callable[[], object], members: int = 3) -> None:
    """Members' legacy rows are locked until `wait` returns."""
    with legacy_session(retailer) as session:
        rows = session.query(f"SELECT TOP ({members}) MemberId FROM crm.dbo.Member ORDER BY MemberId")
        keys = ", ".join(str(int(key)) for (key,) in rows)
        session.execute("BEGIN TRAN")
        session.execute(f"UPDATE crm.dbo.Member SET Tier = Tier WHERE MemberId IN ({keys})")
        wait()
        session.execute("ROLLBACK TRAN")


def hold_on_target(retailer: Retailer, wait: Callable[[], object], members: int = 3) -> None:
    """The same on the target."""
    with target_session(retailer) as session:
        keys = session.query(f"SELECT member_id FROM member ORDER BY member_id LIMIT {members}")
        marks = ", ".join(["%s"] * len(keys))
        session.query(f"SELECT points FROM member WHERE member_id IN ({marks}) FOR UPDATE", [key for (key,) in keys])
        wait()
        session.rollback()


def swap_codes(retailer: Retailer, process: Process) -> Process:
    """Campaigns exchange their codes, which are unique, on the target and then on the legacy side, whose they are."""
    with target_session(retailer) as session:
        rows = session.query("SELECT campaign_id, code FROM campaign ORDER BY campaign_id LIMIT 3")
        if len(rows) == 3:
            exchange(
                lambda code, key: session.query("UPDATE campaign SET code = %s WHERE campaign_id = %s", (code, key)), rows[:2]
            )
            session.commit()
    with legacy_session(retailer) as legacy:
        found = legacy.query("SELECT TOP (3) CampaignId, Code FROM crm.dbo.Campaign ORDER BY CampaignId")
        assert len(found) == 3, "no campaigns to exchange codes"
        legacy.execute("BEGIN TRAN")
        exchange(
            lambda code, key: legacy.query("UPDATE crm.dbo.Campaign SET Code = %s WHERE CampaignId = %d", (code, key)), found[1:]
        )
        legacy.execute("COMMIT TRAN")
        codes: dict[int, str] = dict(legacy.query("SELECT CampaignId, Code FROM crm.dbo.Campaign"))
        assert codes[found[1][0]] == found[2][1]
    return process


def exchange(update: Callable[[str, int], object], rows: list[tuple[Any, ...]]) -> None:
    """Two rows give each other their codes, by way of a third."""
    (first, its), (second, others) = rows
    for code, key in (("~away~", first), (its, second), (others, first)):
        update(str(code), int(key))


@contextmanager
def legacy_session(retailer: Retailer) -> Iterator[PlainSession]:
    """An application's connection to the legacy server."""
    session = open_legacy(retailer.settings.source)
    try:
        yield session
    finally:
        with suppress(ServerError):
            session.close()


@contextmanager
def target_session(retailer: Retailer) -> Iterator[TargetSession]:
    """And one to the target."""
    session = TargetSession(retailer.settings.target)
    try:
        yield session
    finally:
        session.close()


ONE_WAY: Final[tuple[Fault, ...]] = (
    one_way("target_net", "to_server"),
    one_way("target_net", "to_client"),
    one_way("legacy_net", "to_server"),
    one_way("legacy_net", "to_client"),
)
FAULTS: Final[tuple[Fault, ...]] = (
    kill_sync,
    kill_target_server,
    kill_legacy_server,
    stop_sync_for_a_while,
    second_copy,
    cut_target_off,
    cut_source_off,
    *ONE_WAY,
    slow_network,
    lose_answers_of_target,
    lose_answers_of_source,
    fill_the_disk,
    forget_changes,
    hold_locks,
    swap_codes,
)
