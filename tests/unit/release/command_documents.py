"""Every report of the release commands, with something in each of its places."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from migrations.release.acks import Ack
from migrations.release.decide import Act
from migrations.release.decisions import Decided
from migrations.release.event_log import Logged
from migrations.release.events import Planned, RollbackBegun, SwitchFailed
from migrations.release.figures import Verdict
from migrations.release.gates.base import Answer
from migrations.release.going_back import Ended
from migrations.release.look import Checked, History, Published, ReleaseStatus, WaveStanding
from migrations.release.model import Phase, ReleaseState, Route, StoreRoute, Switch, steps_of
from migrations.release.plan import Plan
from migrations.release.planning import PlanDrawn, WaveDrawn, warnings_of
from migrations.release.switch_hours import Opening
from migrations.release.wiring import RunEnded
from reports.document import Document
from reports.documents import release_check, release_decided, release_history, release_plan, release_status

AT = datetime(2026, 11, 23, 1, 2, 3, tzinfo=UTC)
OPEN, SHUT = Opening(True, "", AT), Opening(False, "nothing moves on 2026-11-11", AT)
STORES = {"S1": StoreRoute(Route.TIDB, 3, 0), "S2": StoreRoute(Route.LEGACY, 0, 1)}
STATE = ReleaseState(release="r", phase=Phase.RUNNING, sequence=3, waves=(("S1",), ("S2",)), stores=STORES, wave=0)
WHY = "nothing was seen of the stores for 180 s"
SYNC = "Sync is not ready: sync was ended. Look: membershift sync status."


def documents(lang: str) -> Iterator[Document]:
    """All of them, in a language."""
    yield from plans(lang)
    yield from standings(lang)
    yield from looks(lang)
    yield from decisions(lang)
    yield from ends(lang)


def plans(lang: str) -> Iterator[Document]:
    """Drawn, written down, started."""
    wave = WaveDrawn("pilot", tuple(f"S{number}" for number in range(20)), 3, 60, 600, 1, True, 660, ("lag",))
    warnings = warnings_of(Plan.model_validate({"name": "r", "publish": {"acknowledge": "none"}}))
    drawn = PlanDrawn("r", "release.toml", (wave, replace(wave, by_itself=False)), ("S9",), (), OPEN, {"blind": "180 s"}, "",
                      warnings, False)  # fmt: skip
    yield release_plan.plan_document(drawn, lang)
    yield release_plan.plan_document(replace(drawn, planned=True, opening=SHUT, metrics="file", warnings=()), lang)
    yield release_plan.started_document(STATE, lang)


def standings(lang: str) -> Iterator[Document]:
    """Each phase; every act; watched, unwatched, and after a crash."""
    switch = Switch(("S2",), {"S2": Route.LEGACY}, Route.TIDB, steps_of(Route.LEGACY, Route.TIDB))
    wave = WaveStanding("pilot", ("S1",), {"tidb": 1, "fenced": 1}, 1, 1, True, False)
    waves = (replace(wave, promoted=True, under_way=False), wave, replace(wave, under_way=False))
    logged = (Logged(1, AT.isoformat(), Planned("r", (("S1",),), {"S1": Route.LEGACY})),)
    acts = (
        Act("wait", "no switch at this time"), Act("wait", SYNC), Act("switch", "x", ("S2",), Route.TIDB), Act("carry on"),
        Act("begin wave"), Act("promote"), Act("rolled back"), Act("complete"), None,
    )  # fmt: skip
    for phase in Phase:
        state = replace(STATE, phase=phase, sick=WHY, bad_minutes=2, forced=(("lag", "病假", "li"),), switch=switch)
        status = ReleaseStatus(state, waves, acts[0], 60.0, 5, "li", (), WHY, True, "", ("release run",), logged)
        yield release_status.status_document(status, lang)
        yield release_status.status_document(replace(status, holder=None, unwatched=("S1",), red=(SYNC,)), lang)
    for act in acts:
        yield release_status.status_document(replace(status, act=act, in_s=0.0), lang)
    yield release_status.status_document(replace(status, state=ReleaseState(), trouble="x"), lang)
    yield release_history.history_document(History((), 0), lang)
    failed = Logged(2, AT.isoformat(), SwitchFailed("drain", "sync was ended"))
    back = Logged(3, AT.isoformat(), RollbackBegun(("S1",), WHY, "trigger blind"))
    yield release_history.history_document(History((*logged, failed, back), 9), lang)


def looks(lang: str) -> Iterator[Document]:
    """Gates of each verdict, and the map in each state."""
    answer = Answer("availability", Verdict.PASS, 0.9995, ">= 99.9 %", 3.0, "no red alert is open", "")
    bad = replace(answer, gate="lag", verdict=Verdict.FAIL, evidence="sync was ended", remedy="membershift sync run", age_s=-9.0)
    forced = replace(bad, forced=True, evidence="sync was ended (overruled by li: 病假)", figure=None, age_s=None)
    yield release_check.check_document(Checked(0, "pilot", (answer, bad, forced), SHUT, SYNC), lang)
    yield release_check.check_document(Checked(0, "pilot", (answer,), OPEN, ""), lang)
    ack = Ack("till", 3, AT, 30.0, 0, "", "m")
    routes = Published("routes.json", 3, 3, AT.isoformat(), {"tidb": ("S1",)}, (ack,), (), (), True, "")
    for found in (
        routes, replace(routes, waiting=(ack,), lapsed=(ack,)), replace(routes, sequence=2, outputs=("routes.json",)),
        replace(routes, trouble="the map is not the one that the log says"),
        replace(routes, sequence=None, trouble="there is no map yet"),
    ):  # fmt: skip
        yield release_check.routes_document(found, lang)


def decisions(lang: str) -> Iterator[Document]:
    """Each decision, with and without a controller, before the start and at the end."""
    for what in ("paused", "resumed", "approved", "promoted", "forced"):
        decided = Decided(what, "li", STATE, None, 0, "lag")
        yield release_decided.decided_document(replace(decided, about="bake"), lang)
        for state in (STATE, replace(STATE, phase=Phase.PLANNED), replace(STATE, promoted=frozenset({0, 1}))):
            yield release_decided.decided_document(replace(decided, state=state), lang)
        yield release_decided.decided_document(replace(decided, holder="li"), lang)


def ends(lang: str) -> Iterator[Document]:
    """Carried out here, by another process, or not at all; and how the foreground ends."""
    for what in ("rollback", "abort", "complete"):
        ended = Ended(what, STATE, ("S1",), True, None, ("S2",), timedelta(seconds=3).total_seconds())
        yield release_decided.ended_document(ended, lang)
        yield release_decided.ended_document(replace(ended, carried_out=False), lang)
        yield release_decided.ended_document(replace(ended, carried_out=False, holder="li"), lang)
    run = RunEnded("r", Phase.RUNNING, False, WHY, ("S1",), 3.0)
    for one in (run, replace(run, on_tidb=()), replace(run, over=True, phase=Phase.ROLLED_BACK),
                replace(run, over=True, phase=Phase.COMPLETED)):  # fmt: skip
        yield release_decided.run_document(one, lang)
