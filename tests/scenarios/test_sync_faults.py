"""Every fault with the stores open: afterwards every acknowledged write is on both sides once, and reconcile finds nothing.

One retailer and one sync serve all tests: each leaves them in step.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from etl.sync.conflicts import KeptConflict, list_conflicts
from etl.target.connect import connect_bulk
from tests.scenarios.faults import (
    ONE_WAY,
    Fault,
    cut_source_off,
    cut_target_off,
    fill_the_disk,
    forget_changes,
    hold_on_legacy,
    hold_on_target,
    kill_legacy_server,
    kill_target_server,
    legacy_session,
    lose_answers_of_source,
    lose_answers_of_target,
    second_copy,
    slow_network,
    stop_sync_for_a_while,
    swap_codes,
    target_session,
)
from tests.scenarios.probes import lone_members, probe_forward, probe_reverse, seconds_until
from tests.scenarios.shops import (
    Process,
    Retailer,
    assert_nothing_lost,
    await_agreement,
    kill,
    number_from_environment,
    open_retailer,
    run_until_quiet,
    shops_open,
    start_program,
)

SYNC = "sweep_s = 2\nmatch_newcomers = false"
ALLOWANCE_S = 120.0
"""How far apart two writes may be that did not know of each other: changes wait as long as a fault lasts."""

Hold = Callable[[Retailer, Callable[[], object]], None]


@dataclass
class Shift:
    """The retailer, and the sync that runs now."""

    retailer: Retailer
    process: Process

    def go_wrong(self, fault: Fault) -> None:
        """Let something go wrong."""
        self.process = fault(self.retailer, self.process)
        assert self.process.poll() is None, self.retailer.told()

    def agree(self) -> None:
        """Everything that was ever sold is on both sides, once."""
        await_agreement(self.retailer, self.retailer.sold, ALLOWANCE_S)
        assert self.process.poll() is None, self.retailer.told()


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shift]:
    """Both sides, and a sync between them."""
    with open_retailer(tmp_path_factory.mktemp("faults"), 300, SYNC) as retailer:
        shift = Shift(retailer, start_program(retailer))
        try:
            yield shift
        finally:
            kill(shift.process)


@pytest.fixture
def running(followed: Shift) -> Shift:
    """The same with everything well, also after a test that failed."""
    for net in (followed.retailer.legacy_net, followed.retailer.target_net):
        net.heal()
    if followed.process.poll() is not None:
        followed.process = start_program(followed.retailer)
    return followed


def carry_on(shift: Shift, *faults: Fault) -> None:
    """Stores sell while these go wrong one after the other. Records that sync makes for members are left to the slow proofs."""
    with shops_open(shift.retailer, known_records_only=True):
        time.sleep(0.5)
        for fault in faults:
            shift.go_wrong(fault)
        time.sleep(0.5)
    shift.agree()


def test_the_network_fails(running: Shift) -> None:
    carry_on(running, cut_target_off, cut_source_off, *ONE_WAY, lose_answers_of_target, lose_answers_of_source)


def test_servers_are_killed_and_sync_is_stopped_slowed_and_started_twice(running: Shift) -> None:
    carry_on(running, kill_legacy_server, kill_target_server, stop_sync_for_a_while, slow_network, second_copy)


def test_no_disk_takes_a_byte_codes_change_hands_and_the_source_forgets(running: Shift) -> None:
    carry_on(running, fill_the_disk, swap_codes, forget_changes)


def test_clocks_of_nodes_are_wrong(running: Shift) -> None:
    """Tills at nodes 30 s ahead and behind: what they write comes by the scan or by the sweep."""
    with shops_open(running.retailer, workers=3, skews_s=(30.0, -30.0, 0.0), known_records_only=True) as tills:
        time.sleep(3)
    assert tills[0].tidb.done > 10
    running.agree()


def test_rows_that_an_application_holds_are_waited_for_alone(running: Shift) -> None:
    """Other rows arrive while the lock is there: it goes only after they have, and after MEMBERSHIFT_HELD_S (1)."""
    with shops_open(running.retailer, mix={"sale": 1, "sign_in": 1}, known_records_only=True):
        for hold in (hold_on_legacy, hold_on_target):
            hold_while_others_arrive(running.retailer, hold, number_from_environment("MEMBERSHIFT_HELD_S", 1.0))
    running.agree()


def hold_while_others_arrive(retailer: Retailer, hold: Hold, least_s: float) -> None:
    """Rows are held; a row of each side arrives on the other."""
    released = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        holding = pool.submit(hold, retailer, released.wait)
        ends = time.monotonic() + least_s
        try:
            time.sleep(least_s / 2)
            probe_forward(retailer)
            probe_reverse(retailer)
            time.sleep(max(0.0, ends - time.monotonic()))
        finally:
            released.set()
        holding.result()


def test_conflicts_are_kept_once_with_both_images(running: Shift) -> None:
    write_conflicts(running, 300)


def write_conflicts(shift: Shift, wanted: int) -> None:
    """Both sides write other values of the same members while sync is down, `wanted` in all; sales go on."""
    retailer, made = shift.retailer, 0
    with shops_open(retailer, 10.0, mix={"sale": 1, "sign_in": 1}, known_records_only=True):
        while made < wanted:
            made += meet(shift, wanted - made, made)
    shift.agree()


def meet(shift: Shift, most: int, number: int) -> int:
    """Conflicts of as many members as there are, at most so many. Returns how many."""
    retailer = shift.retailer
    kill(shift.process)
    known = newest_conflict(retailer)
    members = lone_members(retailer)[:most]
    write_values(retailer, members, number)
    shift.process = start_program(retailer)
    seconds_until(lambda: len(found_since(retailer, known)) >= len(members), 60 + len(members) / 20)
    check_conflicts(found_since(retailer, known), members, number)
    return len(members)


def write_values(retailer: Retailer, members: Sequence[tuple[int, int]], number: int) -> None:
    """On both sides, so close together that neither can know of the other."""
    with legacy_session(retailer) as legacy, target_session(retailer) as target:
        for first in range(0, len(members), 100):
            legacy.execute("BEGIN TRAN")
            for member, record in members[first : first + 100]:
                target.query("UPDATE member SET union_id = %s WHERE member_id = %s", (f"T{number} {member}", member))
                sql = "UPDATE crm.dbo.Member SET UnionId = %s, UpdatedAt = GETDATE() WHERE MemberId = %d"
                legacy.query(sql, (f"L{number} {member}", record))
            legacy.execute("COMMIT TRAN")
            target.commit()


def newest_conflict(retailer: Retailer) -> int:
    """The number of the latest."""
    with connect_bulk(retailer.settings.target) as target:
        found = list_conflicts(target, retailer.settings.target.state_schema, every=True, limit=1)
    return found[0].conflict_id if found else 0


def found_since(retailer: Retailer, known: int) -> list[KeptConflict]:
    """Conflicts about these values."""
    with connect_bulk(retailer.settings.target) as target:
        found = list_conflicts(target, retailer.settings.target.state_schema, table="member", every=True, limit=20_000)
    return [one for one in found if one.conflict_id > known and "union_id" in one.columns]


def check_conflicts(found: Sequence[KeptConflict], members: Sequence[tuple[int, int]], number: int) -> None:
    """Each once, and what either side had written is in it."""
    assert sorted(int(one.key) for one in found) == [member for member, _ in members]
    for one in found:
        assert (one.source["union_id"], one.target["union_id"]) == (f"L{number} {one.key}", f"T{number} {one.key}")


@pytest.mark.proof
def test_ten_thousand_conflicts_are_kept_once(tmp_path: Path) -> None:
    """MEMBERSHIFT_PROOF_CONFLICTS of them, 10,000 by default, among 12,000 members."""
    wanted = int(number_from_environment("MEMBERSHIFT_PROOF_CONFLICTS", 10_000))
    with open_retailer(tmp_path / "sandbox", 12_000, SYNC) as retailer:
        shift = Shift(retailer, start_program(retailer))
        try:
            write_conflicts(shift, wanted)
        finally:
            kill(shift.process)


@pytest.mark.proof
def test_two_hundred_kills(tmp_path: Path) -> None:
    """kill -9 at points drawn at random, MEMBERSHIFT_PROOF_KILLS of them, with the stores open all the time."""
    chance = random.Random(7)
    with open_retailer(tmp_path / "sandbox", 300, SYNC) as retailer:
        with shops_open(retailer, 10.0):
            for _ in range(int(number_from_environment("MEMBERSHIFT_PROOF_KILLS", 200))):
                process = start_program(retailer)
                time.sleep(chance.uniform(1.0, 5.0))
                assert process.poll() is None, retailer.told()
                kill(process)
        run_until_quiet(retailer)
        assert_nothing_lost(retailer, retailer.sold, ALLOWANCE_S)
