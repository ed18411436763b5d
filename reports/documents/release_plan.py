"""A release as it was planned, and its start, as documents."""

from __future__ import annotations

from datetime import datetime

from migrations.release.model import ReleaseState
from migrations.release.planning import PlanDrawn, WaveDrawn
from migrations.release.switch_hours import Opening
from reports.document import Document, Figure, Table, Verdict, human_duration
from reports.text import told, tr

SOME: int = 12
"""Stores that a cell names; --json has all."""


def plan_document(plan: PlanDrawn, lang: str) -> Document:
    """Waves, times, gates, triggers."""
    count = sum(len(wave.stores) for wave in plan.waves)
    values = {"release": plan.release, "stores": f"{count:,}", "waves": len(plan.waves)}
    if plan.planned:
        text = tr(lang, "Release {release} is planned: {stores} stores in {waves} waves. Nothing has moved.", **values)
        steps = (tr(lang, "Start it: `membershift release start`."),)
    else:
        text = tr(lang, "Release {release} would move {stores} stores in {waves} waves. Nothing was written down.", **values)
        steps = (tr(lang, "Write it down: `membershift release plan --execute`."),)
    return Document(
        title=tr(lang, "Release: plan"),
        verdict=Verdict("warn" if plan.warnings else "ok", text),
        figures=plan_figures(plan, lang),
        tables=(wave_table(plan, lang), trigger_table(plan, lang)),
        next_steps=(*(told(lang, warning) for warning in plan.warnings), *steps),
        lang=lang,
    )


def plan_figures(plan: PlanDrawn, lang: str) -> tuple[Figure, ...]:
    """How long, when, how many stay."""
    return (
        Figure(tr(lang, "Takes at least"), human_duration(plan.least_s), tr(lang, "without the switches and closed hours")),
        Figure(tr(lang, "Switches now"), *opening_text(plan.opening, lang)),
        Figure(tr(lang, "Stores on TiDB already"), len(plan.moved)),
        Figure(tr(lang, "Stores in no wave"), len(plan.left), some(plan.left)),
        Figure(tr(lang, "Source of figures"), plan.metrics or tr(lang, "none")),
    )


def opening_text(opening: Opening, lang: str) -> tuple[str, str]:
    """Whether a switch may happen now, and when that changes."""
    at = moment(opening.changes_at)
    if opening.is_open:
        return tr(lang, "allowed"), tr(lang, "until {at}", at=at) if at else ""
    why = told(lang, opening.why)
    return tr(lang, "not allowed"), tr(lang, "{why}; from {at} on", why=why, at=at) if at else why


def moment(at: datetime | None) -> str:
    """A time (UTC)."""
    return "" if at is None else at.isoformat(timespec="seconds").replace("+00:00", "Z")


def some(stores: tuple[str, ...]) -> str:
    """The first few."""
    return ", ".join(stores[:SOME]) + (f" ... (+{len(stores) - SOME:,})" if len(stores) > SOME else "")


def wave_table(plan: PlanDrawn, lang: str) -> Table:
    """A row for each wave."""
    columns = (
        tr(lang, "Wave"),
        tr(lang, "Name"),
        tr(lang, "Stores"),
        tr(lang, "Which"),
        tr(lang, "Together"),
        tr(lang, "Compared"),
        tr(lang, "Watched"),
        tr(lang, "Approvals"),
        tr(lang, "Promoted"),
        tr(lang, "Gates"),
    )
    rows = tuple(wave_row(number, wave, lang) for number, wave in enumerate(plan.waves, 1))
    return Table(tr(lang, "Waves"), columns, rows)


def wave_row(number: int, wave: WaveDrawn, lang: str) -> tuple[object, ...]:
    """One wave."""
    return (
        str(number),
        wave.name,
        len(wave.stores),
        some(wave.stores),
        wave.batch,
        human_duration(wave.shadow_s) if wave.shadow_s else "",
        human_duration(wave.bake_s),
        wave.approvals,
        tr(lang, "by itself") if wave.by_itself else tr(lang, "by somebody"),
        ", ".join(wave.gates),
    )


def trigger_table(plan: PlanDrawn, lang: str) -> Table:
    """What sends stores back."""
    rows = tuple((trigger, limit) for trigger, limit in plan.triggers.items())
    return Table(tr(lang, "What sends stores back by itself"), (tr(lang, "Trigger"), tr(lang, "Limit")), rows)


def started_document(state: ReleaseState, lang: str) -> Document:
    """A release that may move stores from now on."""
    text = tr(lang, "Release {release} is started. Nothing moves before a controller runs.", release=state.release)
    return Document(
        title=tr(lang, "Release: start"),
        verdict=Verdict("ok", text),
        next_steps=(
            tr(lang, "Let it run, here or under systemd: `membershift release run`."),
            tr(lang, "See what comes first: `membershift release status`."),
        ),
        lang=lang,
    )
