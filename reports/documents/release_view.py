"""What the screen and the page say of a release that is under way: how it stands, and what happens next."""

from __future__ import annotations

from datetime import UTC
from typing import Final

from migrations.release.decide import ENDED
from migrations.release.model import Phase
from migrations.release.timeline import MinuteSeen
from migrations.release.view import ReleaseView, WaveLine
from reports.document import Status, Verdict, human_duration
from reports.documents.release_texts import act_text, phase_text
from reports.documents.release_words import STANDINGS, VERDICTS, comma, percent, semicolon, stop, word
from reports.text import told, tr

BARS: Final = "▁▂▃▄▅▆▇█"
NOTHING: Final = "·"
CALM: Final[dict[Phase, Status]] = {
    Phase.PLANNED: "warn",
    Phase.RUNNING: "ok",
    Phase.PAUSED: "warn",
    Phase.ROLLING_BACK: "bad",
    Phase.ROLLED_BACK: "bad",
    Phase.COMPLETED: "ok",
    Phase.ABORTED: "warn",
}


STANDING_STATUS: Final[dict[str, Status]] = {
    "promoted": "ok",
    "complete": "ok",
    "moving": "warn",
    "proving": "warn",
    "going back": "bad",
}


def facts_of(view: ReleaseView, lang: str) -> list[tuple[str, str, Status | None]]:
    """Name, text and how bad it is: what is next, who is at work, windows, instances, trouble."""
    facts: list[tuple[str, str, Status | None]] = [
        (tr(lang, "Next"), next_text(view, lang), None),
        (tr(lang, "At work"), at_work(view, lang), "bad" if view.nobody_at_work else None),
        (tr(lang, "Windows"), windows_text(view, lang), None),
    ]
    instances = instances_text(view, lang)
    if instances:
        facts.append((tr(lang, "Instances"), instances, "warn" if view.instances.behind or view.instances.troubled else None))
    facts += [(tr(lang, "Trouble"), told(lang, trouble), "warn") for trouble in view.trouble]
    if view.changed_plan:
        facts.append((tr(lang, "Trouble"), tr(lang, "release.toml was changed since the release was planned"), "warn"))
    return facts


def at_work(view: ReleaseView, lang: str) -> str:
    """The controller, the map, the time."""
    who = view.holder or tr(lang, "nobody")
    return tr(lang, "{who}, map {sequence}, {time} UTC", who=who, sequence=view.sequence, time=f"{view.now:%H:%M:%S}")


def windows_text(view: ReleaseView, lang: str) -> str:
    """How often the gates have passed."""
    if view.window_at is None:
        return tr(lang, "none was judged yet")
    needed = "?" if view.needed is None else str(view.needed)
    text = tr(lang, "{passes} of {needed} passed in a row", passes=view.passes, needed=needed)
    verdict = word(lang, VERDICTS, view.window_verdict)
    text += comma(lang) + tr(lang, "the last at {time}: {verdict}", time=f"{view.window_at:%H:%M}", verdict=verdict)
    return text + "".join(f"{semicolon(lang)}{told(lang, why)}" for why in view.window_why[:2])


def wave_state(wave: WaveLine, lang: str) -> str:
    """Where it is, and since when."""
    text = word(lang, STANDINGS, wave.standing)
    if wave.promoted_at is not None and wave.standing == "promoted":
        return f"{text} {wave.promoted_at:%m-%d %H:%M}"
    if wave.begun_at is not None and wave.standing in ("moving", "proving"):
        return f"{text} " + tr(lang, "since {time}", time=f"{wave.begun_at:%m-%d %H:%M}")
    return text


def view_verdict(view: ReleaseView, lang: str) -> Verdict:
    """The one thing that somebody has to know, the gravest first."""
    phase = phase_text(view.phase, lang)
    if view.phase in (Phase.ROLLING_BACK, Phase.ROLLED_BACK) and view.sick:
        text = tr(lang, "{phase}: {why}", phase=phase, why=told(lang, view.sick))
        return Verdict("bad", stop(lang).join((text, nobody(lang))) if view.nobody_at_work else text)
    if view.nobody_at_work:
        return Verdict("bad", stop(lang).join((phase, nobody(lang))))
    if view.figures_old:
        return Verdict("bad", tr(lang, "{phase}, and nothing was seen of the stores for minutes", phase=phase))
    last = view.last_minute
    if view.bad_minutes and last is not None and view.phase in (Phase.RUNNING, Phase.PAUSED):
        limit = "?" if view.bad_limit is None else str(view.bad_limit)
        values = {"phase": phase, "rate": percent(last.rate), "minutes": view.bad_minutes, "limit": limit}
        return Verdict("bad", tr(lang, "{phase}, {rate} of requests fail: bad minute {minutes} of {limit}", **values))
    red = sum(one.alert.level == "red" for one in view.alerts)
    if red and view.phase is Phase.RUNNING:
        return Verdict("bad", tr(lang, "{phase}, red alerts open: {count}", phase=phase, count=red))
    if view.phase is Phase.PAUSED and view.sick:
        return Verdict("warn", tr(lang, "{phase}: {why}", phase=phase, why=told(lang, view.sick)))
    return Verdict(CALM[view.phase], phase)


def nobody(lang: str) -> str:
    """No controller is at work."""
    return tr(lang, "Nobody carries it out: membershift release run")


def next_text(view: ReleaseView, lang: str) -> str:
    """What happens next and in how long."""
    act, until = view.next.act, view.next.until
    if view.phase in ENDED:
        return tr(lang, "nothing by itself: it is {phase}", phase=phase_text(view.phase, lang))
    if act is None:
        return tr(lang, "not known: the plan cannot be read, or is not the one that was planned")
    why = act_text(act, lang)
    if until is None or view.next.in_s is None:
        return why
    values = {"why": why, "clock": f"{until.astimezone(UTC):%H:%M:%S}", "time": human_duration(view.next.in_s)}
    return tr(lang, "{why}, until {clock} UTC (in {time})", **values)


def sparkline(minutes: tuple[MinuteSeen | None, ...], limit: float | None) -> str:
    """A character a minute: the tallest bar is twice the limit, or whatever was worst. A dot: nobody knows.

    >>> from datetime import datetime
    >>> one = lambda rate: MinuteSeen(datetime(2026, 1, 1), "GOOD", 1.0, 0.0, rate, None, "")
    >>> sparkline((None, one(0.0), one(0.02), one(0.04), one(0.0001)), 0.02)
    '·▁▅█▂'
    """
    rates = [None if minute is None else minute.rate for minute in minutes]
    top = max([2 * (limit or 0.01), *(rate for rate in rates if rate is not None)])
    return "".join(NOTHING if rate is None else bar_of(rate / top) for rate in rates)


def bar_of(share: float) -> str:
    """Nought is the lowest bar, and nothing else is.

    >>> bar_of(0), bar_of(0.001), bar_of(1)
    ('▁', '▂', '█')
    """
    return BARS[0] if share <= 0 else BARS[min(len(BARS) - 1, 1 + int(share * (len(BARS) - 1)))]


def minute_text(view: ReleaseView, lang: str) -> str:
    """The last minute in words."""
    last = view.last_minute
    if last is None:
        return tr(lang, "no minute was judged yet")
    if last.rate is None or last.requests is None:
        return f"{last.start:%H:%M} {told(lang, last.why) or tr(lang, 'not known')}"
    values = {"time": f"{last.start:%H:%M}", "rate": percent(last.rate), "requests": f"{last.requests:,.0f}"}
    text = tr(lang, "{time}: {rate} of {requests} requests failed", **values)
    if last.latency_p99_s is None:
        return text
    return text + comma(lang) + tr(lang, "p99 {ms} ms", ms=f"{last.latency_p99_s * 1000:,.0f}")


def instances_text(view: ReleaseView, lang: str) -> str:
    """Who holds which map; "" where nobody says."""
    seen = view.instances
    if not seen.total:
        return ""
    text = tr(
        lang, "{count} of {total} instances hold map {sequence}", count=seen.current, total=seen.total, sequence=view.sequence
    )
    if seen.behind:
        text += comma(lang) + tr(lang, "behind: {names}", names=few(seen.behind))
    if seen.lapsed:
        text += comma(lang) + tr(lang, "silent: {names}", names=few(seen.lapsed))
    return text + "".join(f"{comma(lang)}{name}: {trouble}" for name, trouble in seen.troubled[:2])


def few(names: tuple[str, ...], most: int = 4) -> str:
    """The first of them.

    >>> few(("a", "b"), 1)
    'a … +1'
    """
    return ", ".join(names[:most]) + (f" … +{len(names) - most}" if len(names) > most else "")
