"""Words of a release in both languages: routes, steps, gates, and a sentence for everything that can happen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from migrations.release.events import (
    Aborted,
    Approved,
    Completed,
    CompletionAsked,
    Event,
    Forced,
    MinuteJudged,
    Paused,
    Planned,
    Promoted,
    Resumed,
    RollbackBegun,
    RolledBack,
    Routed,
    Started,
    StepDone,
    SwitchBegun,
    SwitchDone,
    SwitchFailed,
    WaveBegun,
    WindowJudged,
)
from reports.document import Status
from reports.text import told, tr

# Short, for columns and events; release_texts.py has them in more words.
ROUTES: Final = {"legacy": "legacy", "shadow": "shadow", "fenced": "fenced", "tidb": "TiDB", "complete": "complete"}
STEPS: Final = {
    "snapshot": "snapshot",
    "compare": "compare",
    "fence": "close",
    "acknowledge": "acknowledge",
    "drain": "drain",
    "reconcile": "reconcile",
    "publish": "publish",
    "follow": "follow",
    "probe": "probe",
    "count": "count",
    "check": "check",
}
GATES: Final = {
    "availability": "availability",
    "tests": "critical tests",
    "training": "training",
    "reconcile": "reconcile",
    "lag": "lag of sync",
    "loadtest": "load test",
    "alerts": "red alerts",
    "approvals": "approvals",
}
STANDINGS: Final = {
    "to come": "to come",
    "moving": "moving",
    "proving": "proving itself",
    "promoted": "through",
    "going back": "going back",
    "complete": "complete",
}
TRIGGERS: Final = {
    "invariant": "an invariant broken",
    "fast_burn": "fast burn",
    "conflicts": "conflicts of sync",
    "dead_letters": "dead letters of sync",
    "error_rate": "error rate",
    "latency": "response time",
    "blind": "nothing seen",
}
VERDICTS: Final = {"PASS": "passed", "FAIL": "failed", "UNKNOWN": "not known", "GOOD": "good", "BAD": "bad"}
STATUS: Final[Mapping[str, Status]] = {"PASS": "ok", "FAIL": "bad", "UNKNOWN": "warn", "GOOD": "ok", "BAD": "bad"}
SHARES: Final = frozenset({"availability", "tests", "training"})
MOST_NAMED: Final = 6


def word(lang: str, words: Mapping[str, str], key: str) -> str:
    """A word of one of the lists above; one that is not in it stands as it is.

    >>> word("zh", ROUTES, "fenced"), word("en", GATES, "lag"), word("en", GATES, "new_gate")
    ('封闭', 'lag of sync', 'new_gate')
    """
    return tr(lang, words[key]) if key in words else key


def comma(lang: str) -> str:
    """Between parts of a sentence.

    >>> comma("en"), semicolon("zh"), stop("en")
    (', ', '；', '. ')
    """
    return "，" if lang == "zh" else ", "


def semicolon(lang: str) -> str:
    """Between sentences that belong together."""
    return "；" if lang == "zh" else "; "


def stop(lang: str) -> str:
    """Between sentences."""
    return "。" if lang == "zh" else ". "


def colon(lang: str) -> str:
    """Before what explains."""
    return "：" if lang == "zh" else ": "


def store_names(stores: tuple[str, ...], lang: str) -> str:
    """A few of them by name, many by number.

    >>> store_names(("S1", "S2"), "en"), store_names(tuple("abcdefgh"), "en")
    ('S1, S2', '8 stores')
    """
    return ", ".join(stores) if len(stores) <= MOST_NAMED else tr(lang, "{count} stores", count=f"{len(stores):,}")


def by_whom(lang: str, by: str) -> str:
    """A person as it is; a trigger by its name.

    >>> by_whom("en", "trigger fast_burn"), by_whom("en", "wang"), by_whom("zh", "the gates")
    ('trigger: fast burn', 'wang', '各关卡')
    """
    if by.startswith("trigger "):
        return tr(lang, "trigger: {name}", name=word(lang, TRIGGERS, by.removeprefix("trigger ")))
    return tr(lang, "the gates") if by == "the gates" else by


def figure_text(gate: str, figure: float | str | None) -> str:
    """A gate's figure: shares in percent.

    >>> figure_text("availability", 0.9997), figure_text("lag", 1.5), figure_text("lag", None), figure_text("lag", 12000.0)
    ('99.97 %', '1.5', '', '12,000')
    """
    if figure is None or isinstance(figure, str):
        return figure or ""
    return percent(figure) if gate in SHARES else f"{figure:,.6g}" if abs(figure) < 1_000 else f"{figure:,.0f}"


def percent(share: float | None) -> str:
    """A share as people read it, "" for none.

    >>> percent(0.0234), percent(1.0), percent(0.99951), percent(None)
    ('2.34 %', '100 %', '99.951 %', '')
    """
    return "" if share is None else f"{share * 100:.5g} %"


def event_text(event: Event, lang: str) -> str:
    """What happened, in one sentence."""
    tell = TELL.get(type(event))
    return tell(event, lang) if tell else event.kind


def event_status(event: Event) -> Status:
    """How bad it is."""
    if isinstance(event, SwitchFailed | RollbackBegun | Aborted):
        return "bad"
    if isinstance(event, Paused | Forced):
        return "warn"
    return STATUS.get(event.verdict, "warn") if isinstance(event, MinuteJudged | WindowJudged) else "ok"


def tell_minute(event: MinuteJudged, lang: str) -> str:
    """A minute, with its figures."""
    rate, requests = event.figures.get("error_rate"), event.figures.get("requests")
    verdict = word(lang, VERDICTS, event.verdict)
    if not isinstance(rate, int | float) or not isinstance(requests, int | float):
        why = str(event.figures.get("why") or "")
        return joined(lang, tr(lang, "minute {time}: {verdict}", time=event.minute[11:16], verdict=verdict), why)
    values = {"time": event.minute[11:16], "verdict": verdict, "rate": percent(rate), "requests": f"{requests:,.0f}"}
    return tr(lang, "minute {time}: {verdict}, {rate} of {requests} requests failed", **values)


def tell_window(event: WindowJudged, lang: str) -> str:
    """A window, and what kept it from passing."""
    text = tr(lang, "gates at {time}: {verdict}", time=event.window[11:16], verdict=word(lang, VERDICTS, event.verdict))
    return joined(lang, text, *event.gates.get("why", ()))


def joined(lang: str, text: str, *reasons: str) -> str:
    """A sentence, and reasons that come as text."""
    told_reasons = semicolon(lang).join(told(lang, reason) for reason in reasons if reason)
    return f"{text}{colon(lang)}{told_reasons}" if told_reasons else text


def tell_switch(event: SwitchBegun, lang: str) -> str:
    """Stores on their way."""
    values = {"stores": store_names(event.stores, lang), "route": word(lang, ROUTES, event.to)}
    if event.rescue:
        return tr(lang, "{stores} go back to {route}, without waiting for TiDB", **values)
    return tr(lang, "{stores} go to {route}", **values)


def tell_rollback(event: RollbackBegun, lang: str) -> str:
    """Stores that go back, and why."""
    values = {"stores": store_names(event.stores, lang), "by": by_whom(lang, event.by), "why": told(lang, event.reason)}
    return tr(lang, "{stores} are sent back by {by}: {why}", **values)


def tell_back(event: RolledBack, lang: str) -> str:
    """All of them, or those that were to go back."""
    if not event.left:
        return tr(lang, "every store is back")
    return tr(lang, "the stores are back; {stores} stay on TiDB, watched on: paused", stores=store_names(event.left, lang))


def tell_planned(event: Planned, lang: str) -> str:
    """A new release."""
    stores = sum(len(wave) for wave in event.waves)
    return tr(lang, "planned: {waves} waves with {stores} stores", waves=len(event.waves), stores=f"{stores:,}")


def step_text(lang: str, step: str) -> str:
    """A step's name."""
    return word(lang, STEPS, step)


TELL: Final[Mapping[type[Event], Callable[[Any, str], str]]] = {
    Planned: tell_planned,
    Started: lambda event, lang: tr(lang, "started"),
    Paused: lambda event, lang: joined(lang, tr(lang, "paused"), event.reason),
    Resumed: lambda event, lang: tr(lang, "goes on"),
    WaveBegun: lambda event, lang: tr(lang, "wave {wave} begins", wave=event.wave + 1),
    SwitchBegun: tell_switch,
    Routed: lambda event, lang: tr(lang, "the map of step {step} was decided on", step=step_text(lang, event.step)),
    StepDone: lambda event, lang: tr(lang, "step {step} is done", step=step_text(lang, event.step)),
    SwitchFailed: lambda event, lang: tr(
        lang, "step {step} failed, the old routes are back: {why}", step=step_text(lang, event.step), why=told(lang, event.reason)
    ),
    SwitchDone: lambda event, lang: tr(lang, "the switch is done"),
    WindowJudged: tell_window,
    MinuteJudged: tell_minute,
    Approved: lambda event, lang: tr(lang, "{by} approves wave {wave}", by=event.by, wave=event.wave + 1),
    Forced: lambda event, lang: tr(
        lang, "{by} overrules the gate {gate}: {why}", by=event.by, gate=word(lang, GATES, event.gate), why=event.reason
    ),
    Promoted: lambda event, lang: tr(
        lang, "wave {wave} is through, says {by}", wave=event.wave + 1, by=by_whom(lang, event.by) or tr(lang, "somebody")
    ),
    RollbackBegun: tell_rollback,
    RolledBack: tell_back,
    Aborted: lambda event, lang: joined(lang, tr(lang, "given up"), event.reason),
    CompletionAsked: lambda event, lang: tr(lang, "{by} orders the end: no way back", by=event.by),
    Completed: lambda event, lang: tr(lang, "completed: there is no way back"),
}
