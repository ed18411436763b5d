"""Lanes over an axis of time, drawn as SVG inside the page: no script, no file, as wide as there is room."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from jinja2 import Template
    from markupsafe import Markup

Kind = Literal["ok", "calm", "warn", "bad", "closed"]

LABEL: Final = 18
BAR: Final = 16
BETWEEN: Final = 8
AXIS: Final = 22


@dataclass(frozen=True)
class Span:
    """From `start` to `end`, both between 0 and 1 of the axis. `height`: between 0 and 1 of the lane. `title` is told when
    somebody points at it, and read out."""

    start: float
    end: float
    kind: Kind
    title: str
    height: float = 1.0


@dataclass(frozen=True)
class Lane:
    """A line of spans under its name. `line`: a limit, between 0 and 1 of its height."""

    label: str
    spans: tuple[Span, ...]
    line: float | None = None


@dataclass(frozen=True)
class Chart:
    """`ticks`: (place between 0 and 1, text), in order. `legend`: what each kind stands for. `summary` is for
    those who cannot see the picture."""

    title: str
    lanes: tuple[Lane, ...]
    ticks: tuple[tuple[float, str], ...]
    legend: tuple[tuple[Kind, str], ...] = ()
    summary: str = ""


@dataclass(frozen=True)
class Row:
    """Where a lane is drawn, in pixels from the top."""

    lane: Lane
    text_y: int
    bar_y: int


def render_chart(chart: Chart) -> Markup:
    """The picture as it stands in a page; every text in it is escaped."""
    from markupsafe import Markup

    step = LABEL + BAR + BETWEEN
    rows = [Row(lane, number * step + LABEL - 5, number * step + LABEL) for number, lane in enumerate(chart.lanes)]
    height = len(rows) * step + AXIS
    return Markup(chart_template().render(chart=chart, rows=rows, height=height, bar=BAR, at=place, wide=wide, anchor=anchor))


def chart_style() -> Markup:
    """The rules of style that a page with charts needs; colours are those of the page."""
    from markupsafe import Markup

    return Markup(resources.files("reports").joinpath("chart.css").read_text("utf-8"))


def place(value: float) -> str:
    """A place on the axis.

    >>> place(0.12345), place(-1), place(2)
    ('12.35%', '0.00%', '100.00%')
    """
    return f"{100 * min(1.0, max(0.0, value)):.2f}%"


def wide(span: Span) -> str:
    """How wide a span is; the shortest can still be seen.

    >>> wide(Span(0.2, 0.2, "ok", ""))
    '0.15%'
    """
    return place(max(0.0015, min(1.0, span.end) - max(0.0, span.start)))


def anchor(value: float) -> str:
    """Which end of a tick's text stands at its place: none is cut off at the edges.

    >>> anchor(0), anchor(0.5), anchor(1)
    ('start', 'middle', 'end')
    """
    return "start" if value < 0.05 else "end" if value > 0.95 else "middle"


@cache
def chart_template() -> Template:
    """The compiled template of reports/chart.svg.j2."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(resources.files("reports").joinpath("chart.svg.j2").read_text("utf-8"))
