"""The timeline of a release as a picture: phases, waves, switches, closed stores, gates and errors over one axis of time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby, pairwise
from typing import Final

from migrations.release.model import Phase
from migrations.release.timeline import MinuteSeen, SwitchTook, Timeline
from migrations.release.triggers import MINUTE
from reports.chart import Chart, Kind, Lane, Span
from reports.document import human_duration
from reports.documents.release_texts import phase_text
from reports.documents.release_words import ROUTES, VERDICTS, by_whom, percent, store_names, word
from reports.text import told, tr

MOST_BARS: Final = 180
MOST_WAVES: Final = 12
TICKS: Final = 4
DAY_S: Final = 86_400.0
KINDS: Final[dict[str, Kind]] = {"GOOD": "ok", "BAD": "bad", "UNKNOWN": "warn", "PASS": "ok", "FAIL": "bad"}


@dataclass(frozen=True)
class Axis:
    """From one time to another (aware); never of no length."""

    start: datetime
    end: datetime

    @property
    def seconds(self) -> float:
        """Its length."""
        return max(1.0, (self.end - self.start).total_seconds())

    def at(self, when: datetime | None) -> float:
        """Where a time is, between 0 and 1; None is the end."""
        return min(1.0, max(0.0, ((when or self.end) - self.start).total_seconds() / self.seconds))


def timeline_chart(timeline: Timeline, now: datetime, lang: str) -> Chart:
    """The whole release up to its end, or to now."""
    axis = Axis(timeline.started_at or timeline.planned_at, timeline.ended_at or now)
    lanes = (
        Lane(tr(lang, "Release"), tuple(phase_spans(timeline, axis, lang))),
        *wave_lanes(timeline, axis, lang),
        Lane(tr(lang, "Switches"), tuple(switch_span(one, axis, lang) for one in timeline.switches)),
        Lane(tr(lang, "Stores closed for writes"), tuple(closed_spans(timeline, axis, lang))),
        Lane(tr(lang, "Gates by window"), tuple(window_spans(timeline, axis, lang))),
        error_lane(timeline.minutes, axis, lang),
    )
    return Chart(
        tr(lang, "Timeline (UTC)"),
        lanes,
        ticks(axis),
        (
            ("ok", tr(lang, "good, through")),
            ("calm", tr(lang, "is being watched")),
            ("warn", tr(lang, "moving, paused, not known")),
            ("bad", tr(lang, "failed, going back")),
            ("closed", tr(lang, "closed")),
        ),
        tr(lang, "The tables below say the same."),
    )


def ticks(axis: Axis) -> tuple[tuple[float, str], ...]:
    """Times along the axis, with the day where it is longer than one."""
    form = "%m-%d %H:%M" if axis.seconds > DAY_S else "%H:%M:%S" if axis.seconds < 600 else "%H:%M"
    step = (axis.end - axis.start) / TICKS
    return tuple((number / TICKS, (axis.start + number * step).astimezone(UTC).strftime(form)) for number in range(TICKS + 1))


def phase_spans(timeline: Timeline, axis: Axis, lang: str) -> Iterator[Span]:
    """Running, with pauses and rollbacks on top."""
    if timeline.started_at is not None:
        yield Span(0.0, 1.0, "ok", phase_text(Phase.RUNNING, lang))
    for pause in timeline.pauses:
        title = f"{phase_text(Phase.PAUSED, lang)} {told(lang, pause.reason)}".strip()
        yield Span(axis.at(pause.began_at), axis.at(pause.ended_at), "warn", title)
    for back in timeline.rollbacks:
        title = tr(lang, "{phase}: {why}", phase=by_whom(lang, back.by), why=told(lang, back.reason))
        yield Span(axis.at(back.began_at), axis.at(back.ended_at), "bad", title)


def wave_lanes(timeline: Timeline, axis: Axis, lang: str) -> Iterator[Lane]:
    """A lane a wave: moving, proving itself, through."""
    for wave, stores in enumerate(timeline.state.waves[:MOST_WAVES]):
        spans: list[Span] = []
        for took in timeline.waves:
            if took.wave != wave:
                continue
            end = took.ended_at or first_back(timeline, took.begun_at)
            moved = took.moved_at or took.promoted_at or end
            spans.append(Span(axis.at(took.begun_at), axis.at(moved), "warn", tr(lang, "moving")))
            if took.moved_at is not None:
                until = took.promoted_at or end
                spans.append(Span(axis.at(took.moved_at), axis.at(until), "calm", tr(lang, "proving itself")))
            if took.promoted_at is not None:
                spans.append(Span(axis.at(took.promoted_at), axis.at(end), "ok", tr(lang, "through")))
        yield Lane(tr(lang, "Wave {wave}, {count} stores", wave=wave + 1, count=f"{len(stores):,}"), tuple(spans))


def first_back(timeline: Timeline, after: datetime) -> datetime | None:
    """When stores went back the first time after a wave had begun."""
    return next((one.ended_at for one in timeline.rollbacks if one.began_at > after and one.ended_at), None)


def switch_span(switch: SwitchTook, axis: Axis, lang: str) -> Span:
    """One switch, with how it ended."""
    kinds: dict[str, Kind] = {"done": "ok", "failed": "bad", "under way": "warn"}
    values = {"stores": store_names(switch.stores, lang), "route": word(lang, ROUTES, switch.to)}
    title = tr(lang, "{stores} go to {route}", **values)
    if switch.seconds is not None:
        title += f", {human_duration(switch.seconds)}"
    return Span(axis.at(switch.began_at), axis.at(switch.ended_at), kinds[switch.outcome], title)


def closed_spans(timeline: Timeline, axis: Axis, lang: str) -> Iterator[Span]:
    """Times in which some stores took no write."""
    for switch in timeline.switches:
        if switch.fenced_at is not None:
            seconds = human_duration(switch.fenced_s) if switch.fenced_s is not None else tr(lang, "still closed")
            title = f"{store_names(switch.stores, lang)}: {seconds}"
            yield Span(axis.at(switch.fenced_at), axis.at(switch.opened_at), "closed", title)


def window_spans(timeline: Timeline, axis: Axis, lang: str) -> Iterator[Span]:
    """Windows of a wave with the same verdict, one after the other, are one span; where none was judged there is a gap."""
    starts = [window.start for window in timeline.windows]
    length = min((after - before for before, after in pairwise(starts)), default=MINUTE)
    for (verdict, _), group in groupby(timeline.windows, key=lambda window: (window.verdict, window.wave)):
        windows = list(group)
        title = tr(lang, "{count} windows: {verdict}", count=len(windows), verdict=word(lang, VERDICTS, verdict))
        yield Span(axis.at(windows[0].start), axis.at(windows[-1].start + length), KINDS.get(verdict, "warn"), title)


def error_lane(minutes: tuple[MinuteSeen, ...], axis: Axis, lang: str) -> Lane:
    """Share of requests that failed; where there is no room for every minute, the worst of several stands for them."""
    worst = max((minute.rate or 0.0 for minute in minutes), default=0.0)
    top = max(0.04, worst)
    bucket_s = max(60.0, axis.seconds / MOST_BARS)
    spans = tuple(
        Span(
            axis.at(group[0].start),
            min(1.0, axis.at(group[0].start) + bucket_s / axis.seconds),
            KINDS.get(bad.verdict, "warn"),
            minute_title(bad, lang),
            0.25 if bad.rate is None else max(0.06, bad.rate / top),
        )
        for group in buckets(minutes, lambda minute: int((minute.start - axis.start).total_seconds() // bucket_s))
        for bad in (max(group, key=lambda minute: (minute.verdict == "BAD", minute.rate or 0.0)),)
    )
    return Lane(tr(lang, "Requests that failed, the highest bar is {rate}", rate=percent(top)), spans)


def buckets(minutes: Iterable[MinuteSeen], key: Callable[[MinuteSeen], int]) -> Iterator[list[MinuteSeen]]:
    """Neighbours that share a bar."""
    for _, group in groupby(minutes, key=key):
        yield list(group)


def minute_title(minute: MinuteSeen, lang: str) -> str:
    """A minute when somebody points at it."""
    if minute.rate is None or minute.requests is None:
        return f"{minute.start:%H:%M} {told(lang, minute.why) or tr(lang, 'not known')}"
    values = {"time": f"{minute.start:%H:%M}", "rate": percent(minute.rate), "requests": f"{minute.requests:,.0f}"}
    return tr(lang, "{time}: {rate} of {requests} requests failed", **values)
