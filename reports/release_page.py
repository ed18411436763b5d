"""A release that is under way as a web page: the same as the screen, and its history. Everything in it is escaped."""

from __future__ import annotations

from functools import cache, partial
from importlib import resources
from typing import TYPE_CHECKING, Final

from migrations.release.events import MinuteJudged
from migrations.release.model import Route
from migrations.release.view import ReleaseView
from reports.chart import chart_style, render_chart
from reports.document import Status
from reports.documents.release_chart import timeline_chart
from reports.documents.release_view import STANDING_STATUS, facts_of, minute_text, sparkline, view_verdict, wave_state
from reports.documents.release_words import (
    GATES,
    ROUTES,
    STATUS,
    VERDICTS,
    event_status,
    event_text,
    figure_text,
    step_text,
    word,
)
from reports.text import tr

if TYPE_CHECKING:
    from datetime import datetime

    from jinja2 import Template

EVERY_S: Final = 3
MOST_EVENTS: Final = 500
MOST_STORES: Final = 400
SPARK: Final = 30
"""Minutes that fit on a telephone; the timeline has all of them."""
ALWAYS: Final = (Route.LEGACY, Route.TIDB)
MARKS: Final = {"ok": "✔", "warn": "!", "bad": "✘"}
LEVELS: Final[dict[str, Status]] = {"red": "bad", "yellow": "warn", "blue": "ok"}


def render_release_page(view: ReleaseView, lang: str, nonce: str) -> str:
    """The whole page. `nonce`: what its style and its script carry, so that nothing else of the kind is obeyed."""
    history = [one for one in view.events if not (isinstance(one.event, MinuteJudged) and one.event.verdict == "GOOD")]
    return page_template().render(
        view=view,
        lang=lang,
        other="en" if lang == "zh" else "zh",
        nonce=nonce,
        every_s=EVERY_S,
        verdict=view_verdict(view, lang),
        facts=facts_of(view, lang),
        minute=minute_text(view, lang),
        spark=sparkline(view.minutes[-SPARK:], view.error_limit),
        alerts=[(one, LEVELS[one.alert.level]) for one in view.alerts],
        waves=[(one, wave_state(one, lang), STANDING_STATUS.get(one.standing)) for one in view.waves],
        columns=[route for route in Route if route in ALWAYS or any(one.by_route[route] for one in view.waves)],
        routes={route: word(lang, ROUTES, route) for route in Route},
        gates=[
            (
                one,
                word(lang, GATES, one.gate),
                figure_text(one.gate, one.figure),
                STATUS[one.verdict],
                word(lang, VERDICTS, one.verdict),
            )
            for one in view.gates
        ],
        forced=[(one, word(lang, GATES, one.gate)) for one in view.forced],
        chart=timeline_chart(view.timeline, view.now, lang),
        history=[(one, event_text(one.event, lang), event_status(one.event)) for one in reversed(history[-MOST_EVENTS:])],
        left_out=max(0, len(history) - MOST_EVENTS),
        most_stores=MOST_STORES,
        marks=MARKS,
        draw=render_chart,
        chart_style=chart_style(),
        step=partial(step_text, lang),
        time=clock,
        t=partial(tr, lang),
    )


def render_trouble_page(message: str, remedy: str, lang: str) -> str:
    """Where there is nothing else to show; it tries again by itself."""
    return trouble_template().render(message=message, remedy=remedy, lang=lang, every_s=EVERY_S)


def clock(at: datetime) -> str:
    """A time to the second."""
    return f"{at:%Y-%m-%d %H:%M:%S}"


@cache
def page_template() -> Template:
    """The compiled template of reports/release_page.html.j2."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(resources.files("reports").joinpath("release_page.html.j2").read_text("utf-8"))


@cache
def trouble_template() -> Template:
    """A page of one sentence."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined)
    return environment.from_string(
        '<!doctype html><html lang="{{ "zh-CN" if lang == "zh" else "en" }}"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="refresh" content="{{ every_s }}"><title>✘ membershift</title>'
        "<main><h1>✘ {{ message }}</h1><p>{{ remedy }}</p></main></html>"
    )
