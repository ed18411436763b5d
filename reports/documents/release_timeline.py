"""The whole of a release for those who approve: verdict first, then waves, switches, gates, and what went back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from migrations.release.model import Phase, Route, writes_to
from migrations.release.timeline import SwitchTook, Timeline, WaveTook, WindowSeen
from reports.document import Document, Figure, Status, Table, Verdict, human_duration
from reports.documents.release_chart import timeline_chart
from reports.documents.release_evidence import evidence_text
from reports.documents.release_texts import phase_text
from reports.documents.release_words import (
    GATES,
    ROUTES,
    STATUS,
    VERDICTS,
    by_whom,
    figure_text,
    percent,
    step_text,
    store_names,
    word,
)
from reports.text import told, tr

OUTCOMES: Final[Mapping[str, tuple[Status, str]]] = {
    "done": ("ok", "done"),
    "failed": ("bad", "put back"),
    "under way": ("warn", "under way"),
}


def release_timeline_document(timeline: Timeline, now: datetime, lang: str) -> Document:
    """The report of a release up to its end, or to `now` (aware) while it goes on."""
    tables = (
        wave_table(timeline, lang),
        switch_table(timeline, lang),
        step_table(timeline, lang),
        gate_table(timeline, lang),
        forced_table(timeline, lang),
        rollback_table(timeline, lang),
        pause_table(timeline, lang),
        approval_table(timeline, lang),
    )
    return Document(
        title=tr(lang, "Release {name}", name=timeline.release),
        verdict=verdict(timeline, now, lang),
        figures=tuple(figures(timeline, now, lang)),
        tables=tuple(table for table in tables if table.rows),
        next_steps=next_steps(timeline, lang),
        lang=lang,
        charts=(timeline_chart(timeline, now, lang),),
    )


def verdict(timeline: Timeline, now: datetime, lang: str) -> Verdict:
    """How it ended, and whether anything was overruled on the way."""
    phase = timeline.state.phase
    values: dict[str, object] = {
        "stores": f"{len(on_tidb(timeline)):,}",
        "time": human_duration(duration(timeline, now)),
        "phase": phase_text(phase, lang),
    }
    notes = "".join(f" {note}" for note in shadows(timeline, lang))
    if phase is Phase.COMPLETED:
        text = tr(lang, "Completed: {stores} stores are on TiDB for good, after {time}.", **values)
        return Verdict("warn" if notes else "ok", text + notes)
    if phase in (Phase.ROLLED_BACK, Phase.ROLLING_BACK):
        why = told(lang, timeline.state.sick)
        if phase is Phase.ROLLED_BACK:
            return Verdict("bad", tr(lang, "Rolled back: {why}.", why=why) + notes)
        return Verdict("bad", tr(lang, "Stores are going back: {why}.", why=why) + notes)
    if phase is Phase.ABORTED:
        return Verdict("warn", tr(lang, "Given up: no store of it is on TiDB.") + notes)
    return Verdict("warn", tr(lang, "Not over: it is {phase}, with {stores} stores on TiDB after {time}.", **values) + notes)


def shadows(timeline: Timeline, lang: str) -> Iterator[str]:
    """What has to be said beside a good end."""
    own = [one for one in timeline.forced if one.release == timeline.release]
    if own:
        yield tr(lang, "Gates overruled: {count}.", count=len(own))
    if timeline.rollbacks:
        yield tr(lang, "Times that stores went back: {count}.", count=len(timeline.rollbacks))
    failed = sum(one.outcome == "failed" for one in timeline.switches)
    if failed:
        yield tr(lang, "Switches that failed and were put back: {count}.", count=failed)


def figures(timeline: Timeline, now: datetime, lang: str) -> Iterator[Figure]:
    """What is asked first."""
    state = timeline.state
    mine = sum(len(wave) for wave in state.waves)
    closed = timeline.fenced_s
    known = [minute for minute in timeline.minutes if minute.requests is not None and minute.errors is not None]
    requests, errors = sum(one.requests or 0 for one in known), sum(one.errors or 0 for one in known)
    bad = sum(minute.verdict == "BAD" for minute in timeline.minutes)
    yield Figure(tr(lang, "Duration"), human_duration(duration(timeline, now)), tr(lang, "from its start on"))
    yield Figure(tr(lang, "Stores on TiDB"), f"{len(on_tidb(timeline)):,} / {mine:,}")
    yield Figure(tr(lang, "Waves through"), f"{len(state.promoted)} / {len(state.waves)}")
    yield Figure(tr(lang, "Switches"), len(timeline.switches))
    if closed:
        yield Figure(tr(lang, "Stores closed for writes"), human_duration(max(closed)), tr(lang, "the longest switch"))
    if known:
        values = {"errors": f"{errors:,.0f}", "requests": f"{requests:,.0f}"}
        rate = percent(errors / requests) if requests else ""
        yield Figure(tr(lang, "Requests that failed"), rate, tr(lang, "{errors} of {requests}, on moved stores", **values))
    if timeline.minutes:
        note = tr(lang, "of {count} minutes that were judged", count=f"{len(timeline.minutes):,}")
        yield Figure(tr(lang, "Bad minutes"), bad, note)
    yield Figure(tr(lang, "Rollbacks"), len(timeline.rollbacks))
    yield Figure(tr(lang, "Gates overruled"), len(timeline.forced), tr(lang, "in all releases"))


def wave_table(timeline: Timeline, lang: str) -> Table:
    """A row each time a wave began."""
    columns = (
        "", tr(lang, "Wave"), tr(lang, "Stores"), tr(lang, "Began (UTC)"), tr(lang, "All on TiDB (UTC)"),
        tr(lang, "Through (UTC)"), tr(lang, "Took"), tr(lang, "Said by"),
    )  # fmt: skip
    return Table(tr(lang, "Waves"), columns, tuple(wave_row(one, lang) for one in timeline.waves), status_column=0)


def wave_row(wave: WaveTook, lang: str) -> tuple[object, ...]:
    """One of them."""
    status: Status = "ok" if wave.promoted_at else "bad" if wave.ended_at else "warn"
    took = human_duration((wave.promoted_at - wave.begun_at).total_seconds()) if wave.promoted_at else ""
    times = (clock(wave.begun_at), clock(wave.moved_at), clock(wave.promoted_at))
    return (status, wave.wave + 1, store_names(wave.stores, lang), *times, took, by_whom(lang, wave.promoted_by))


def switch_table(timeline: Timeline, lang: str) -> Table:
    """A row a switch."""
    columns = (
        "", tr(lang, "Number"), tr(lang, "Wave"), tr(lang, "Stores"), tr(lang, "From"), tr(lang, "To"), tr(lang, "Began (UTC)"),
        tr(lang, "Seconds"), tr(lang, "Closed, seconds"), tr(lang, "End"),
    )  # fmt: skip
    rows = tuple(switch_row(number, one, lang) for number, one in enumerate(timeline.switches, 1))
    note = tr(lang, "Closed: from the decision to close the stores until the map that opened them was out.")
    return Table(tr(lang, "Switches"), columns, rows, note, status_column=0)


def switch_row(number: int, switch: SwitchTook, lang: str) -> tuple[object, ...]:
    """One of them."""
    status, outcome = OUTCOMES[switch.outcome]
    end = tr(lang, outcome)
    if switch.failed_step:
        end = tr(lang, "put back at {step}: {why}", step=step_text(lang, switch.failed_step), why=told(lang, switch.reason))
    elif switch.rescue:
        end += ", " + tr(lang, "TiDB was not waited for")
    return (
        status,
        number,
        "" if switch.wave is None else switch.wave + 1,
        store_names(switch.stores, lang),
        word(lang, ROUTES, switch.before),
        word(lang, ROUTES, switch.to),
        clock(switch.began_at),
        switch.seconds,
        switch.fenced_s,
        end,
    )


def step_table(timeline: Timeline, lang: str) -> Table:
    """A row a step, with what proves it."""
    columns = (
        tr(lang, "Switch"), tr(lang, "Step"), tr(lang, "Done (UTC)"), tr(lang, "Seconds"), tr(lang, "Evidence"),
    )  # fmt: skip
    rows = tuple(
        (number, step_text(lang, step.step), clock(step.ended_at), step.seconds, evidence_text(step.evidence, lang))
        for number, switch in enumerate(timeline.switches, 1)
        for step in switch.steps
    )
    return Table(tr(lang, "Steps of the switches"), columns, rows)


def gate_table(timeline: Timeline, lang: str) -> Table:
    """Of each wave, the gates of its last window: what it was promoted on."""
    columns = (
        "", tr(lang, "Wave"), tr(lang, "Gate"), tr(lang, "Verdict"), tr(lang, "Figure"), tr(lang, "Window (UTC)"),
        tr(lang, "Overruled by"),
    )  # fmt: skip
    last: dict[int | None, WindowSeen] = {window.wave: window for window in timeline.windows}
    rows = tuple(
        gate_row(timeline, window, gate, said, lang) for window in last.values() for gate, said in sorted(window.gates.items())
    )
    windows = [sum(one.verdict == said for one in timeline.windows) for said in ("PASS", "FAIL", "UNKNOWN")]
    values = {"passed": windows[0], "failed": windows[1], "unknown": windows[2]}
    note = tr(lang, "In all {passed} windows passed, {failed} failed, and of {unknown} nothing was known.", **values)
    return Table(tr(lang, "Gates, as each wave left them"), columns, rows, note, status_column=0)


def gate_row(timeline: Timeline, window: WindowSeen, gate: str, said: Mapping[str, Any], lang: str) -> tuple[object, ...]:
    """One gate. One that was ever overruled is marked, whatever it says now."""
    verdict = str(said.get("verdict"))
    marks = sorted({one.by for one in timeline.forced if one.gate == gate})
    status: Status = STATUS.get(verdict, "warn")
    if marks or said.get("forced"):
        status = "bad" if status == "bad" else "warn"
    return (
        status,
        "" if window.wave is None else window.wave + 1,
        word(lang, GATES, gate),
        word(lang, VERDICTS, verdict),
        figure_text(gate, said.get("figure")),
        clock(window.start),
        ", ".join(marks),
    )


def forced_table(timeline: Timeline, lang: str) -> Table:
    """Gates that somebody overruled, in this release and in all before it."""
    columns = (tr(lang, "Gate"), tr(lang, "By"), tr(lang, "Reason"), tr(lang, "Time (UTC)"), tr(lang, "Release"))
    rows = tuple((word(lang, GATES, one.gate), one.by, one.reason, clock(one.at), one.release) for one in timeline.forced)
    return Table(tr(lang, "Gates that were overruled"), columns, rows, tr(lang, "These stay in every report."))


def rollback_table(timeline: Timeline, lang: str) -> Table:
    """What sent stores back, and how long it took."""
    columns = (
        tr(lang, "Began (UTC)"), tr(lang, "Stores"), tr(lang, "By"), tr(lang, "Reason"), tr(lang, "Back after"),
        tr(lang, "Evidence"),
    )  # fmt: skip
    rows = tuple(
        (
            clock(one.began_at),
            store_names(one.stores, lang),
            by_whom(lang, one.by),
            told(lang, one.reason),
            human_duration((one.ended_at - one.began_at).total_seconds()) if one.ended_at else "",
            evidence_text(one.evidence, lang),
        )
        for one in timeline.rollbacks
    )
    return Table(tr(lang, "Triggers and rollbacks"), columns, rows)


def pause_table(timeline: Timeline, lang: str) -> Table:
    """Times in which nothing moved on."""
    columns = (tr(lang, "Began (UTC)"), tr(lang, "Took"), tr(lang, "Reason"))
    rows = tuple(
        (
            clock(one.began_at),
            human_duration((one.ended_at - one.began_at).total_seconds()) if one.ended_at else "",
            told(lang, one.reason),
        )
        for one in timeline.pauses
    )
    return Table(tr(lang, "Pauses"), columns, rows)


def approval_table(timeline: Timeline, lang: str) -> Table:
    """Who agreed to what."""
    columns = (tr(lang, "Wave"), tr(lang, "By"), tr(lang, "Time (UTC)"))
    rows = tuple((one.wave + 1, one.by, clock(one.at)) for one in timeline.approvals)
    return Table(tr(lang, "Approvals"), columns, rows)


def next_steps(timeline: Timeline, lang: str) -> tuple[str, ...]:
    """What those who read it can do."""
    phase = timeline.state.phase
    if phase is Phase.ROLLED_BACK:
        return (
            tr(lang, "Look for the cause: `membershift release history`."),
            tr(lang, "Prove that nothing was lost: `membershift reconcile rows`."),
            tr(lang, "Start it again once the cause is gone: `membershift release start`."),
        )
    if phase is Phase.COMPLETED:
        return (tr(lang, "Prove that both sides agree: `membershift reconcile rows`."),)
    if phase is Phase.ABORTED:
        return ()
    return (tr(lang, "Watch it: `membershift release watch`."),)


def on_tidb(timeline: Timeline) -> list[str]:
    """Stores of the release whose writes go to TiDB."""
    state = timeline.state
    return [store for store, one in state.stores.items() if one.wave is not None and writes_to(Route(one.route)) == "tidb"]


def duration(timeline: Timeline, now: datetime) -> float:
    """Seconds from its start to its end, or to now; 0 before it was started."""
    if timeline.started_at is None:
        return 0.0
    return max(0.0, ((timeline.ended_at or now) - timeline.started_at).total_seconds())


def clock(at: datetime | None) -> str:
    """A time in UTC, to the second."""
    return "" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
