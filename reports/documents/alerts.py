"""Alerts that are open, and what became of them, as documents."""

from __future__ import annotations

from migrations.release.alerts.model import Standing
from reports.document import Document, Status, Table, Verdict
from reports.text import tr

COLOURS: dict[str, Status] = {"red": "bad", "yellow": "warn", "blue": "ok"}


def alerts_document(alerts: tuple[Standing, ...], lang: str) -> Document:
    """The most urgent first."""
    return Document(
        title=tr(lang, "Alerts"),
        verdict=alerts_verdict(alerts, lang),
        tables=(alert_table(alerts, lang),) if alerts else (),
        next_steps=alert_steps(alerts, lang),
        lang=lang,
    )


def alerts_verdict(alerts: tuple[Standing, ...], lang: str) -> Verdict:
    """How many wait for somebody."""
    open_ones = [one for one in alerts if one.open]
    waiting = sum(not one.acknowledged_by for one in open_ones)
    values = {"count": len(open_ones), "waiting": waiting}
    if not open_ones:
        return Verdict("ok", tr(lang, "No alert is open."))
    worst: Status = "bad" if any(one.alert.level == "red" for one in open_ones) else "warn"
    return Verdict(worst, tr(lang, "{count} alerts are open; {waiting} of them nobody has taken on.", **values))


def alert_table(alerts: tuple[Standing, ...], lang: str) -> Table:
    """A row for each."""
    columns = (
        "",
        tr(lang, "Number"),
        tr(lang, "Level"),
        tr(lang, "Alert"),
        tr(lang, "What happened"),
        tr(lang, "What was done"),
        tr(lang, "What to do"),
        tr(lang, "Times"),
        tr(lang, "Since (UTC)"),
        tr(lang, "Taken on by"),
        tr(lang, "State"),
    )
    return Table(tr(lang, "Alerts"), columns, tuple(alert_row(one, lang) for one in alerts), status_column=0)


def alert_row(one: Standing, lang: str) -> tuple[object, ...]:
    """One alert."""
    levels = {"red": tr(lang, "red: at once"), "yellow": tr(lang, "yellow: within 4 h"), "blue": tr(lang, "blue: within 24 h")}
    alert = one.alert
    return (
        COLOURS[alert.level] if one.open else "ok",
        str(one.id),
        levels[alert.level],
        alert.title,
        alert.happened,
        alert.done,
        alert.todo,
        one.count,
        one.raised_at.strftime("%Y-%m-%d %H:%M:%S"),
        one.acknowledged_by,
        state_of(one, lang),
    )


def state_of(one: Standing, lang: str) -> str:
    """Open, taken on, passed on, or over."""
    if not one.open:
        return tr(lang, "over")
    if one.acknowledged_by:
        return tr(lang, "taken on")
    return tr(lang, "passed on {count} times", count=one.step) if one.step else tr(lang, "open")


def alert_steps(alerts: tuple[Standing, ...], lang: str) -> tuple[str, ...]:
    """What to do next."""
    waiting = " ".join(str(one.id) for one in alerts if one.open and not one.acknowledged_by)
    steps = []
    if waiting:
        steps.append(tr(lang, "Take them on: `membershift alerts acknowledge {numbers}`.", numbers=waiting))
    if any(one.open for one in alerts):
        steps.append(tr(lang, "Once the cause is gone: `membershift alerts settle NUMBER`. An open red alert holds a release."))
    return tuple(steps)


def changed_document(alerts: tuple[Standing, ...], lang: str, *, settled: bool) -> Document:
    """What somebody said of alerts."""
    values = {"numbers": ", ".join(str(one.id) for one in alerts)}
    if settled:
        text = tr(lang, "Noted as over: {numbers}.", **values)
    else:
        text = tr(lang, "Taken on: {numbers}. Nobody else is told.", **values)
    return Document(
        title=tr(lang, "Alerts"), verdict=Verdict("ok", text), tables=(alert_table(alerts, lang),) if alerts else (), lang=lang
    )
