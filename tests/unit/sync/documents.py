"""Every report of sync with something in each of its places."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import get_args

from cli.sync_run import RunEnded
from etl.mapping.sync_rules import MODES, RULES
from etl.names import SourceTable
from etl.reconcile.differences import ReconcileResult
from etl.sync.capture.requirements import FutureRows
from etl.sync.check_record import CheckPass, CheckStanding
from etl.sync.conflict_view import ConflictList, Settled, ShownColumn, ShownConflict
from etl.sync.control import Asked
from etl.sync.dead_letters import KeptLetter
from etl.sync.drain import NOBODY, DrainResult
from etl.sync.drain_left import OPEN
from etl.sync.forward.resync import Resynced
from etl.sync.forward.versions import Way
from etl.sync.heartbeat import IN_ORDER, Heartbeat, StreamStatus
from etl.sync.letters import LetterList, SettledLetters
from etl.sync.mark import DatabaseMark, Mark
from etl.sync.model import Counts
from etl.sync.resync import ResyncResult
from etl.sync.retry import Retried
from etl.sync.standing import MOST_COUNTED, LegacyStanding, Standing, TargetStanding
from etl.sync.start import StartResult
from etl.sync.state import STATES
from etl.sync.stats import StreamView
from etl.sync.status import SyncStatus
from etl.sync.throttle import THROTTLED
from reports.document import Document
from reports.documents import sync_conflicts, sync_control, sync_letters, sync_proofs, sync_run, sync_start, sync_status
from reports.documents.sync_texts import MEASURES, REASONS

AT = datetime(2026, 1, 2, 3, 4, 5)
MEMBER = "crm.dbo.Member"
STANDING = Standing(
    tuple(TargetStanding(mode, mode, None if mode == "source" else 3, 2, 1) for mode in MODES),
    (
        LegacyStanding(MEMBER, ("member",), 7, AT, MOST_COUNTED),
        LegacyStanding("pos.dbo.Sale", ("sale",), 7, AT, None, forgotten=True),
        LegacyStanding("pos.dbo.Store", ("store",), 7, AT),
        LegacyStanding("ecom.dbo.Account", ("member",), None, None),
    ),
    {"forward": 1, "reverse": 2},
    future=(FutureRows("member", 3, 30.0),),
)
QUIET = Standing((TargetStanding("member", "both", 0),), (LegacyStanding(MEMBER, ("member",), 7, AT, 0),))
BEAT = Heartbeat(7, "host", 60.0, 1.0, (StreamStatus("forward/crm", 400.0, 1.5, "paused"), StreamStatus("reverse", 0.1, 0.0, "")))
WHY = "; ".join([*(f"{name} 9 ms > 1 ms" for name in MEASURES), "other"])
HELD = replace(BEAT, streams=(StreamStatus("reverse", 1.0, 0.0, THROTTLED + WHY),), throttle=WHY)
PASS = CheckPass(AT.replace(tzinfo=UTC), "source/member/crm", "7", 100, 2, 1)
STATUS = SyncStatus("running", "li", AT, BEAT, (), QUIET)
CONFLICT = ShownConflict(1, "forward", "member", "7", ("name",), "latest", "target", False, AT, None, None, None)


def documents(lang: str) -> Iterator[Document]:
    """All of them."""
    yield from starts(lang)
    yield from statuses(lang)
    yield from conflicts(lang)
    yield from letters(lang)
    for wanted in STATES.values():
        for process in (BEAT, None):
            for noticed in (True, False):
                yield sync_control.asked_document(Asked(wanted, "running", process, noticed, 2.0), lang)
    counts = {"member": Counts(9, 1, 2, 3, 1, 1, 1), "sale": Counts()}
    views = (StreamView("forward/crm", 0.1, 2.0, 5, "", counts), StreamView("reverse", 0.1, 2.0, 5, "", {"member": Counts(1)}))
    for streams in (views, views[1:], ()):
        yield sync_run.run_document(RunEnded(3.0, False, streams), lang)
    yield from proofs(lang)


def starts(lang: str) -> Iterator[Document]:
    """What start says."""
    ways = {f"crm.dbo.T{place}": way for place, way in enumerate(get_args(Way))}
    plan = StartResult(False, ("CREATE TABLE x (a int)",), dict.fromkeys(ways, 7), (), ways)
    for result in (
        plan,
        replace(plan, legacy_tables=(), known=tuple(ways)),
        replace(plan, grants=("GRANT INSERT ON x TO y",)),
        replace(plan, executed=True, in_step={"member": 3}, bases={"member": 3}),
    ):
        yield sync_start.start_document(result, lang)


def statuses(lang: str) -> Iterator[Document]:
    """Where sync stands."""
    old = replace(BEAT, age_s=100.0)
    for status in (
        SyncStatus(None, "", None, None),
        STATUS,
        replace(STATUS, standing=STANDING),
        replace(STATUS, standing=replace(STANDING, legacy=())),
        replace(STATUS, standing=replace(QUIET, source_problem="Die Quelle")),
        replace(STATUS, heartbeat=None),
        replace(STATUS, heartbeat=old),
        replace(STATUS, heartbeat=replace(BEAT, streams=BEAT.streams[1:])),
        replace(STATUS, heartbeat=replace(BEAT, streams=BEAT.streams[1:]), standing=replace(QUIET, letters={"reverse": 1})),
        replace(STATUS, state="paused"),
        replace(STATUS, state="stopped"),
        replace(STATUS, state="stopped", heartbeat=old),
        replace(STATUS, heartbeat=replace(old, ended=IN_ORDER)),
        replace(STATUS, heartbeat=replace(old, ended="crm.dbo.Member")),
        replace(STATUS, heartbeat=HELD),
        replace(STATUS, check=CheckStanding(PASS, None)),
        replace(STATUS, check=CheckStanding(PASS, replace(PASS, ended=AT.replace(tzinfo=UTC)))),
        replace(STATUS, check=CheckStanding(None, replace(PASS, differing=0, ended=AT.replace(tzinfo=UTC)))),
    ):
        yield sync_status.status_document(status, lang)


def conflicts(lang: str) -> Iterator[Document]:
    """What was kept of rows that both sides changed."""
    values = (ShownColumn("name", "王***", "李***", True, True), ShownColumn("tier", "GOLD", None, False, False))
    several = tuple(replace(CONFLICT, rule=rule, winner=winner) for rule in RULES for winner in ("source", "target"))
    settled = replace(CONFLICT, settled_at=AT, settled_by="li", note="gut")
    for found in (ConflictList((*several, settled), {"member": (9, 8), "sale": (1, 0)}, True), ConflictList((), {}, False)):
        yield sync_conflicts.conflicts_document(found, lang)
    for one in (CONFLICT, settled, replace(CONFLICT, deleted=True, values=values, direction="reverse")):
        yield sync_conflicts.conflict_document(one, lang)
    yield sync_conflicts.settled_document(Settled(2, 3, "li"), lang)
    yield sync_conflicts.settled_document(Settled(2, None, "li"), lang)


def letters(lang: str) -> Iterator[Document]:
    """What was kept of rows that could not be carried over."""
    several = tuple(
        KeptLetter(number, direction, "member/crm", "7", reason, "Name", 2, AT, AT, settled)
        for number, reason in enumerate(REASONS)
        for direction, settled in (("forward", None), ("reverse", AT))
    )
    yield sync_letters.letters_document(LetterList(several, {"forward": 9, "reverse": 1}, True), lang)
    yield sync_letters.letters_document(LetterList((), {}, False), lang)
    for result in (Retried(False, 0, 0), Retried(False, 2, 1), Retried(True, 3, 1, 1, 1, 1), Retried(True, 3, 0, 3)):
        yield sync_letters.retried_document(result, lang)
    yield sync_letters.settled_document(SettledLetters(2, 3), lang)


def proofs(lang: str) -> Iterator[Document]:
    """Stores drained and not, a comparison of what changed lately, tables begun anew."""
    compared = ReconcileResult((), AT, "", 0, 0)
    for left, found, drained in (({}, compared, True), ({"sale": 2, OPEN: 1}, None, False), ({"sale": 2}, compared, False)):
        seconds = {"stream": 2.0, "comparison": 1.0} if found else {"stream": 60.0}
        for toward in ("target", "source"):
            result = DrainResult(
                drained, ("S001",), "target" if toward == "target" else "source", "m1", AT, left, found, ("sign_in",), seconds
            )
            for held in ("", NOBODY, THROTTLED + WHY):
                yield sync_proofs.drain_document(replace(result, held=held), lang)
    yield sync_proofs.mark_document(Mark({"crm": DatabaseMark(None, 7)}, 5), lang)
    yield sync_proofs.verify_document(compared, lang)
    for done in ((), (Resynced(SourceTable.parse(MEMBER), 9, Counts(1), 7),)):
        yield sync_proofs.resync_document(ResyncResult(bool(done), {MEMBER: 9}, done), lang)
