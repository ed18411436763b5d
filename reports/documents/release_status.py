"""Where a release stands, as a document: what happens next and in how long, what was overruled, what somebody has to do."""

from __future__ import annotations

from migrations.release.look import ReleaseStatus, WaveStanding
from migrations.release.model import FINAL, Phase
from reports.document import Document, Figure, Status, Table, Verdict, human_duration
from reports.documents.release_history import event_row, history_columns
from reports.documents.release_plan import some
from reports.documents.release_texts import act_text, phase_text, route_text
from reports.text import told, tr


def status_document(status: ReleaseStatus, lang: str) -> Document:
    """What `release status` found."""
    return Document(
        title=tr(lang, "Release: status"),
        verdict=verdict_of(status, lang),
        figures=figures(status, lang) if status.state.waves else (),
        tables=tables(status, lang),
        next_steps=next_steps(status, lang),
        lang=lang,
    )


def verdict_of(status: ReleaseStatus, lang: str) -> Verdict:
    """The worst first."""
    state = status.state
    if not state.waves:
        return Verdict("warn", tr(lang, "No release is planned."))
    values = {"release": state.release, "phase": phase_text(state.phase, lang)}
    if status.unwatched:
        text = tr(
            lang,
            "Release {release} is {phase}; {count} stores are on TiDB or on their way, and no controller runs: nobody watches.",
            count=f"{len(status.unwatched):,}",
            **values,
        )
        return Verdict("bad", text)
    if state.phase is Phase.ROLLING_BACK:
        text = tr(lang, "Stores of release {release} go back: {why}", why=told(lang, state.sick), release=state.release)
        return Verdict("bad", text)
    if state.phase is Phase.ROLLED_BACK:
        text = tr(lang, "Release {release} went back: {why}", why=told(lang, state.sick), release=state.release)
        return Verdict("bad", text)
    if state.phase is Phase.RUNNING and status.holder is None:
        return Verdict("warn", tr(lang, "Release {release} is {phase}, and no controller runs.", **values))
    if state.phase is Phase.PAUSED and state.sick:
        text = tr(lang, "Stores of release {release} went back: {why}", why=told(lang, state.sick), release=state.release)
        return Verdict("warn", text)
    resting = state.phase in (Phase.PAUSED, Phase.PLANNED)
    return Verdict("warn" if resting else "ok", tr(lang, "Release {release} is {phase}.", **values))


def figures(status: ReleaseStatus, lang: str) -> tuple[Figure, ...]:
    """What happens, and what it rests on."""
    state = status.state
    shown = [
        Figure(tr(lang, "Next"), act_text(status.act, lang) if status.act else tr(lang, "not known"), next_note(status, lang)),
        Figure(tr(lang, "Controller"), status.holder or tr(lang, "none")),
        Figure(tr(lang, "Map"), state.sequence),
    ]
    if state.wave is not None:
        shown.append(Figure(tr(lang, "Windows passed in a row"), f"{state.passes} / {status.windows_needed}"))
    if state.bad_minutes:
        shown.append(Figure(tr(lang, "Bad minutes in a row"), state.bad_minutes))
    if state.switch is not None:
        step = state.switch.next_step or tr(lang, "done")
        stores = some(state.switch.stores)
        route = route_text(str(state.switch.to), lang)
        shown.append(
            Figure(tr(lang, "Switch under way"), stores, tr(lang, "to {route}; next step: {step}", route=route, step=step))
        )
    if status.failed:
        shown.append(Figure(tr(lang, "What held it up last"), told(lang, status.failed)))
    if status.red:
        shown.append(Figure(tr(lang, "Open red alerts"), len(status.red), told(lang, status.red[0])))
    shown += [
        Figure(tr(lang, "Gate overruled"), gate, tr(lang, "by {by}: {reason}", by=by, reason=reason))
        for gate, reason, by in state.forced
    ]
    return tuple(shown)


def next_note(status: ReleaseStatus, lang: str) -> str:
    """In how long."""
    if status.in_s is None:
        return ""
    if status.holder is None:
        return tr(lang, "once a controller runs")
    return tr(lang, "at once") if status.in_s == 0 else tr(lang, "in {time}", time=human_duration(status.in_s))


def tables(status: ReleaseStatus, lang: str) -> tuple[Table, ...]:
    """Waves, and the newest events."""
    found = []
    if status.waves:
        columns = ("", tr(lang, "Wave"), tr(lang, "Name"), tr(lang, "Stores"), tr(lang, "Where"), tr(lang, "Approvals"))
        rows = tuple(wave_row(number, wave, lang) for number, wave in enumerate(status.waves, 1))
        found.append(Table(tr(lang, "Waves"), (*columns, tr(lang, "State")), rows, status_column=0))
    if status.events:
        rows = tuple(event_row(one, lang) for one in status.events)
        found.append(Table(tr(lang, "Last events"), history_columns(lang), rows, status_column=0))
    return tuple(found)


def wave_row(number: int, wave: WaveStanding, lang: str) -> tuple[object, ...]:
    """One wave."""
    mark: Status = "warn" if wave.under_way else "ok"
    said = tr(lang, "through") if wave.promoted else tr(lang, "under way") if wave.under_way else tr(lang, "to come")
    where = ", ".join(f"{route_text(route, lang)} {count:,}" for route, count in wave.routes.items())
    approvals = f"{wave.approvals} / {wave.needed}"
    return (mark, str(number), wave.name, len(wave.stores), where, approvals, said)


def next_steps(status: ReleaseStatus, lang: str) -> tuple[str, ...]:
    """What to do, after any crash too."""
    state = status.state
    steps = []
    if status.trouble:
        steps.append(tr(lang, "The plan cannot be read: {why}", why=status.trouble))
    if status.changed_plan:
        steps.append(tr(lang, "release.toml is not what was planned: put it back, or `membershift release run --changed-plan`."))
    if not state.waves or state.phase in FINAL:
        return (*steps, tr(lang, "Plan one: `membershift release plan --execute`."))
    if state.phase in (Phase.RUNNING, Phase.PAUSED, Phase.ROLLING_BACK) and status.holder is None:
        steps.append(tr(lang, "Go on where it stopped; doing so is safe: `membershift release run`."))
    if state.phase is Phase.ROLLED_BACK or state.sick:
        steps.append(tr(lang, "Find the cause: `membershift release history`, `membershift alerts list`."))
        if status.unwatched or state.phase is Phase.PAUSED:
            steps.append(tr(lang, "Bring the other stores back too: `membershift release rollback`."))
    if state.phase is Phase.PAUSED:
        steps.append(tr(lang, "Once the cause is gone: `membershift release resume`."))
    if status.possible:
        commands = ", ".join(f"`membershift {command}`" for command in status.possible)
        steps.append(tr(lang, "Possible now: {commands}.", commands=commands))
    return tuple(steps)
